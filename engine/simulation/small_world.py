"""A world small enough to be gone through: two venues with their own truth, and what may come next.

`Coming` says which facts are possible in a situation: acks, refusals, fills told and untold, lost
answers, ends, reads, timers, a person, a stranger who trades once and a gap that hides what happens
in it. It keeps its own ledger, and shares no arithmetic with the core. It must not judge what the
core does.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.simulation.memento import ALARM_ONLY
from machines.core import Core
from machines.messages import (
    CallLost,
    CancelRefused,
    CloseRequested,
    EngineStarted,
    Fact,
    FillReported,
    InstrumentTruth,
    LinkOpened,
    LinkStale,
    OpenOrder,
    OperatorCommanded,
    OrderMissing,
    OrderRefused,
    OrderReported,
    PositionDeclared,
    QueryFailed,
    TimerFired,
    TradeRow,
    TruthFailed,
    TruthRead,
)
from machines.types import NS, CloseSettings, Instrument, PairSettings, VenueSettings

START = 1_000 * NS
PRICE = 10_000
VENUES = ("a", "b")
#: What a person may do in between, each once; `resume` only after `halt`.
PERSON = ("halt", "resume", "kill", "withdraw")


class World(Struct, frozen=True):
    """How small the world is: lots and orders per leg, facts in a row, and who else is in it.

    `stranger`: somebody else trades once, and one venue's word is missed for a while, once.
    """

    lots: int = 3
    orders: int = 2
    facts: int = 8
    person: bool = False
    stranger: bool = False


class Ticket(Struct, frozen=True):
    """One order as its venue has it. `where` is sent, open, gone (never arrived) or dead.

    `told` is the quantity that the engine was told of, `told_dead` that it was told of the end;
    `trades` are its fills, each as (quantity after it, its own).
    """

    uid: int
    leg: int
    side: int
    qty: int
    ioc: bool
    where: str = "sent"
    cum: int = 0
    told: int = 0
    end: str = ""
    told_dead: bool = False
    cancel: bool = False
    asked: bool = False
    ended_once: bool = False
    trades: tuple[tuple[int, int], ...] = ()

    @property
    def rest(self) -> int:
        return self.qty - self.cum


class Venues(Struct, frozen=True):
    """The venues' own truth, and what the engine still waits for from them.

    `foreign` is what strangers changed on each leg, `shown` whether the engine was shown it.
    """

    held: tuple[int, int]
    foreign: tuple[int, int] = (0, 0)
    shown: tuple[bool, bool] = (False, False)
    tickets: tuple[Ticket, ...] = ()
    reads: tuple[tuple[str, int, int], ...] = ()
    used: tuple[str, ...] = ()
    withdrawn: bool = False


#: What happens in words, the venues after it, the facts that the engine hears, and when.
Move = tuple[str, Venues, tuple[Fact, ...], int]


def small_core(world: World) -> Core:
    """A core with a long leg on a and a short one on b, everything known and trusted."""
    rules = [
        Instrument(
            index=index,
            key=f"{venue}:X",
            venue=venue,
            symbol="X",
            tick=Decimal("0.01"),
            unit=Decimal(1),
            lot=1,
            min_qty=1,
            min_notional=0,
        )
        for index, venue in enumerate(VENUES)
    ]
    settings = replace(CloseSettings(), break_even=False)
    core = Core(
        rules,
        [VenueSettings(venue) for venue in VENUES],
        [PairSettings("x", (0, 1), settings)],
        tracing=True,
    )
    now = START
    core.step(EngineStarted(now, 1))
    for index, sign in enumerate((1, -1)):
        core.step(PositionDeclared(now, index, sign * world.lots, Decimal(100)))
        core.quote(index, now, now, PRICE, 1000, PRICE + 20, 1000, PRICE + 10)
    for index, venue in enumerate(VENUES):
        core.step(LinkOpened(now, venue))
        truth = InstrumentTruth(index, (1, -1)[index] * world.lots, Decimal(100))
        for _ in range(2):
            core.step(TruthRead(now, now, now, venue, -1, (truth,)))
    return core


class Coming:
    """What may come next in one situation of the world."""

    def __init__(self, world: World, core: Core, now: int) -> None:
        self.world = world
        self.core = core
        self.now = now

    def moves(self, venues: Venues) -> Iterator[Move]:
        for number, ticket in enumerate(venues.tickets):
            for label, after, facts in self._of_order(venues, ticket):
                yield f"{VENUES[ticket.leg]}#{number}: {label}", after, facts, self.now
        for read in venues.reads:
            yield from self._of_read(venues, read)
        yield from self._of_time(venues)
        for word in PERSON if self.world.person else ():
            if word not in venues.used and (word != "resume" or "halt" in venues.used):
                yield self._of_person(venues, word)
        if self.world.stranger:
            yield from self._of_stranger(venues)
            yield from self._of_gap(venues)

    def _of_order(
        self, venues: Venues, t: Ticket
    ) -> Iterator[tuple[str, Venues, tuple[Fact, ...]]]:
        now, uid = self.now, t.uid

        def to(**change: Any) -> Venues:
            return changed(venues, uid, **change)

        def report(status: str, cum: int, path: str) -> tuple[Fact, ...]:
            return (OrderReported(now, now, uid, path, status, cum),)  # type: ignore[arg-type]

        if t.where == "sent":
            yield from self._of_create(venues, t)
        elif t.where == "open":
            for quantity in sorted({1, t.rest}):
                yield f"fills {quantity}", *self._filled(venues, t, quantity, told=True)
            yield f"fills {t.rest}, untold", *self._filled(venues, t, t.rest, told=False)
            if not t.ended_once:
                ended = to(
                    where="dead", end="CANCELED", told=t.cum, told_dead=True, ended_once=True
                )
                yield "ended by the venue", ended, report("CANCELED", t.cum, "stream")
        if t.cancel:
            if t.where == "open":
                dead = {"where": "dead", "end": "CANCELED"}
                told = to(**dead, cancel=False, told=t.cum, told_dead=True)
                yield "cancelled", told, report("CANCELED", t.cum, "cancel")
                yield (
                    "cancelled, answer lost",
                    to(**dead, cancel=False),
                    (CallLost(now, uid, "cancel", "timeout"),),
                )
            refused = CancelRefused(now, uid, "UNKNOWN_ORDER")
            yield "cancel refused", to(cancel=False), (refused,)
        if t.asked:
            yield self._answered(venues, t)
            yield "query failed", to(asked=False), (QueryFailed(now, uid, now, "timeout"),)

    def _of_create(
        self, venues: Venues, t: Ticket
    ) -> Iterator[tuple[str, Venues, tuple[Fact, ...]]]:
        now, uid = self.now, t.uid
        lost = (CallLost(now, uid, "place", "timeout"),)
        refused = changed(venues, uid, where="dead", end="REJECTED", told_dead=True)
        yield "refused", refused, (OrderRefused(now, uid, "WOULD_CROSS"),)
        yield "answer lost, never arrived", changed(venues, uid, where="gone"), lost
        yield f"fills {t.rest}", *self._filled(venues, t, t.rest, told=True)
        if t.ioc:
            for quantity in range(t.rest):
                after, _ = self._filled(venues, t, quantity, told=False)
                cum = t.cum + quantity
                after = changed(after, uid, where="dead", end="EXPIRED", told=cum, told_dead=True)
                fact = OrderReported(now, now, uid, "stream", "EXPIRED", cum)
                yield f"ends with {quantity}", after, (fact,)
        else:
            rests = changed(venues, uid, where="open")
            yield "rests", rests, (OrderReported(now, now, uid, "ack", "OPEN", t.cum),)
            yield "rests, answer lost", rests, lost
            if t.rest > 1:
                yield "fills 1", *self._filled(venues, t, 1, told=True)

    def _filled(
        self, venues: Venues, t: Ticket, quantity: int, *, told: bool
    ) -> tuple[Venues, tuple[Fact, ...]]:
        cum = t.cum + quantity
        held = list(venues.held)
        held[t.leg] += t.side * quantity
        whole = cum >= t.qty
        change: dict[str, Any] = {"cum": cum, "where": "dead" if whole else "open"}
        if quantity:
            change |= {"trades": (*t.trades, (cum, quantity))}
        if whole:
            change |= {"end": "FILLED"}
        facts: tuple[Fact, ...] = ()
        if told:
            change |= {"told": cum, "told_dead": whole}
            trade = f"{t.uid}:{cum}"
            facts = (
                FillReported(
                    self.now, self.now, t.leg, t.uid, trade, t.side, PRICE, quantity, cum,
                    Decimal(0), True,
                ),
            )  # fmt: skip
        return changed(replace(venues, held=(held[0], held[1])), t.uid, **change), facts

    def _answered(self, venues: Venues, t: Ticket) -> tuple[str, Venues, tuple[Fact, ...]]:
        now = self.now
        if t.where in ("gone", "sent"):
            missing = OrderMissing(now, t.uid, now, "history")
            return "query: not found", changed(venues, t.uid, asked=False), (missing,)
        status = t.end if t.where == "dead" else "OPEN"
        after = changed(venues, t.uid, asked=False, told=t.cum, told_dead=t.where == "dead")
        fact = OrderReported(now, now, t.uid, "query", status, t.cum)
        return f"query: {status.lower()} {t.cum}", after, (fact,)

    def _of_read(self, venues: Venues, read: tuple[str, int, int]) -> Iterator[Move]:
        venue, scope, sent_at = read
        now = self.now
        left = replace(venues, reads=tuple(each for each in venues.reads if each != read))
        told, truth = self._read(left, venue, scope, sent_at)
        held = venues.held[VENUES.index(venue)]
        yield f"{venue}: read says {held}", told, (truth,), now
        yield (
            f"{venue}: read fails",
            left,
            (TruthFailed(now, sent_at, venue, scope, "timeout"),),
            now,
        )
        yield f"{venue}: read is never answered", left, (), now

    def _read(
        self, venues: Venues, venue: str, scope: int, sent_at: int
    ) -> tuple[Venues, TruthRead]:
        """What a venue answers, and the venues when the engine has heard it."""
        index, now = VENUES.index(venue), self.now
        listed = tuple(
            OpenOrder(t.uid, t.side, t.qty, t.cum, PRICE)
            for t in venues.tickets
            if t.leg == index and t.where == "open"
        )
        trades = tuple(
            TradeRow(t.uid, f"{t.uid}:{cum}", now, t.side, PRICE, quantity, Decimal(0), True)
            for t in venues.tickets
            if t.leg == index
            for cum, quantity in t.trades
        )
        rows = (InstrumentTruth(index, venues.held[index], Decimal(100), listed, trades),)
        told = _shown(venues, index)
        for t in venues.tickets:
            if t.leg == index:
                told = changed(told, t.uid, told=t.cum)
        return told, TruthRead(now, sent_at, now, venue, scope, rows)

    def _of_time(self, venues: Venues) -> Iterator[Move]:
        timers = [each for each in self.core.timers() if self._decides(each[0], each[1])]
        if not timers:
            return
        first = min(due for _, _, due in timers)
        at = max(first, self.now)
        for uid, tag, due in timers:
            if due == first:
                machine = self.core.machine(uid)
                label = (
                    f"{(due - START) / NS:g} s: {type(machine).__name__.lower()} {machine.id} {tag}"
                )
                yield label, venues, (TimerFired(at, uid, tag, due),), at

    def _decides(self, uid: int, tag: str) -> bool:
        """Whether a timer leads anywhere: not one that only tells a person.

        Where no word is missed sessions stay trusted: their timers lead elsewhere.
        """
        if tag == ALARM_ONLY:
            return False
        return self.world.stranger or type(self.core.machine(uid)).__name__ != "Session"

    def _of_stranger(self, venues: Venues) -> Iterator[Move]:
        """Somebody else trades, and the stream tells of it."""
        for index, change in self._strangers(venues):
            side = 1 if change > 0 else -1
            fact = FillReported(
                self.now, self.now, index, 0, "stranger", side, PRICE, abs(change), None,
                Decimal(0), False, "manual",
            )  # fmt: skip
            after = _shown(_traded(venues, index, change), index)
            yield f"{VENUES[index]}: a stranger trades {change}", after, (fact,), self.now

    def _of_gap(self, venues: Venues) -> Iterator[Move]:
        """A venue's word is missed; the first read tells of a stranger's trade in it."""
        if "gap" in venues.used:
            return
        for index, venue in enumerate(VENUES):
            missed = replace(venues, used=tuple(sorted((*venues.used, "gap"))))
            stale = LinkStale(self.now, venue, "gap")
            after = [("", missed)]
            for number, t in enumerate(venues.tickets):
                if t.leg == index and t.where == "open":
                    filled, _ = self._filled(missed, t, 1, told=False)
                    after.append((f", #{number} fills 1", filled))
            for label, each in tuple(after):
                after += [
                    (f"{label}, a stranger trades {change}", _traded(each, index, change))
                    for leg, change in self._strangers(each)
                    if leg == index
                ]
            for label, each in after:
                told, read = self._read(each, venue, -1, self.now)
                if "stranger" in each.used:
                    yield f"{venue}: a gap{label}", told, (stale, read), self.now
                else:
                    yield f"{venue}: a gap{label}", each, (stale,), self.now

    def _strangers(self, venues: Venues) -> Iterator[tuple[int, int]]:
        """What a stranger may do, once, as (leg, change): take one or all of it, or add one."""
        if "stranger" in venues.used:
            return
        for index, held in enumerate(venues.held):
            sign = (held > 0) - (held < 0)
            for change in sorted({-sign, -held, (1, -1)[index]} - {0}):
                yield index, change

    def _of_person(self, venues: Venues, word: str) -> Move:
        after = replace(venues, used=tuple(sorted((*venues.used, word))))
        if word == "kill":
            # A close that was withdrawn has ended; this asks for another one.
            after = replace(after, withdrawn=False)
            return "person: KILL", after, (CloseRequested(self.now, "x", "KILL"),), self.now
        command = {"withdraw": "cancel"}.get(word, word)
        fact = OperatorCommanded(self.now, command, "x" if word == "withdraw" else "")
        return f"person: {word}", after, (fact,), self.now


def _traded(venues: Venues, index: int, change: int) -> Venues:
    """The venues after a stranger's trade, of which the engine was not told."""
    held, foreign = list(venues.held), list(venues.foreign)
    held[index] += change
    foreign[index] += change
    return replace(
        venues,
        held=(held[0], held[1]),
        foreign=(foreign[0], foreign[1]),
        used=tuple(sorted((*venues.used, "stranger"))),
    )


def _shown(venues: Venues, index: int) -> Venues:
    """The venues when the engine was shown what a leg holds."""
    if not venues.foreign[index]:
        return venues
    first, second = venues.shown
    return replace(venues, shown=(True, second) if index == 0 else (first, True))


def changed(venues: Venues, uid: int, **change: Any) -> Venues:
    """The venues with one ticket changed."""
    tickets = tuple(replace(t, **change) if t.uid == uid else t for t in venues.tickets)
    return replace(venues, tickets=tickets)
