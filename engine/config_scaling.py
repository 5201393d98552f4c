"""Scales the instruments of a configuration or scenario to the integers of the core.

Must not round: a quantity finer than the lot makes the unit finer, one that no unit fits is an
error.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.config_specs import InstrumentSpec, PositionSpec, VenueSpec
from engine.config_values import Findings, join
from machines.types import Instrument
from venues.instruments import base_to_contracts, scale_instrument
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
    and left out. All specs must have been checked against each other before.
    """
    profiles = profiles_of(venues)
    scaled = []
    for index, (key, spec) in enumerate(instruments.items()):
        held = [positions[key].qty] if key in positions else []
        exact = [*held, *(quantities or {}).get(key, ())]
        try:
            scaled.append(_scale(index, spec, profiles[spec.venue], exact))
        except ValueError as error:
            findings.add(join("instruments", key), key, f"cannot be scaled: {error}")
    return tuple(scaled)


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
