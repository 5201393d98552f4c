"""What the venues hold after each instant, and our orders that live there: flips, doubles, excess.

Everything is judged on the venues' own books and tapes; what the engine could not know yet is left
out of them first. It must not look at what the engine believes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.simulation.sent import Sent
from engine.simulation.tape import REACTION_NS, Change
from engine.simulation.told import Told
from engine.simulation.violations import Violations
from machines.types import Instrument
from venues.sim.orders import SimOrder, SimTrade

ZERO = Decimal(0)


class Pair:
    """What the checkers remember of one pair: whether it is being closed."""

    __slots__ = ("closing", "instruments", "name")

    def __init__(self, name: str, instruments: tuple[int, ...]) -> None:
        self.name = name
        self.instruments = instruments
        self.closing = False


class Excess(NamedTuple):
    """An own order with more open than was held, since when that could be known."""

    order: SimOrder
    since: int
    left: int
    room: int


class Held:
    """Checks of the venues' books; `overfilled` are instruments of orders that outgrew them."""

    def __init__(
        self,
        instruments: list[Instrument],
        pairs: Mapping[str, Pair],
        told: Told,
        sent: Sent,
        found: Violations,
    ) -> None:
        self.instruments = instruments
        self.pairs = pairs
        self.owner = {index: pair for pair in pairs.values() for index in pair.instruments}
        self.told = told
        self.sent = sent
        self.found = found
        self.overfilled: set[int] = set()
        self.max_naked_base: dict[str, Decimal] = dict.fromkeys(pairs, ZERO)
        #: Orders with more open than is held, not cancelled yet; and those already found guilty.
        self._excess: dict[int, Excess] = {}
        self._guilty: set[int] = set()

    # ------------------------------------------------------------ the tape

    def traded(self, trade: SimTrade) -> None:
        """A trade of the account: ours, or somebody else's."""
        course = self.told.courses[trade.instrument]
        before = course.qty
        self.told.traded(trade)
        pair = self.owner.get(trade.instrument)
        is_ours = trade.order and trade.instrument not in self.overfilled
        if is_ours and pair is not None and pair.closing:
            self._judge_side(trade, before, course.qty)

    def _judge_side(self, trade: SimTrade, before: int, after: int) -> None:
        """Our own trade must not leave a position of its own side (I7)."""
        if trade.side * after <= 0:
            return
        course = self.told.courses[trade.instrument]
        others = course.open_at(trade.at)
        if trade.side * after - _toward(trade.side, others) <= 0:
            return
        if course.changes and self._was_cancelled(trade, course.changes):
            return
        if self._makes_up_for_a_dead_order(trade, abs(after)):
            return
        key = self.instruments[trade.instrument].key
        self.found.note("I7", f"{key}: {before} became {after}", self.found.position_flips)

    def _was_cancelled(self, trade: SimTrade, changes: Iterable[Change]) -> bool:
        """Whether the order was being cancelled before the last change had to be heeded."""
        cancelled_at = self.sent.cancelled_at.get(trade.order)
        shown = [each.shown_at for each in changes if each.shown_at is not None]
        return cancelled_at is not None and bool(shown) and cancelled_at <= max(shown) + REACTION_NS

    def _makes_up_for_a_dead_order(self, trade: SimTrade, excess: int) -> bool:
        """Whether an order that the venue had reported dead filled what is too much now.

        It is this one, or this one was sent for what that one had left, and its cancel was on its
        way.
        """
        cancelled = trade.order in self.sent.cancelled_at
        known = trade.order in self.told.dead or cancelled
        return known and excess <= self.told.posthumous[trade.instrument]

    # ------------------------------------------------------------ after every instant

    def settled(
        self,
        positions: Mapping[int, int],
        alive: Mapping[int, int],
        orders: Collection[SimOrder],
    ) -> None:
        """An instant is over: look at what is held and at every order that may fill."""
        for pair in self.pairs.values():
            if not pair.closing:
                continue
            net = ZERO
            for index in pair.instruments:
                net += self.instruments[index].base(positions[index])
                if alive.get(index, 0) > 1:
                    text = f"{self.instruments[index].key}: two live orders"
                    self.found.note("I6", text, self.found.two_live_orders)
            if len(pair.instruments) == 2:
                naked = self.max_naked_base
                naked[pair.name] = max(naked[pair.name], abs(net))
        self._judge_sizes(orders)

    def _judge_sizes(self, orders: Collection[SimOrder]) -> None:
        """An order must not stay with more open than is held, once others' trades are known (I6).

        Its cancel must have left in time; how long that travels is not the engine's.
        """
        for number, excess in tuple(self._excess.items()):
            self._judge_excess(number, excess)
        for order in orders:
            number = order.number
            if not order.alive or number in self._excess or self._is_excused(order):
                continue
            room = self._room(order)
            if order.left > room:
                self._excess[number] = Excess(order, self.found.now, order.left, room)

    def _is_excused(self, order: SimOrder) -> bool:
        """Found guilty before, dead by the venue's word, where nobody else trades, of no close."""
        if order.number in self._guilty or order.number in self.told.dead:
            return True
        pair = self.owner.get(order.instrument)
        return order.instrument not in self.told.shared or pair is None or not pair.closing

    def _room(self, order: SimOrder) -> int:
        """What the order may fill at most, as far as the engine can know."""
        index, side = order.instrument, order.side
        course = self.told.courses[index]
        unknown = _toward(side, course.unshown()) + max(0, side * self.told.untold(index))
        return unknown - side * course.qty

    def _judge_excess(self, number: int, excess: Excess) -> None:
        order, due = excess.order, excess.since + REACTION_NS
        cancelled = self.sent.cancelled_at.get(number, due + 1) <= due
        ended = not order.alive and order.ended_at <= due
        if cancelled or ended or (order.alive and order.left <= self._room(order)):
            del self._excess[number]
        elif self.found.now > due:
            del self._excess[number]
            self._guilty.add(number)
            key = self.instruments[order.instrument].key
            text = f"{key}: an order with {excess.left} units open and {excess.room} held"
            self.found.note("I6", f"{text} is not cancelled")

    def paused(self) -> None:
        """No process is awake that could cancel anything."""
        now = self.found.now
        self._excess = {number: each._replace(since=now) for number, each in self._excess.items()}


def _toward(side: int, changes: Iterable[Change]) -> int:
    """Units by which others moved the position in the direction of an order of this side."""
    return sum(max(0, side * each.qty) for each in changes)
