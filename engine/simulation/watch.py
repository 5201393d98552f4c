"""Checkers that watch a simulated run from outside, with their own arithmetic and ledger.

They read what the venues did (truth), what the engine was told, what it sent and what it wrote, and
never ask a machine. A violation is a sentence with its time; the run fails by it whatever it was
expected to do. Ids are those of the invariant list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from engine.simulation.outcome import seconds_text
from machines.messages import (
    Cancel,
    CancelForeign,
    Fact,
    FillReported,
    OperatorCommanded,
    OrderReported,
    Place,
    TruthRead,
)
from machines.types import Instrument

ZERO = Decimal(0)
ADOPTING = ("adopt", "release")
ENDS = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED"})


class Pair:
    """What the checkers remember of one pair while it is being closed."""

    __slots__ = ("closing", "instruments", "name", "start")

    def __init__(self, name: str, instruments: tuple[int, ...]) -> None:
        self.name = name
        self.instruments = instruments
        self.closing = False
        self.start: dict[int, int] = {}


class Watch:
    """Continuous checks; the lists hold descriptions with their time, empty if all is well."""

    def __init__(self, instruments: list[Instrument], pairs: Mapping[str, tuple[int, ...]]) -> None:
        self.instruments = instruments
        self.pairs = {name: Pair(name, legs) for name, legs in pairs.items()}
        self.owner = {index: pair for pair in self.pairs.values() for index in pair.instruments}
        self.checked = 0
        self.violated: list[str] = []
        self.max_naked_base: dict[str, Decimal] = dict.fromkeys(pairs, ZERO)
        self.position_flips: list[str] = []
        self.two_live_orders: list[str] = []
        self.order_larger: list[str] = []
        self.sent_before_journalled: list[str] = []
        self.known = dict.fromkeys(range(len(instruments)), 0)
        self.cums: dict[int, int] = {}
        self.trades: dict[int, dict[str, int]] = {}
        self.sides: dict[int, tuple[int, int]] = {}
        self.durable: set[int] = set()
        self.external: set[int] = set()
        #: When somebody else last traded an instrument, whether or not the engine has heard of it.
        self.strange: dict[int, int] = {}
        self.external_trades: set[tuple[int, str]] = set()
        #: Instruments whose position an operator takes from the venue, and when he said so.
        self.adopting: dict[int, int] = {}
        self.shown: dict[int, int | None] = {}
        #: When the newest read of each instrument was asked; an older one that comes late is void.
        self.asked: dict[int, int] = {}
        self.overfilled: set[int] = set()
        #: Orders that a venue reported dead: if they live on, that is the venue's own breach.
        self.told_dead: set[int] = set()
        self.now = 0
        self.origin = 0

    def _note(self, where: list[str], invariant: str, text: str) -> None:
        line = f"{seconds_text(self.now - self.origin)} s: {text}"
        if line not in where:
            where.append(line)
        if invariant:
            entry = f"{invariant} {line}"
            if entry not in self.violated:
                self.violated.append(entry)

    # ------------------------------------------------------------ what the engine is told

    def declare(self, index: int, qty: int) -> None:
        """A position that the engine starts with."""
        self.known[index] = qty

    def told(self, fact: Fact) -> None:
        """A fact reached the engine: keep our own count of what it must know by now."""
        kind = type(fact)
        if kind is FillReported and isinstance(fact, FillReported):
            self._told_fill(fact)
        elif kind is OrderReported and isinstance(fact, OrderReported):
            if fact.status in ENDS and fact.cum is not None:
                self.told_dead.add(fact.order)
            if fact.cum is not None:
                self._raise(fact.order, fact.cum)
        elif kind is TruthRead and isinstance(fact, TruthRead):
            self._told_truth(fact)
        elif kind is OperatorCommanded and isinstance(fact, OperatorCommanded):
            self._told_word(fact)

    def _told_word(self, fact: OperatorCommanded) -> None:
        if fact.command in ADOPTING:
            for pair in self.pairs.values():
                if fact.target in ("", pair.name):
                    self.adopting.update(dict.fromkeys(pair.instruments, fact.at))

    def _told_fill(self, fact: FillReported) -> None:
        if fact.order:
            self._told_trade(fact.order, fact.trade, fact.qty, fact.cum or 0)
        elif (fact.instrument, fact.trade) not in self.external_trades:
            self.external_trades.add((fact.instrument, fact.trade))
            self.external.add(fact.instrument)
            self.known[fact.instrument] += fact.side * fact.qty

    def _told_trade(self, order: int, trade: str, qty: int, cum: int) -> None:
        trades = self.trades.setdefault(order, {})
        trades[trade] = qty
        self._raise(order, max(sum(trades.values()), cum))

    def _told_truth(self, fact: TruthRead) -> None:
        """Learn of trades, and of what an operator adopts: a position that two reads show."""
        for row in fact.rows:
            index, shown = row.instrument, self.shown.get(row.instrument)
            if fact.sent_at < self.asked.get(index, 0):
                continue
            self.asked[index] = fact.sent_at
            for trade in row.trades:
                self._told_trade(trade.order, trade.trade, trade.qty, 0)
            self.shown[index] = row.qty
            adopted = index in self.adopting and fact.sent_at >= self.adopting[index]
            if adopted and row.qty is not None and row.qty == shown:
                self.known[index] = self.owner[index].start[index] = row.qty

    def _raise(self, order: int, cum: int) -> None:
        side = self.sides.get(order)
        before = self.cums.get(order, 0)
        if side is None or cum <= before:
            return
        self.cums[order] = cum
        self.known[side[1]] += side[0] * (cum - before)

    def wrote(self, orders: Iterable[int]) -> None:
        """Intents that are durable now."""
        self.durable.update(orders)

    # ------------------------------------------------------------ what the engine sends

    def sent(self, command: Any) -> None:
        """A command leaves the engine (I1, I2, I6, I7)."""
        kind = type(command)
        if kind is Cancel or kind is CancelForeign:
            return
        if kind is not Place:
            return
        self.checked += 1
        key = self.instruments[command.instrument].key
        if command.order not in self.durable:
            self._note(self.sent_before_journalled, "I1", f"{key}: sent without a durable intent")
        if command.order in self.sides:
            self._note(self.violated, "I2", f"{key}: order {command.order} sent twice")
        self.sides[command.order] = (command.side, command.instrument)
        self.adopting.pop(command.instrument, None)
        pair = self.owner.get(command.instrument)
        if pair is None or not pair.closing:
            return
        known = self.known[command.instrument]
        if command.qty > abs(known) or known * command.side >= 0:
            text = f"{key}: order of {command.qty} units with {known} known to be held"
            self._note(self.order_larger, "I6", text)

    # ------------------------------------------------------------ what the venues hold

    def settled(
        self,
        now: int,
        positions: Mapping[int, int],
        alive: Mapping[int, int],
        overfilled: Iterable[int] = (),
    ) -> None:
        """An instant is over: look at the venues' own books (I6, I7, exposure)."""
        self.now = now
        self.checked += 1
        self.overfilled.update(overfilled)
        for pair in self.pairs.values():
            if not pair.closing:
                continue
            net = ZERO
            for index in pair.instruments:
                qty = positions[index]
                net += self.instruments[index].base(qty)
                start = pair.start.get(index, 0)
                others = index in self.external or index in self.strange
                excused = index in self.overfilled or others
                if qty * start < 0 and not excused:
                    key = self.instruments[index].key
                    self._note(self.position_flips, "I7", f"{key}: {start} became {qty}")
                if alive.get(index, 0) > 1:
                    key = self.instruments[index].key
                    self._note(self.two_live_orders, "I6", f"{key}: two live orders")
            if len(pair.instruments) == 2:
                self.max_naked_base[pair.name] = max(self.max_naked_base[pair.name], abs(net))

    def closing(self, name: str, positions: Mapping[int, int]) -> None:
        """A close of the pair begins: its positions are what must not flip."""
        pair = self.pairs[name]
        if not pair.closing:
            pair.closing = True
            pair.start = {index: positions[index] for index in pair.instruments}

    # ------------------------------------------------------------ claims and the end

    def claimed(
        self,
        name: str,
        residual: Mapping[int, int],
        dust: Mapping[int, int],
        kept: Mapping[int, int],
        alive: Mapping[int, int],
        positions: Mapping[int, int],
    ) -> None:
        """The engine says that a close has ended: hold the claim against the venues (I9)."""
        self.checked += 1
        for index in self.pairs[name].instruments:
            key = self.instruments[index].key
            if alive.get(index, 0):
                self._note(self.violated, "I9", f"{key}: reconciled with a live order")
            # A claim rests on reads: a trade since the newest was asked is news on its way.
            overtaken = self.strange.get(index, -1) > self.asked.get(index, -1)
            if positions[index] != kept[index] + dust[index] and not overtaken:
                held = positions[index]
                text = (
                    f"{key}: reconciled with {held} units at the venue, claimed {residual[index]}"
                )
                self._note(self.violated, "I9", text)

    def ended(self, believed: Mapping[int, int], positions: Mapping[int, int]) -> None:
        """The run is over and quiet: belief and truth must be the same (I5)."""
        self.checked += 1
        for index, qty in believed.items():
            if index not in self.external and qty != positions[index]:
                key = self.instruments[index].key
                text = f"{key}: the engine believes {qty} units, the venue holds {positions[index]}"
                self._note(self.violated, "I5", text)
