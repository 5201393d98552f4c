"""Loads a configuration file: strict, and with everything that is wrong listed at once.

The file is TOML; its keys are declared in `engine.config_keys` and described in `docs/config.md`.
Scenario files have tables of the same kinds, so the functions that read those are offered here as
well. Must not start anything, nor guess what a wrong value was meant to be.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.config_files import check_names, check_places
from engine.config_keys import ENGINE, RUN, RUN_CLOSE
from engine.config_parts import (
    build,
    decode_close,
    decode_instrument,
    decode_open,
    decode_pair,
    decode_position,
    decode_session,
    decode_venue,
    seconds,
)
from engine.config_reading import as_table, note_unknown, read_section
from engine.config_reference import reference
from engine.config_scaling import scale_instruments
from engine.config_specs import (
    BookSpec,
    Config,
    EngineSpec,
    InstrumentSpec,
    LatencySpec,
    OpenSettings,
    PairSpec,
    PositionSpec,
    RunClose,
    RunSpec,
    SyntheticSpec,
    VenueSpec,
)
from engine.config_values import (
    MISSING,
    ConfigError,
    Finding,
    Findings,
    join,
    overlay,
)
from engine.files import is_regular
from engine.toml_files import read_toml
from machines.types import CloseSettings

__all__ = [
    "BookSpec",
    "Config",
    "ConfigError",
    "EngineSpec",
    "Finding",
    "Findings",
    "InstrumentSpec",
    "LatencySpec",
    "OpenSettings",
    "PairSpec",
    "PositionSpec",
    "RunClose",
    "RunSpec",
    "SyntheticSpec",
    "VenueSpec",
    "check",
    "check_references",
    "decode_close",
    "decode_config",
    "decode_each",
    "decode_engine",
    "decode_instrument",
    "decode_open",
    "decode_pair",
    "decode_position",
    "decode_session",
    "decode_venue",
    "load",
    "overlay",
    "read_toml",
    "reference",
    "scale_instruments",
    "with_single_legs",
]

T = TypeVar("T")

#: Everything that may stand at the top of a file.
TOP = ["close", "open", "venues", "instruments", "positions", "pairs", "session", "engine", "run"]


def load(path: str | Path) -> Config:
    """Read a configuration file; folders and files that it names are taken as beside it.

    Raises `ConfigError` with every finding; a file that cannot be read is a finding too.
    """
    file, findings = Path(path), Findings()
    tables = read_toml(file, findings)
    findings.raise_if_any(str(file))
    config = decode_config(tables, findings, file.parent)
    findings.raise_if_any(str(file))
    assert config is not None
    inputs = {"the configuration": file}
    for key, spec in config.instruments.items():
        if spec.recording:
            inputs[f"the recording of {key}"] = Path(spec.recording.partition("#")[0])
    check_places(config.engine, "engine", inputs, findings)
    findings.raise_if_any(str(file))
    return config


def check(path: str | Path) -> list[str]:
    """List everything that is wrong with a configuration file, one line each."""
    try:
        load(path)
    except ConfigError as error:
        return error.lines()
    return []


def decode_market(
    tables: Mapping[str, Any], findings: Findings, close: CloseSettings, open_: OpenSettings
) -> tuple[
    dict[str, VenueSpec | None],
    dict[str, InstrumentSpec | None],
    dict[str, PositionSpec | None],
    dict[str, PairSpec | None],
]:
    """Read venues, instruments, positions and pairs, and check them against each other.

    What cannot be used is None under its name; pairs overlay `close` and `open_`.
    """
    venues = decode_each("venues", tables, findings, decode_venue)
    instruments = decode_each("instruments", tables, findings, decode_instrument)
    positions = decode_each("positions", tables, findings, decode_position)

    def read_pair(table: Any, path: str, noted: Findings, name: str) -> PairSpec | None:
        return decode_pair(table, path, noted, name, close, open_)

    pairs = decode_each("pairs", tables, findings, read_pair)
    check_references(venues, instruments, positions, pairs, findings)
    if not venues and not findings.about("venues"):
        findings.add("venues", MISSING, "must hold at least one venue")
    return venues, instruments, positions, pairs


def decode_config(
    tables: Mapping[str, Any], findings: Findings, folder: Path = Path()
) -> Config | None:
    """Read the tables of a configuration; None if it cannot be used, `findings` then say why.

    Paths in it start at `folder`.
    """
    note_unknown(tables, TOP, "", findings)
    close = decode_close(tables.get("close", {}), "close", findings)
    open_ = decode_open(tables.get("open", {}), "open", findings)
    venues, instruments, positions, pairs = decode_market(tables, findings, close, open_)
    for key, spec in instruments.items():
        if spec:
            instruments[key] = _with_source(spec, folder, findings)
    session = decode_session(tables.get("session", {}), "session", findings)
    engine = decode_engine(tables.get("engine", {}), "engine", findings)
    run = _run(tables.get("run", {}), {**pairs, **positions}, findings)
    scale_instruments(
        _sound(venues, "venues", findings),
        _sound(instruments, "instruments", findings),
        _sound(positions, "positions", findings),
        findings,
    )
    if findings:
        return None
    return Config(
        venues=_present(venues),
        instruments=_present(instruments),
        positions=_present(positions),
        pairs=with_single_legs(_present(pairs), _present(positions), close, open_),
        close=close,
        open=open_,
        session=session,
        engine=msgspec.structs.replace(engine, directory=str(folder / engine.directory)),
        run=run,
    )


def _with_source(spec: InstrumentSpec, folder: Path, findings: Findings) -> InstrumentSpec:
    where = join("instruments", spec.key)
    if not (spec.book or spec.synthetic or spec.recording or findings.about(where)):
        findings.add(where, spec.key, "must have a source for its book: synthetic, book, recording")
    if not spec.recording:
        return spec
    file, mark, column = spec.recording.partition("#")
    path = folder / file
    if not is_regular(path):
        findings.add(join(where, "recording"), spec.recording, f"must be a file; none is at {path}")
    return msgspec.structs.replace(spec, recording=f"{path}{mark}{column}")


def _sound(specs: Mapping[str, T | None], path: str, findings: Findings) -> dict[str, T]:
    """What nothing has been found about yet."""
    return {
        key: spec for key, spec in _present(specs).items() if not findings.about(join(path, key))
    }


def _present(specs: Mapping[str, T | None]) -> dict[str, T]:
    return {key: spec for key, spec in specs.items() if spec is not None}


def decode_each(
    name: str,
    tables: Mapping[str, Any],
    findings: Findings,
    decode: Callable[[Any, str, Findings, str], T | None],
) -> dict[str, T | None]:
    """Read every table below `tables[name]`; one that cannot be read is there as None."""
    below = as_table(tables.get(name, {}), name, findings)
    return {key: decode(value, join(name, key), findings, key) for key, value in below.items()}


def with_single_legs(
    pairs: Mapping[str, PairSpec],
    positions: Mapping[str, PositionSpec],
    close: CloseSettings,
    open_: OpenSettings,
) -> dict[str, PairSpec]:
    """Add each own position that no pair holds as a thing of one leg under its "VENUE:SYMBOL"."""
    held = {leg for pair in pairs.values() for leg in pair.legs}
    single = {
        key: PairSpec(key, (key,), close, open_)
        for key, position in positions.items()
        if key not in held and not position.foreign
    }
    return {**pairs, **single}


def check_references(
    venues: Mapping[str, VenueSpec | None],
    instruments: Mapping[str, InstrumentSpec | None],
    positions: Mapping[str, PositionSpec | None],
    pairs: Mapping[str, PairSpec | None],
    findings: Findings,
) -> None:
    """Note every name that leads nowhere and every position that two things would own.

    A name whose own table could not be read (None) is known nevertheless.
    """
    for key in instruments:
        venue = key.partition(":")[0]
        if venue not in venues:
            known = ", ".join(venues) or "none"
            findings.add(join("instruments", key), key, f"must be at a known venue: {known}")
    for key in positions:
        if key not in instruments:
            findings.add(join("positions", key), key, "must have rules under [instruments]")
    owner: dict[str, str] = {}
    for name, pair in pairs.items():
        if pair is None:
            continue
        where = join(join("pairs", name), "legs")
        for number, leg in enumerate(pair.legs):
            if leg not in instruments:
                findings.add(f"{where}[{number}]", leg, "must have rules under [instruments]")
            if owner.setdefault(leg, name) != name:
                findings.add(f"{where}[{number}]", leg, f"belongs to pair {owner[leg]} already")
        _check_sides(pair, positions, where, findings)


def _check_sides(
    pair: PairSpec, positions: Mapping[str, PositionSpec | None], path: str, findings: Findings
) -> None:
    held = [positions.get(leg) for leg in dict.fromkeys(pair.legs)]
    sizes = [position.qty for position in held if position is not None and position.qty]
    if len(sizes) == 2 and (sizes[0] > 0) == (sizes[1] > 0):
        side = "long" if sizes[0] > 0 else "short"
        findings.add(path, list(pair.legs), f"must be of opposite sides; both are {side}")


def decode_engine(table: Any, path: str, findings: Findings) -> EngineSpec:
    """Read the keys of `[engine]`."""
    spec: EngineSpec = build(ENGINE, read_section(ENGINE, table, path, findings))
    check_names(spec, path, findings)
    return spec


def _run(table: Any, known: Mapping[str, Any], findings: Findings) -> RunSpec:
    values = read_section(RUN, table, "run", findings)
    listed = values["closes"]
    if not isinstance(listed, list | tuple):
        findings.add("run.closes", listed, "must be a list of tables, each under [[run.closes]]")
        listed = ()
    closes = []
    for number, item in enumerate(listed):
        path = f"run.closes[{number}]"
        close = build(RUN_CLOSE, read_section(RUN_CLOSE, item, path, findings))
        pair = item.get("pair") if isinstance(item, dict) else None
        if isinstance(pair, str) and pair not in known:
            findings.add(
                f"{path}.pair", pair, f"must be a known pair: {', '.join(known) or 'none'}"
            )
        if close is not None:
            closes.append(close)
    values["closes"] = tuple(closes)
    spec: RunSpec = build(RUN, values)
    for number, close in enumerate(spec.closes):
        if 0 < spec.deadline_ns < close.at_ns:
            key, late = f"run.closes[{number}].at_s", seconds(close.at_ns)
            findings.add(
                key, late, f"must not be after run.deadline_s = {seconds(spec.deadline_ns)}"
            )
    return spec
