"""Every interleaving of a few facts over a small world: a close, two legs, their orders, venues.

The real core takes the facts that `small_world` says are possible next. After every fact the safety
invariants are held against the venues' truth. States that were reached before with as many facts
left are not gone through again. It must not help the core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.simulation.memento import ALARM_ONLY, Memento, key_of
from engine.simulation.small_world import (
    START,
    VENUES,
    Coming,
    Ticket,
    Venues,
    World,
    changed,
    small_core,
)
from machines.close_model import Close
from machines.messages import (
    Alarm,
    Cancel,
    CloseRequested,
    Command,
    Fact,
    OrderSent,
    Place,
    QueryOrder,
    ReadTruth,
)


class Violation(Struct, frozen=True):
    """An invariant that broke, and the facts that led there."""

    text: str
    path: tuple[str, ...]


class Explored(Struct):
    """What was gone through; `cut` counts ways that ended because a leg had its orders."""

    states: int = 0
    steps: int = 0
    cut: int = 0
    rows: set[tuple[str, int]] = set()
    violations: list[Violation] = []


#: States between two reports of how far a search is.
REPORT_EVERY = 10_000


class Explorer:
    """One search. `run()` goes through everything and returns what it found.

    `progress` is told the number of states from time to time.
    """

    def __init__(self, world: World, progress: Callable[[int], None] | None = None) -> None:
        self.world = world
        self.progress = progress
        self.core = small_core(world)
        self.now = START
        self.found = Explored()
        self._seen: dict[int, int] = {}
        self._path: list[str] = []

    def run(self) -> Explored:
        """Start the close, then try every fact that can come next, to the depth of the world."""
        start = CloseRequested(self.now, "x", "MANUAL")
        lots = self.world.lots
        venues = self._step(Venues((lots, -lots)), (start,))
        self._visit(venues, self.world.facts)
        return self.found

    # ------------------------------------------------------------ the search

    def _visit(self, venues: Venues, left: int) -> None:
        key = self._key(venues)
        known = self._seen.get(key)
        if known is None:
            self.found.states += 1
            if self.progress is not None and self.found.states % REPORT_EVERY == 0:
                self.progress(self.found.states)
        elif known >= left:
            return
        self._seen[key] = left
        if left == 0:
            return
        if any(
            sum(ticket.leg == leg for ticket in venues.tickets) > self.world.orders
            for leg in (0, 1)
        ):
            self.found.cut += 1
            return
        now, memento = self.now, Memento(self.core)
        for label, after, facts, at in Coming(self.world, self.core, now).moves(venues):
            self.now = at
            self._path.append(label)
            broken = len(self.found.violations)
            following = self._step(after, facts)
            self.found.steps += 1
            if len(self.found.violations) == broken:
                self._visit(following, left - 1)
            self._path.pop()
            memento.restore(self.core)
            self.now = now

    def _key(self, venues: Venues) -> int:
        return hash((key_of(self.core, self.now), self._view(venues)))

    def _view(self, venues: Venues) -> tuple[Any, ...]:
        reads = sorted((venue, scope, at - self.now) for venue, scope, at in venues.reads)
        tickets = [
            (
                (t.leg, t.where, t.cum, t.told, t.end, t.told_dead),
                (t.cancel, t.asked, t.ended_once, t.trades),
            )
            for t in sorted(venues.tickets, key=lambda t: (t.leg, t.uid))
        ]
        strangers = venues.foreign, venues.shown
        return venues.held, tuple(tickets), tuple(reads), venues.used, venues.withdrawn, strangers

    # ------------------------------------------------------------ one step

    def _step(self, venues: Venues, facts: Sequence[Fact]) -> Venues:
        """Let the core take facts, and the venues its commands; hold both to the invariants."""
        core = self.core
        waiting = list(facts)
        while waiting:
            fact = waiting.pop(0)
            for book in core.books:
                book.at = book.venue_at = self.now
            out = core.step(fact)
            for move in out.trace or ():
                self.found.rows.add((move.machine, move.row))
                if move.machine == "close" and move.dest == "reconciled" != move.source:
                    venues = self._ended(venues)
            for command in out.commands:
                venues = self._obey(venues, command, waiting)
        self._check(venues)
        return venues

    def _obey(self, venues: Venues, command: Command, waiting: list[Fact]) -> Venues:
        if isinstance(command, Place):
            self._check_place(venues, command)
            ticket = Ticket(
                command.order, command.leg, command.side, command.qty, command.tif == "IOC"
            )
            waiting.append(OrderSent(self.now, command.order))
            return replace(venues, tickets=(*venues.tickets, ticket))
        if isinstance(command, Cancel | QueryOrder):
            change = {"cancel": True} if isinstance(command, Cancel) else {"asked": True}
            return changed(venues, command.order, **change)
        if isinstance(command, ReadTruth):
            read = (command.venue, command.scope, self.now)
            return replace(
                venues, reads=(*venues.reads, read) if read not in venues.reads else venues.reads
            )
        if isinstance(command, Alarm) and command.kind == "machine_error":
            self._break(f"a machine broke: {command.text}")
        return venues

    # ------------------------------------------------------------ the invariants

    def _break(self, text: str) -> None:
        self.found.violations.append(Violation(text, tuple(self._path)))

    def _check_place(self, venues: Venues, command: Place) -> None:
        leg = command.leg
        mine = [t for t in venues.tickets if t.leg == leg]
        start = (1, -1)[leg] * self.world.lots
        known = start + sum(t.side * t.told for t in mine)
        if any(not t.told_dead for t in mine if t.where != "gone") or any(
            self.core.env.orders[t.uid].alive for t in mine if t.where == "gone"
        ):
            self._break(f"I6: {VENUES[leg]}: a second order while an earlier one may fill")
        left = known + venues.foreign[leg] if venues.shown[leg] else known
        if command.side * known >= 0 or command.qty > abs(known):
            self._break(f"I6: {VENUES[leg]}: an order of {command.qty} with {known} known")
        elif command.side * left >= 0 or command.qty > abs(left):
            self._break(f"I6: {VENUES[leg]}: an order of {command.qty} with {left} left")
        if self.core.env.halted:
            self._break(f"{VENUES[leg]}: an order while halted")
        if venues.withdrawn:
            self._break(f"{VENUES[leg]}: an order after the close was withdrawn")

    def _ended(self, venues: Venues) -> Venues:
        close = self.core.closes["x"]
        alive = [t for t in venues.tickets if t.where in ("sent", "open")]
        if alive:
            self._break(f"I9: ended {close.outcome} with {len(alive)} orders alive")
        if close.outcome == "withdrawn":
            return replace(venues, withdrawn=True)
        # What strangers did and nobody has shown yet may be left.
        known = [
            held and (shown or not foreign)
            for held, shown, foreign in zip(venues.held, venues.shown, venues.foreign, strict=True)
        ]
        if any(known):
            self._break(f"I9: ended {close.outcome} with {venues.held} held")
        return venues

    def _check(self, venues: Venues) -> None:
        core, lots = self.core, self.world.lots
        for index, sign in enumerate((1, -1)):
            held = venues.held[index]
            if held * sign < 0 and not venues.foreign[index]:
                self._break(f"I7: {VENUES[index]} turned from {sign * lots} to {held}")
        for t in venues.tickets:
            order = core.env.orders[t.uid]
            if order.cum > t.cum:
                self._break(f"I4: {order.id} believed to have filled {order.cum} of {t.cum}")
            if not order.alive and t.where in ("sent", "open"):
                self._break(f"I9: {order.id} believed dead, and alive at the venue")
        close = core.closes["x"]
        self._check_awake(close)

    def _check_awake(self, close: Close) -> None:
        """Whatever waits must wait for something that comes by itself: a timer of its own."""
        if close.state in ("reconciled", "frozen", "quarantined") or self.core.env.halted:
            return
        machines: list[Any] = [
            close,
            *close.legs,
            *(order for leg in close.legs for order in leg.orders),
            *self.core.holdings,
            *(session for session in self.core.sessions.values() if not session.trusted),
        ]
        if not any(machine.timers.keys() - {ALARM_ONLY} for machine in machines):
            self._break(f"asleep: {close.state} with legs {[leg.state for leg in close.legs]}")
