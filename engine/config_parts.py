"""Turns the tables of a configuration or scenario into specs, one function per kind of table.

Every function notes what is wrong in `findings` and returns the best reading it can, None where a
required key is missing; combinations that cannot be are noted here when one table shows them, by
`check_references` when several do. Must not read files.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.config_keys import (
    CLOSE,
    INSTRUMENT,
    LATENCIES,
    LEGS,
    OPEN,
    OPEN_ONLY,
    PAIR,
    POSITION,
    SESSION,
    VENUE,
)
from engine.config_reading import Section, as_table, is_required, note_unknown, read_section
from engine.config_specs import (
    RECORDED_LATENCIES,
    InstrumentSpec,
    LatencySpec,
    OpenSettings,
    PairSpec,
    PositionSpec,
    VenueSpec,
)
from engine.config_values import INSTRUMENT_NAME, NAME, Findings, Kind, Refused, join
from machines.types import (
    MS,
    NS,
    REASON_URGENCY,
    URGENCY_RANK,
    CloseSettings,
    SessionSettings,
)
from venues.numbers import quoted
from venues.profiles import PROFILES, override_keys, profile


def build(section: Section, values: dict[str, Any]) -> Any:
    """Make the struct of a section; None if a required field is missing."""
    for field in section.fields().values():
        if field.name not in values and is_required(field):
            return None
    return section.struct(**values)


# ---------------------------------------------------------------- the ladder


def decode_close(
    table: Any, path: str, findings: Findings, base: CloseSettings | None = None
) -> CloseSettings:
    """Read the keys of `[close]` over `base` (the defaults if None)."""
    settings: CloseSettings = _ladder(CLOSE, table, path, findings, base or CloseSettings())
    return settings


def decode_open(
    table: Any, path: str, findings: Findings, base: OpenSettings | None = None
) -> OpenSettings:
    """Read the keys of `[open]` over `base` (the defaults if None)."""
    settings: OpenSettings = _ladder(OPEN, table, path, findings, base or OpenSettings())
    return settings


def _ladder(
    section: Section, value: Any, path: str, findings: Findings, base: CloseSettings
) -> Any:
    table = as_table(value, path, findings)
    values = read_section(section, table, path, findings, base)
    for name, part in section.tables.items():
        below = getattr(base, name)
        if name in table:
            rung = read_section(part, table[name], join(path, name), findings, below)
            below = build(part, rung)
        values[name] = below
    if "market" in table:
        _check_market(values["market"], join(path, "market"), findings)
    if "urgency" in table:
        read = _urgencies(table["urgency"], join(path, "urgency"), findings)
        values["urgency"] = {**base.urgency, **read}
    return build(section, values)


def _check_market(market: Any, path: str, findings: Findings) -> None:
    first, bound = join(path, "slippage_max_bps"), join(path, "slippage_abs_max_bps")
    if findings.about(first) or findings.about(bound):
        return
    if market.slippage_max_bps > market.slippage_abs_max_bps:
        findings.add(
            first,
            market.slippage_max_bps,
            f"must be at most slippage_abs_max_bps = {market.slippage_abs_max_bps}",
        )


def _urgencies(value: Any, path: str, findings: Findings) -> dict[str, Any]:
    table = as_table(value, path, findings)
    note_unknown(table, list(REASON_URGENCY), path, findings)
    allowed = ", ".join(f'"{word}"' for word in URGENCY_RANK)
    read = {}
    for reason, urgency in table.items():
        if not isinstance(urgency, str) or urgency not in URGENCY_RANK:
            findings.add(join(path, reason), urgency, f"must be one of {allowed}")
        elif reason in REASON_URGENCY:
            read[reason] = urgency
    return read


# ---------------------------------------------------------------- venues


def decode_venue(table: Any, path: str, findings: Findings, name: str = "") -> VenueSpec | None:
    """Read one `[venues.NAME]`; `name` is the last part of `path` unless given."""
    values = read_section(VENUE, table, path, findings)
    values["name"] = name or path.rpartition(".")[2].strip('"')
    _check_name(values["name"], path, findings)
    if isinstance(table, dict):
        if "latency_ms" in table:
            where = join(path, "latency_ms")
            values["latency"] = _latency(table["latency_ms"], where, findings)
        override = as_table(table.get("override", {}), join(path, "override"), findings)
        values["override"] = override
        _check_profile(values.get("profile"), override, path, findings)
    spec: VenueSpec | None = build(VENUE, values)
    if spec is not None:
        _check_times(spec, path, findings)
    return spec


def _check_name(name: str, path: str, findings: Findings, rule: Kind = NAME) -> None:
    try:
        rule.read(name)
    except Refused as refused:
        findings.add(path, name, f"the name must be {refused}")


def _check_times(spec: VenueSpec, path: str, findings: Findings) -> None:
    key = join(path, "decision_timeout_ms")
    if findings.about(key) or findings.about(join(path, "deadline_ms")):
        return
    if spec.decision_timeout_ns <= spec.deadline_ns:
        deadline = f"{Decimal(spec.deadline_ns) / MS:f}"
        given = f"{Decimal(spec.decision_timeout_ns) / MS:f}"
        findings.add(key, Decimal(given), f"must be above deadline_ms = {deadline}")


def _latency(value: Any, path: str, findings: Findings) -> LatencySpec:
    if isinstance(value, str):
        if value in RECORDED_LATENCIES:
            return msgspec.convert({"recorded": value}, LatencySpec)
        findings.add(path, value, f"must be a table or one of {', '.join(RECORDED_LATENCIES)}")
        return LatencySpec()
    spec: LatencySpec = build(LATENCIES, read_section(LATENCIES, value, path, findings))
    return spec


def _check_profile(name: Any, override: Mapping[str, Any], path: str, findings: Findings) -> None:
    if name is not None and name not in PROFILES:
        allowed = f"must be one of {', '.join(sorted(PROFILES))}"
        findings.add(join(path, "profile"), name, allowed)
    where = join(path, "override")
    known = override_keys()
    note_unknown(override, known, where, findings)
    for key, value in override.items():
        if key not in known:
            continue
        try:
            profile("ideal", {key: value})
        except ValueError as error:
            reason = str(error).removeprefix(f"{key}: ").removeprefix(f"{quoted(value)} ")
            findings.add(join(where, key), value, reason)


# ---------------------------------------------------------------- instruments and positions


def decode_instrument(
    table: Any, path: str, findings: Findings, key: str = ""
) -> InstrumentSpec | None:
    """Read one `[instruments."VENUE:SYMBOL"]`; `key` is the quoted part of `path` unless given."""
    key = key or _quoted(path)
    values = read_section(INSTRUMENT, table, path, findings)
    venue, _, symbol = key.partition(":")
    _check_name(key, path, findings, INSTRUMENT_NAME)
    values |= {"key": key, "venue": venue, "symbol": symbol}
    sources = [name for name in ("book", "synthetic", "recording") if name in as_dict(table)]
    if len(sources) > 1:
        findings.add(path, ", ".join(sources), "must have only one source for its book")
    for name, section in INSTRUMENT.tables.items():
        if name in sources:
            where = join(path, name)
            values[name] = build(section, read_section(section, table[name], where, findings))
    spec: InstrumentSpec | None = build(INSTRUMENT, values)
    if spec is not None:
        _check_steps(spec, path, findings)
    return spec


def as_dict(table: Any) -> dict[str, Any]:
    """The table, or an empty one for anything else (which has been noted already)."""
    return table if isinstance(table, dict) else {}


def _quoted(path: str) -> str:
    return path.rpartition('."')[2].removesuffix('"') if '."' in path else path.rpartition(".")[2]


def _check_steps(spec: InstrumentSpec, path: str, findings: Findings) -> None:
    if spec.book is None:
        return
    if 0 < spec.book.republish_ns < MS:
        where = join(join(path, "book"), "republish_s")
        findings.add(where, seconds(spec.book.republish_ns), "must be 0 or at least 0.001")
    for name, price in (("bid", spec.book.bid), ("ask", spec.book.ask)):
        if Fraction(price) % Fraction(spec.tick):
            where = join(join(path, "book"), name)
            findings.add(where, price, f"must be a multiple of tick = {spec.tick:f}")


def decode_position(
    table: Any, path: str, findings: Findings, key: str = ""
) -> PositionSpec | None:
    """Read one `[positions."VENUE:SYMBOL"]`; `key` is the quoted part of `path` unless given."""
    values = read_section(POSITION, table, path, findings)
    values["key"] = key or _quoted(path)
    spec: PositionSpec | None = build(POSITION, values)
    return spec


# ---------------------------------------------------------------- pairs and session


def decode_pair(
    table: Any,
    path: str,
    findings: Findings,
    name: str = "",
    close: CloseSettings | None = None,
    open_: OpenSettings | None = None,
) -> PairSpec | None:
    """Read one `[pairs.NAME]`, its `config` over `close` and `open_`; None if its legs are wrong.

    `config` holds keys of `[close]`, which then hold for both, or the tables `close` and `open`.
    """
    values = read_section(PAIR, table, path, findings)
    name = name or path.rpartition(".")[2].strip('"')
    _check_name(name, path, findings)
    where = join(path, "config")
    config = as_table(as_dict(table).get("config", {}), where, findings)
    extra = [key.name for key in OPEN_ONLY]
    shared = {key: config[key] for key in config if key not in ("close", "open", *extra)}
    only = {key: config[key] for key in extra if key in config}
    close = decode_close(shared, where, findings, close)
    # What is wrong with the shared keys was noted a line ago.
    open_ = decode_open(shared, where, Findings(), open_)
    open_ = decode_open(only, where, findings, open_)
    close = decode_close(config.get("close", {}), join(where, "close"), findings, close)
    open_ = decode_open(config.get("open", {}), join(where, "open"), findings, open_)
    if "legs" not in values:
        return None
    legs = _legs(values["legs"], join(path, "legs"), findings)
    return PairSpec(name, legs, close, open_) if legs else None


def _legs(value: Any, path: str, findings: Findings) -> tuple[str, ...]:
    try:
        legs: tuple[str, ...] = msgspec.convert(
            value, Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)], strict=True
        )
    except msgspec.ValidationError:
        findings.add(path, value, f"must be {LEGS.label}")
        return ()
    if len(set(legs)) != len(legs):
        findings.add(path, value, "must name two different instruments")
    return legs


def decode_session(table: Any, path: str, findings: Findings) -> SessionSettings:
    """Read the keys of `[session]`."""
    values = read_section(SESSION, table, path, findings)
    settings: SessionSettings = build(SESSION, values)
    longest = settings.backoff_max_ns
    for name, pause in (("min", settings.backoff_min_ns), ("base", settings.backoff_base_ns)):
        key = join(path, f"backoff_{name}_s")
        if pause > longest and not findings.about(key):
            text = f"must be at most backoff_max_s = {seconds(longest)}"
            findings.add(key, seconds(pause), text)
    return settings


def seconds(time_ns: int) -> str:
    """A time as a file writes it in seconds."""
    return f"{(Decimal(time_ns) / NS).normalize():f}"
