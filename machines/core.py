"""The core: takes one fact, lets the machines concerned fire their rows, returns commands.

`Core.step(fact)` is the whole interface: a registry of machines, routing by id, run to completion.
The same facts give the same state and commands, live, simulated or replayed. It must not read a
clock, draw a number, log or wait; time and ids arrive in the facts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from machines.close import TABLE as CLOSE
from machines.close_model import Close
from machines.env import SEQ_BITS, STOP, Env
from machines.errors import IllegalTransition, InvariantBroken
from machines.evidence import Evidence
from machines.holding import TABLE as HOLDING
from machines.holding_model import Holding
from machines.lane import TABLE as LANE
from machines.lane import Lane
from machines.leg import TABLE as LEG
from machines.leg_model import Leg, is_interested
from machines.links import Links
from machines.messages import (
    Alarm,
    CloseRequested,
    EngineStarted,
    Fact,
    FundingPaid,
    Place,
    PositionDeclared,
    TimerFired,
    TopMoved,
    TopSeen,
)
from machines.order import TABLE as ORDER
from machines.order_model import Order
from machines.requests import Requests
from machines.session import TABLE as SESSION
from machines.session import Session
from machines.table import Out, Table, Transition
from machines.types import Instrument, PairSettings, SessionSettings, Urgency, VenueSettings

TABLES: dict[type, Table] = {
    Order: ORDER,
    Leg: LEG,
    Close: CLOSE,
    Holding: HOLDING,
    Session: SESSION,
    Lane: LANE,
}

#: Closes that have ended are kept for late fills until this many newer ones have ended.
FINISHED_MAX = 1024


class Core(Requests, Evidence, Links):
    """All machines of one engine.

    `tracing` keeps the transitions of each step in `Out.trace`; `recording` collects the books that
    a step consumed in `seen`, for the journal.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        venues: Iterable[VenueSettings],
        pairs: Iterable[PairSettings],
        session: SessionSettings | None = None,
        *,
        tracing: bool = False,
        recording: bool = False,
    ) -> None:
        self.env = env = Env()
        self.tracing = tracing
        self.recording = recording
        self.seen: list[TopSeen] = []
        settings = session or SessionSettings()
        self.sessions = {venue.name: Session(venue, settings, env) for venue in venues}
        self.lanes = {name: each.lane for name, each in self.sessions.items()}
        self.holdings = [
            Holding(
                each,
                self.sessions[each.venue].venue,
                self.sessions[each.venue],
                self.lanes[each.venue],
                env,
            )
            for each in instruments
        ]
        self.books = [holding.book for holding in self.holdings]
        self.pairs = {pair.name: pair for pair in pairs}
        self.closes: dict[str, Close] = {}
        #: The whole of a pair, asked for while a part of it is closed: with its urgency.
        self.following: dict[str, tuple[Urgency, CloseRequested]] = {}
        self.finished: deque[Close | Order] = deque()
        self.close_count = 0
        self.out = Out()
        self.handlers: dict[type, Any] = {
            EngineStarted: self._started,
            PositionDeclared: self._declared,
            TimerFired: self._timer,
            TopMoved: self._top_moved,
            FundingPaid: self._funding,
            **self.request_handlers(),
            **self.evidence_handlers(),
            **self.link_handlers(),
        }

    # ------------------------------------------------------------ the interface

    def step(self, fact: Fact) -> Out:
        """Let one fact run to completion; returns commands in order, trace and answer.

        A row that is missing or an invariant that breaks quarantines the close concerned and
        raises an alarm; nothing is swallowed and the other machines go on.
        """
        self.out = out = Out([] if self.tracing else None, fact.at)
        try:
            self.handlers[type(fact)](fact, out)
            if out.mail:
                self.drain(out)
        except (IllegalTransition, InvariantBroken) as error:
            self._quarantine(error, out)
        return out

    def quote(
        self,
        instrument: int,
        at: int,
        venue_at: int,
        bid: int,
        bid_qty: int,
        ask: int,
        ask_qty: int,
        mark: int,
    ) -> TopMoved | None:
        """Take a top of book; returns a fact to step when a machine was waiting for it.

        Quotes that concern nobody change nothing but the book and are not recorded.
        """
        book = self.books[instrument]
        book.at = at
        book.venue_at = venue_at
        book.bid = bid
        book.bid_qty = bid_qty
        book.ask = ask
        book.ask_qty = ask_qty
        book.mark = mark
        book.fresh = True
        if book.watchers:
            for leg in book.watchers:
                if is_interested(leg, at):
                    return TopMoved(at, instrument)
        return None

    def is_due(self, machine: int, tag: str, due: int) -> bool:
        """Whether a timer is still wanted; a disarmed or re-armed one is stale."""
        env = self.env
        target = (env.orders if machine >> SEQ_BITS else env.machines).get(machine)
        return target is not None and target.timers.get(tag) == due

    def machine(self, uid: int) -> Any:
        """The machine behind a timer address, None once it was retired."""
        return (self.env.orders if uid >> SEQ_BITS else self.env.machines).get(uid)

    def timers(self) -> Iterator[tuple[int, str, int]]:
        """Every armed timer as (machine, tag, due), in a fixed order."""
        for machine in (*self.env.machines.values(), *self.env.orders.values()):
            for tag, due in machine.timers.items():
                yield machine.uid, tag, due

    def take_seen(self) -> tuple[TopSeen, ...]:
        """The books consumed since the last call."""
        if not self.seen:
            return ()
        seen = tuple(self.seen)
        self.seen.clear()
        return seen

    # ------------------------------------------------------------ running

    def drain(self, out: Out) -> None:
        """Deliver the messages between machines until there are none."""
        mail = out.mail
        while mail:
            machine, trigger, message = mail.popleft()
            kind = type(machine)
            TABLES[kind].fire(machine, trigger, message, out)
            if kind is Close and machine.state != machine.dwelling:
                machine.note_state(out.now)
                if machine.state == "reconciled":
                    self._retire(machine, out)

    def _quarantine(self, error: IllegalTransition | InvariantBroken, out: Out) -> None:
        """Stop creating for the close whose machine broke; tell a person; let the others go on.

        Of the broken close nothing more is delivered but `break`, which cancels what rests.
        """
        stopped: list[Close] = []
        while True:
            close = owner_of(error.culprit)
            name = close.id if close is not None else "core"
            out.commands.append(Alarm(out.now, "machine_error", name, str(error)))
            if close is not None:
                out.mail = deque(each for each in out.mail if owner_of(each[0]) is not close)
                mine = {order.uid for leg in close.legs for order in leg.orders}
                out.commands = [
                    each
                    for each in out.commands
                    if not (isinstance(each, Place) and each.order in mine)
                ]
                if close not in stopped:
                    stopped.append(close)
                    out.tell(close, "break")
            try:
                self.drain(out)
            except (IllegalTransition, InvariantBroken) as again:
                error = again
            else:
                return

    def _retire(self, close: Close, out: Out) -> None:
        if not close.retired:
            close.retired = True
            self._keep(close)
            self.follow(close, out)

    def _keep(self, machine: Close | Order) -> None:
        """Keep a machine for late facts; beyond the bound the oldest go, two for each newcomer.

        One still in use goes to the back instead, so no loop: all may be in use.
        """
        self.finished.append(machine)
        for _ in range(min(2, len(self.finished) - FINISHED_MAX)):
            self._forget(self.finished.popleft())

    def _forget(self, machine: Close | Order) -> None:
        orders = self.env.orders
        if isinstance(machine, Order):
            if machine.alive:
                self.finished.append(machine)
            else:
                orders.pop(machine.uid, None)
            return
        doubted = any(order.alive for leg in machine.legs for order in leg.orders)
        if doubted or machine.state != "reconciled" or self.closes.get(machine.id) is machine:
            self.finished.append(machine)
            return
        self.env.machines.pop(machine.uid, None)
        for leg in machine.legs:
            self.env.machines.pop(leg.uid, None)
            for order in leg.orders:
                orders.pop(order.uid, None)

    def remember_single(self, order: Order) -> None:
        """Keep an order of no ladder for late fills, within the bound."""
        self._keep(order)

    def touch(self, close: Close) -> None:
        """Note which books this step may consume."""
        if self.recording:
            for leg in close.legs:
                book = leg.book
                if book.fresh:
                    book.fresh = False
                    self.seen.append(book.seen(leg.instrument.index))

    # ------------------------------------------------------------ requests

    def _started(self, fact: EngineStarted, out: Out) -> None:
        env = self.env
        env.epoch = fact.epoch
        env.seq = 0
        if env.halted_by == STOP:
            env.halted = False
            env.halted_by = ""
        for session in self.sessions.values():
            out.tell(session, "restarted")
        for holding in self.holdings:
            out.tell(holding, "gap")
        for order in list(env.orders.values()):
            if order.alive:
                out.tell(order, "restarted")
        for close in self.closes.values():
            self.touch(close)
            if close.state != "reconciled":
                out.tell(close, "restarted")
                out.tell(close, "venue_moved")

    def _declared(self, fact: PositionDeclared, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        holding.qty = holding.owned = fact.qty
        holding.entry = fact.entry
        holding.declared_at = fact.at

    # ------------------------------------------------------------ time, books, payments

    def _timer(self, fact: TimerFired, out: Out) -> None:
        machine = self.machine(fact.machine)
        if machine is None or machine.timers.get(fact.tag) != fact.due:
            return
        del machine.timers[fact.tag]
        kind = type(machine)
        if kind is Order:
            if machine.leg is not None:
                self.touch(machine.leg.close)
        elif kind is Leg:
            self.touch(machine.close)
        elif kind is Close:
            self.touch(machine)
        TABLES[kind].fire(machine, fact.tag, fact, out)
        if kind is Lane:
            self.recheck_venue(machine.id, out)

    def _top_moved(self, fact: TopMoved, out: Out) -> None:
        book = self.books[fact.instrument]
        for leg in tuple(book.watchers):
            self.touch(leg.close)
            out.tell(leg, "recheck", fact)

    def _funding(self, fact: FundingPaid, out: Out) -> None:
        """A payment belongs to the close that owns the position when it is told, to no other."""
        holding = self.holdings[fact.instrument]
        if holding.remember(fact.key) and holding.owner is not None:
            holding.owner.funding += fact.amount


def owner_of(machine: Any) -> Close | None:
    """The close that a machine belongs to, if it belongs to one."""
    if isinstance(machine, Order):
        machine = machine.leg
    if isinstance(machine, Leg):
        machine = machine.close
    return machine if isinstance(machine, Close) else None


__all__ = ["FINISHED_MAX", "TABLES", "Core", "Transition", "owner_of"]
