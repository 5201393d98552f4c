"""Synthetic books: seeded integer walks that feed a simulated venue ten times a second.

Instruments of one correlation follow one walk, each with its own volatility. A feed never keeps a
run alive: its pending actions count as idle. This module must not use floats or know positions.
"""

from collections.abc import Mapping
from decimal import Decimal
from math import isqrt
from typing import Any

from msgspec import Struct

from machines.types import BUY, NS, SELL, Instrument
from venues.instruments import exact, floor_units
from venues.port import MARKET, Scheduler
from venues.sim.draws import Draws
from venues.sim.venue import SimVenue

#: Updates of a book per second.
RATE_HZ = 10
_STEP_NS = NS // RATE_HZ
#: Parts of a walk: a relative move of 1 is this many.
_ONE = 10**12
#: A step adds the bits of a 64-bit draw less 32: mean 0, standard deviation 4.
_DEVIATION = 4
#: A price never falls below this share of its start.
_FLOOR = _ONE // 10

KEYS = ("mid", "spread_ticks", "vol_bps_per_sqrt_s", "depth", "trade_rate_per_s", "correlation")


class SyntheticSpec(Struct, frozen=True):
    """Parameters of one synthetic book; `depth` is the mean size at the touch in contracts."""

    mid: Decimal
    spread_ticks: int = 4
    vol_bps_per_sqrt_s: Decimal = Decimal("1.5")
    depth: Decimal = Decimal(50)
    trade_rate_per_s: Decimal = Decimal(0)
    correlation: str = ""


def synthetic_spec(table: Mapping[str, Any]) -> SyntheticSpec:
    """Read a `synthetic` table; ValueError lists every unknown key and wrong value."""
    errors = [
        f"synthetic: {key!r} is unknown; allowed: {', '.join(KEYS)}"
        for key in table
        if key not in KEYS
    ]
    fields: dict[str, Any] = {}
    for key in KEYS:
        try:
            if key == "correlation":
                fields[key] = _name(table.get(key, ""))
            elif key in table:
                fields[key] = _number(key, table[key])
            elif key == "mid":
                raise ValueError("synthetic.mid: missing")
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("\n".join(errors))
    return SyntheticSpec(**fields)


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"synthetic.correlation: {value!r} is not a name")
    return value


def _number(key: str, value: Any) -> Decimal | int:
    number = exact(value, f"synthetic.{key}")
    lowest = 1 if key == "spread_ticks" else 0
    if number < lowest or (key in ("mid", "depth") and number == 0):
        raise ValueError(f"synthetic.{key}: {value} is too small")
    if key != "spread_ticks":
        return number
    if number != int(number):
        raise ValueError(f"synthetic.{key}: {value} is not a whole number")
    return int(number)


class Walk:
    """A shared random walk in standard steps; asked for by step number, which never falls."""

    __slots__ = ("_draws", "_step", "_sum")

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._step = 0
        self._sum = 0

    def at(self, step: int) -> int:
        """Return the sum of the steps up to `step`."""
        while self._step < step:
            self._step += 1
            self._sum += self._draws.next().bit_count() - 32
        return self._sum


class Walks:
    """The walks of a run by correlation; an instrument without one has its own."""

    __slots__ = ("_draws", "_walks")

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._walks: dict[str, Walk] = {}

    def of(self, spec: SyntheticSpec, instrument: Instrument) -> Walk:
        """Return the walk that an instrument follows."""
        name = spec.correlation or f"instrument {instrument.key}"
        walk = self._walks.get(name)
        if walk is None:
            walk = self._walks[name] = Walk(self._draws.child(f"walk.{name}"))
        return walk


class SyntheticFeed:
    """Drives the book of one instrument from the present time on."""

    __slots__ = (
        "_depth",
        "_draws",
        "_instrument",
        "_mid",
        "_rate",
        "_scale",
        "_scheduler",
        "_spec",
        "_step",
        "_venue",
        "_walk",
        "idle_actions",
    )

    def __init__(
        self,
        venue: SimVenue,
        instrument: Instrument,
        spec: SyntheticSpec,
        walk: Walk,
        scheduler: Scheduler,
        draws: Draws,
    ) -> None:
        self._venue = venue
        self._instrument = instrument
        self._spec = spec
        self._walk = walk
        self._scheduler = scheduler
        self._draws = draws.child(f"book.{instrument.key}")
        self._step = 0
        self._mid = spec.mid.as_integer_ratio()
        self._depth = max(floor_units(spec.depth, instrument), instrument.lot)
        self._rate = (spec.trade_rate_per_s / RATE_HZ).as_integer_ratio()
        # Relative deviation of one step in parts of _ONE: bps * sqrt(1 / RATE_HZ).
        second = int(spec.vol_bps_per_sqrt_s * _ONE) // 10_000
        self._scale = isqrt(second * second // RATE_HZ)
        #: Scheduled actions that must not keep a run alive.
        self.idle_actions = 0

    def start(self) -> None:
        """Publish the first book now and go on for ever."""
        self._update()
        self._schedule()

    def _schedule(self) -> None:
        self.idle_actions += 1
        self._scheduler.at(self._scheduler.now + _STEP_NS, MARKET, self._next, None)

    def _next(self, _: None) -> None:
        self.idle_actions -= 1
        self._step += 1
        self._update()
        self._trades()
        self._schedule()

    def _update(self) -> None:
        move = self._walk.at(self._step) * self._scale // _DEVIATION
        level = max(_ONE + move, _FLOOR)
        top, bottom = self._mid
        tick_top, tick_bottom = self._instrument.tick.as_integer_ratio()
        # Twice the mid in ticks, so that odd spreads stay centred.
        twice = 2 * top * level * tick_bottom // (bottom * _ONE * tick_top)
        spread = self._spec.spread_ticks
        bid = max((twice - spread) // 2, 1)
        size = self._size
        self._venue.set_book(self._instrument.index, bid, size(), bid + spread, size(), twice // 2)

    def _size(self) -> int:
        """Draw a displayed size of 1/2 to 3/2 of the mean, in whole lots."""
        lot = self._instrument.lot
        share = self._draws.between(500, 1500)
        return max(self._depth * share // 1000 // lot * lot, lot)

    def _trades(self) -> None:
        part, whole = self._rate
        count, rest = divmod(part, whole)
        if rest and self._draws.chance(rest, whole):
            count += 1
        index = self._instrument.index
        lot = self._instrument.lot
        for _ in range(count):
            side = self._draws.pick((BUY, SELL))
            most = max(self._depth // lot // 4, 1)
            qty = self._draws.between(1, most) * lot
            price = self._venue.exchange.books[index].far(side)
            self._venue.trade(index, side, price, qty)
