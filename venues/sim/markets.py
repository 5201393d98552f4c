"""Synthetic books: seeded integer walks that feed a simulated venue ten times a second.

Instruments of one correlation follow one walk, each with its own volatility. A feed never keeps a
run alive: its pending actions count as idle. This module must not use floats or know positions.
"""

from decimal import Decimal
from math import isqrt
from typing import Protocol

from machines.types import BUY, NS, SELL, Instrument
from venues.instruments import floor_units
from venues.numbers import TICKS_MAX, UNITS_MAX
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


class Synthetic(Protocol):
    """Parameters of one synthetic book, as a scenario or configuration gives them."""

    @property
    def mid(self) -> Decimal:
        """Middle of the book at the start."""

    @property
    def spread_ticks(self) -> int:
        """Distance of the ask from the bid, at least 1."""

    @property
    def vol_bps_per_sqrt_s(self) -> Decimal:
        """Standard deviation of the mid over one second, in bps of its start."""

    @property
    def depth(self) -> Decimal:
        """Mean size at the touch in contracts."""

    @property
    def trade_rate_per_s(self) -> Decimal:
        """Mean number of trades of others per second."""

    @property
    def correlation(self) -> str:
        """Name of the shared walk; empty for a walk of its own."""


class Walk:
    """A shared random walk in standard steps; it begins with the first step asked for.

    Steps are numbered by time, so that feeds which start apart still move together.
    """

    __slots__ = ("_draws", "_step", "_sum")

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._step = -1
        self._sum = 0

    def at(self, step: int) -> int:
        """Return the sum of the steps up to `step`, which is none before the last one asked for."""
        if self._step < 0:
            self._step = step
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

    def of(self, spec: Synthetic, instrument: Instrument) -> Walk:
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
        "_venue",
        "_walk",
        "idle_actions",
    )

    def __init__(
        self,
        venue: SimVenue,
        instrument: Instrument,
        spec: Synthetic,
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
        self._update()
        self._trades()
        self._schedule()

    def _update(self) -> None:
        move = self._walk.at(self._scheduler.now // _STEP_NS) * self._scale // _DEVIATION
        level = max(_ONE + move, _FLOOR)
        top, bottom = self._mid
        tick_top, tick_bottom = self._instrument.tick.as_integer_ratio()
        # Twice the mid in ticks, so that odd spreads stay centred.
        twice = 2 * top * level * tick_bottom // (bottom * _ONE * tick_top)
        spread = self._spec.spread_ticks
        # A walk knows no bound upwards, prices do.
        bid = min(max((twice - spread) // 2, 1), TICKS_MAX - spread)
        mark = min(twice // 2, TICKS_MAX)
        size = self._size
        self._venue.set_book(self._instrument.index, bid, size(), bid + spread, size(), mark)

    def _size(self) -> int:
        """Draw a displayed size of 1/2 to 3/2 of the mean, in whole lots."""
        lot = self._instrument.lot
        share = self._draws.between(500, 1500)
        return max(min(self._depth * share // 1000, UNITS_MAX) // lot * lot, lot)

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
