"""What the engine was told, counted anew from the facts: what it must know, and when it learnt it.

A trade counts once, whoever tells it; a position that a read shows is compared with the course that
the venue's tape gives. It must not ask the engine, nor judge what it made of the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from engine.simulation.tape import REACTION_NS, Change, Course
from machines.messages import (
    Fact,
    FillReported,
    InstrumentTruth,
    OperatorCommanded,
    OrderReported,
    Place,
    PositionMoved,
    TruthRead,
)
from machines.types import Instrument
from venues.sim.orders import SimTrade

ADOPTING = ("adopt", "release")
ENDS = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED"})


class Told:
    """The engine's knowledge as the facts amount to it, by instrument.

    `pairs` are their legs, `hidden` those whose venue shows no positions.

    `known` is the position: declared, our fills, and what was shown of others' doing. `ours` is
    what it would be without strangers, but for what an operator has adopted: nothing beyond it is
    ours to close.
    """

    def __init__(
        self,
        instruments: list[Instrument],
        pairs: Mapping[str, tuple[int, ...]],
        hidden: Collection[int] = (),
    ) -> None:
        indices = range(len(instruments))
        self.instruments = instruments
        self.pairs = pairs
        self.hidden = hidden
        self.courses = [Course(0, 0) for _ in indices]
        #: Instruments that somebody else has traded.
        self.shared: set[int] = set()
        self.known = [0 for _ in indices]
        self.ours = [0 for _ in indices]
        #: The sum of our own fills that were told.
        self.filled = [0 for _ in indices]
        #: When a fill or somebody else's doing was last learnt of.
        self.news_at = [-1 for _ in indices]
        #: When the newest read of each instrument was asked; an older one that comes late is void.
        self.asked_at = [-1 for _ in indices]
        #: The same of the newest read that was whole.
        self.usable_at = [-1 for _ in indices]
        #: Instruments of which a read has shown what never was so.
        self.deceived: set[int] = set()
        #: Orders that a venue reported dead: if they live on, that is the venue's own breach.
        self.dead: set[int] = set()
        #: Units that such orders filled after that, by instrument.
        self.posthumous = [0 for _ in indices]
        #: What was shown since the journal was last written, and what of ours it took.
        self._unwritten: list[tuple[int, Change, int]] = []
        self._shown: list[int | None] = [None for _ in indices]
        #: The position as two reads in succession showed it, with the trades told since.
        self._firm = [0 for _ in indices]
        #: Instruments whose position an operator takes from the venue, and when he said so.
        self._adopting: dict[int, int] = {}
        self._cums: dict[int, int] = {}
        self._trades: dict[int, dict[str, int]] = {}
        self._sides: dict[int, tuple[int, int]] = {}
        self._takers: dict[type, Callable[[Any], None]] = {
            FillReported: self._fill,
            OrderReported: self._order,
            TruthRead: self._truth,
            PositionMoved: self._moved,
            OperatorCommanded: self._word,
        }

    def declare(self, index: int, known: int, held: int, at: int) -> None:
        """The engine starts with `known` of what the venue holds."""
        self.known[index] = self.ours[index] = self._firm[index] = known
        self.courses[index] = course = Course(at, known)
        if held != known:
            self.shared.add(index)
            course.changed(at, held - known)

    def traded(self, trade: SimTrade) -> None:
        """A trade of the account: ours or somebody else's, of which the engine may hear later."""
        course = self.courses[trade.instrument]
        change = trade.side * trade.qty
        if trade.order:
            course.traded(trade.at, change)
            if trade.order in self.dead:
                self.posthumous[trade.instrument] += trade.qty
            return
        self.shared.add(trade.instrument)
        course.changed(trade.at, change, trade.trade, stranger=trade.origin == "manual")

    def sent(self, command: Place) -> None:
        """An order left: fills of it count from now on, and what was adopted is in it."""
        self._sides[command.order] = (command.side, command.instrument)
        self._adopting.pop(command.instrument, None)

    def knows_order(self, order: int) -> bool:
        """Whether an order of this number has left."""
        return order in self._sides

    def take(self, fact: Fact) -> None:
        """A fact reached the engine."""
        taker = self._takers.get(type(fact))
        if taker is not None:
            taker(fact)

    def let_go(self, index: int) -> None:
        """A close of it is over: of what is flat, nothing is ours any more."""
        if not self.known[index]:
            self.ours[index] = 0

    def owned(self, index: int) -> int:
        """The position that orders may close: what is known to be held, as far as it is ours."""
        known, ours = self.known[index], self.ours[index]
        if known * ours <= 0:
            return 0
        return known if abs(known) < abs(ours) else ours

    def unowned(self, index: int) -> int:
        """Units known to be held that are not ours: strangers added them, nobody adopted them."""
        return abs(self.known[index]) - abs(self.owned(index))

    def untold(self, index: int) -> int:
        """Our own fills that the engine has not been told of."""
        return self.courses[index].own - self.filled[index]

    def written(self) -> None:
        """What was told so far is in the journal: a death of the process takes none of it."""
        self._unwritten.clear()

    def lost(self) -> None:
        """The process died, and with it what it was shown and had not written down."""
        for index, change, taken in self._unwritten:
            self.known[index] -= change.qty
            self.ours[index] -= taken
            change.shown_at = None
            change.named = False
        self._unwritten.clear()

    def paused(self, now: int) -> None:
        """No process is awake: what was shown just now cannot be heeded before one is."""
        for course in self.courses:
            for change in course.open_at(now):
                if change.shown_at is not None:
                    change.shown_at = now

    # ------------------------------------------------------------ own fills

    def _fill(self, fact: FillReported) -> None:
        index = fact.instrument
        if fact.order:
            self._trade(fact.order, fact.trade, fact.qty, fact.cum or 0, fact.at)
            return
        self._named(index, fact.trade, fact.at)

    def _order(self, fact: OrderReported) -> None:
        if fact.cum is not None:
            if fact.status in ENDS:
                self.dead.add(fact.order)
            self._raise(fact.order, fact.cum, fact.at)

    def _trade(self, order: int, trade: str, qty: int, cum: int, at: int) -> None:
        trades = self._trades.setdefault(order, {})
        trades[trade] = qty
        self._raise(order, max(sum(trades.values()), cum), at)

    def _raise(self, order: int, cum: int, at: int) -> None:
        side = self._sides.get(order)
        before = self._cums.get(order, 0)
        if side is None or cum <= before:
            return
        self._cums[order] = cum
        index = side[1]
        change = side[0] * (cum - before)
        self.filled[index] += change
        self.news_at[index] = at
        self.known[index] += change
        self.ours[index] += change
        self._firm[index] += change

    # ------------------------------------------------------------ what others did

    def _show(self, index: int, changes: Iterable[Change], at: int, *, named: bool) -> None:
        """The engine learns of what others did, by a trade or by what it comes to."""
        for change in changes:
            change.shown_at = self.news_at[index] = at
            change.named = named
            self.known[index] += change.qty
            self._firm[index] += change.qty if named else 0
            self._unwritten.append((index, change, self._take(index, change)))

    def _take(self, index: int, change: Change) -> int:
        """What the venue did by itself lasts; it took of ours no more than it must have taken.

        Returns the signed units by which ours changed.
        """
        known, ours, qty = self.known[index], self.ours[index], change.qty
        if not change.is_venues:
            return 0
        if qty * ours > 0:
            left = ours + qty if (known - qty) * ours > 0 else ours
        else:
            # It may have come out of ours, or out of what strangers had added first.
            left = max(_toward_zero(ours, qty), self.owned(index), key=abs)
        self.ours[index] = left
        return left - ours

    def _named(self, index: int, trade: str, at: int) -> None:
        """A trade is told that was nobody's order here; a position may have shown it before."""
        change = self.courses[index].by_trade.get(trade)
        if change is None or change.named:
            return
        if change.shown_at is None:
            self._show(index, (change,), at, named=True)
            return
        change.named = True
        self._take(index, change)

    def _truth(self, fact: TruthRead) -> None:
        for row in fact.rows:
            index = row.instrument
            if fact.sent_at < self.asked_at[index]:
                continue
            self.asked_at[index] = fact.sent_at
            for trade in row.trades:
                if trade.order:
                    self._trade(trade.order, trade.trade, trade.qty, 0, fact.at)
                else:
                    self._named(index, trade.trade, fact.at)
            self._position(row, fact)

    def _position(self, row: InstrumentTruth, fact: TruthRead) -> None:
        index = row.instrument
        agreeing = (self._shown[index], self._firm[index])
        self._shown[index] = row.qty
        if row.qty is None:
            return
        if row.qty == agreeing[0]:
            self._firm[index] = row.qty
        if row.orders_complete and row.trades_complete:
            self.usable_at[index] = fact.sent_at
        if not self.courses[index].ever_was(row.qty):
            self.deceived.add(index)
        self._show_held(index, row.qty, fact.taken_at, fact.at)
        word_at = self._adopting.get(index)
        if word_at is not None and fact.sent_at >= word_at and row.qty in agreeing:
            self.ours[index] = self.known[index]

    def _show_held(self, index: int, qty: int, taken_at: int, at: int) -> None:
        """A position is shown: it tells of others' doing if it differs from what is known."""
        changes = self.courses[index].shown_by_position(qty, taken_at)
        if sum(change.qty for change in changes) == 0:
            # What cancels itself out cannot be seen, and there is nothing to heed.
            for change in changes:
                change.shown_at = at - REACTION_NS
        elif qty != self.known[index]:
            self._show(index, changes, at, named=False)

    def _moved(self, fact: PositionMoved) -> None:
        found = self.courses[fact.instrument].shown_by_position(fact.qty, fact.venue_at)
        self._show(fact.instrument, found, fact.at, named=True)

    def _word(self, fact: OperatorCommanded) -> None:
        """An operator takes positions from the venue, or says himself how much is held."""
        if fact.command not in ADOPTING:
            return
        for index in self._meant(fact.target):
            self._adopting[index] = fact.at
            if fact.qty is not None:
                self._told_by_person(index, fact.qty, fact.at)
            elif index in self.hidden:
                self.ours[index] = self.known[index]

    def _meant(self, target: str) -> Iterable[int]:
        for name, legs in self.pairs.items():
            if target in ("", name):
                yield from legs

    def _told_by_person(self, index: int, qty: Decimal, at: int) -> None:
        course = self.courses[index]
        if abs(self.instruments[index].base(course.qty)) == qty:
            self._show(index, course.unshown(), at, named=True)
            self.ours[index] = self.known[index]


def _toward_zero(qty: int, change: int) -> int:
    """A position after a change against it, which does not take it beyond zero."""
    after = qty + change
    return after if after * qty > 0 else 0
