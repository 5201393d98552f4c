"""Scales the instruments of a configuration or scenario to the integers of the core.

Must not round: a quantity finer than the lot makes the unit finer, one that no unit fits is an
error, and so is whatever the core cannot hold in those units.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from engine.config_specs import InstrumentSpec, PositionSpec, VenueSpec
from engine.config_values import Findings, join
from machines.types import Instrument
from venues.instruments import (
    base_to_contracts,
    base_to_units,
    ceil_tick,
    floor_units,
    scale_instrument,
)
from venues.numbers import NumberRefused
from venues.profiles import Profile, profile


def profiles_of(venues: Mapping[str, VenueSpec]) -> dict[str, Profile]:
    """The profile of every venue with its overrides applied."""
    return {name: profile(spec.profile, spec.override) for name, spec in venues.items()}


def scale_instruments(
    venues: Mapping[str, VenueSpec],
    instruments: Mapping[str, InstrumentSpec],
    positions: Mapping[str, PositionSpec],
    findings: Findings,
    quantities: Mapping[str, Iterable[Decimal]] | None = None,
) -> tuple[Instrument, ...]:
    """Scale every instrument in order, so that its index is its place.

    Its position and `quantities` (base units, by key) stay exact. What cannot be scaled is noted
    and left out, and so is one whose venue is not there.
    """
    profiles = profiles_of(venues)
    scaled = []
    for index, (key, spec) in enumerate(instruments.items()):
        if spec.venue not in profiles:
            continue
        held = [positions[key].qty] if key in positions else []
        exact = [*held, *(quantities or {}).get(key, ())]
        where = join("instruments", key)
        try:
            instrument = _scale(index, spec, profiles[spec.venue], exact)
        except NumberRefused as error:
            known = error.name in msgspec.structs.asdict(spec)
            path = join(where, error.name) if known else where
            name = "" if known else f"{error.name} "
            findings.add(path, error.value, f"{name}must be {error.allowed}")
        else:
            _check_values(spec, instrument, positions.get(key), findings)
            scaled.append(instrument)
    return tuple(scaled)


def _check_values(
    spec: InstrumentSpec, rules: Instrument, held: PositionSpec | None, findings: Findings
) -> None:
    """Note every price and size that the core cannot hold in the steps of its instrument."""
    where = join("instruments", spec.key)
    prices: list[tuple[str, Decimal | None]] = []
    sizes: list[tuple[str, Decimal]] = []
    if spec.book is not None:
        book = join(where, "book")
        prices += [(join(book, name), getattr(spec.book, name)) for name in ("bid", "ask", "mark")]
        sizes += [(join(book, name), getattr(spec.book, name)) for name in ("bid_qty", "ask_qty")]
    if spec.synthetic is not None:
        prices.append((join(join(where, "synthetic"), "mid"), spec.synthetic.mid))
        sizes.append((join(join(where, "synthetic"), "depth"), spec.synthetic.depth))
    if held is not None:
        path = join("positions", held.key)
        prices.append((join(path, "entry"), held.entry))
        _note_refused(findings, join(path, "qty"), base_to_units, held.qty, rules)
    for path, price in prices:
        if price is not None:
            _note_refused(findings, path, ceil_tick, price, rules)
    for path, size in sizes:
        _note_refused(findings, path, floor_units, size, rules)


def _note_refused(
    findings: Findings,
    path: str,
    convert: Callable[[Decimal, Instrument], int],
    value: Decimal,
    rules: Instrument,
) -> None:
    """Note a value that does not become ticks or units of an instrument."""
    try:
        convert(value, rules)
    except NumberRefused as error:
        findings.add(path, value, f"must be {error.allowed}")


def _scale(
    index: int, spec: InstrumentSpec, venue: Profile, quantities: Iterable[Decimal]
) -> Instrument:
    maker, taker = spec.maker_fee_bps, spec.taker_fee_bps
    return scale_instrument(
        index,
        spec.key,
        tick=spec.tick,
        lot=spec.lot,
        min_qty=spec.min_qty,
        min_notional=spec.min_notional,
        multiplier=spec.multiplier,
        type=spec.type,
        maker_fee_bps=venue.maker_fee_bps if maker is None else maker,
        taker_fee_bps=venue.taker_fee_bps if taker is None else taker,
        reduce_only_exempt=venue.capabilities.reduce_only_exempt,
        quantities=[base_to_contracts(value, spec.multiplier) for value in quantities],
    )
