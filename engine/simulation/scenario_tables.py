"""Reads the tables that a scenario shares with a configuration into the same `Config`.

Must not define keys of its own: they are those of `engine.config_keys`.
"""

from pathlib import Path
from typing import Any

import msgspec

from engine.config import (
    Config,
    EngineSpec,
    Findings,
    InstrumentSpec,
    PositionSpec,
    decode_close,
    decode_market,
    decode_open,
    decode_session,
    overlay,
    with_single_legs,
)
from engine.config_keys import ENGINE
from engine.config_parts import build
from engine.config_reading import as_table, note_unknown, read_section
from engine.config_values import join
from engine.files import is_regular
from engine.simulation.scenario_keys import Reader
from engine.simulation.scenario_layers import Layers
from venues.instruments import base_to_contracts

#: Tables that a scenario has at its top and a configuration too.
SHARED = ("venues", "instruments", "positions", "pairs")
#: Tables of a configuration that stand under `config` in a scenario; `run` has no meaning there.
SETTINGS = ("close", "open", "session", "engine", "run")


def read_config(top: Reader, layers: Layers, findings: Findings) -> Config:
    """Read venues, instruments, positions, pairs and the overlay `config`; mistakes are noted."""
    overlaid = as_table(top.raw("config", {}), "config", findings)
    note_unknown(overlaid, [*SETTINGS, *SHARED], "config", findings)
    tables = {name: _shared(top.raw(name, {}), overlaid.get(name)) for name in SHARED}
    close = decode_close(overlaid.get("close", {}), "config.close", findings)
    open_ = decode_open(overlaid.get("open", {}), "config.open", findings)
    venues, instruments, positions, pairs = decode_market(tables, findings, close, open_)
    held = {key: spec for key, spec in positions.items() if spec}
    for key, position in held.items():
        instrument = instruments.get(key)
        if instrument is not None:
            _check_contracts(position, instrument, findings)
    declared = {key: spec for key, spec in pairs.items() if spec}
    return Config(
        venues={key: spec for key, spec in venues.items() if spec},
        instruments={
            key: _located(spec, layers, findings) for key, spec in instruments.items() if spec
        },
        positions=held,
        pairs=with_single_legs(declared, held, close, open_),
        close=close,
        open=open_,
        session=decode_session(overlaid.get("session", {}), "config.session", findings),
        engine=_engine(overlaid.get("engine", {}), findings),
    )


def _shared(table: Any, below: Any) -> Any:
    """A table of the scenario over what its `config` says of the same things."""
    return overlay(below, table) if isinstance(below, dict) and isinstance(table, dict) else table


def _engine(table: Any, findings: Findings) -> EngineSpec:
    spec: EngineSpec = build(ENGINE, read_section(ENGINE, table, "config.engine", findings))
    return spec


def _check_contracts(
    position: PositionSpec, instrument: InstrumentSpec, findings: Findings
) -> None:
    """Note a position in base units that no number of the venue's contracts comes to."""
    try:
        base_to_contracts(position.qty, instrument.multiplier)
    except ValueError as error:
        where = join(join("positions", position.key), "qty")
        findings.add(where, format(position.qty, "f"), f"must be whole contracts: {error}")


def _located(spec: InstrumentSpec, layers: Layers, findings: Findings) -> InstrumentSpec:
    """Find a recording relative to the file that names it."""
    if not spec.recording:
        return spec
    key = join(join("instruments", spec.key), "recording")
    file, mark, column = spec.recording.partition("#")
    path = Path(layers.file_of(key)).parent / file
    if not is_regular(path):
        findings.add(key, spec.recording, f"must be a file; there is none at {path}")
    return msgspec.structs.replace(spec, recording=f"{path}{mark}{column}")
