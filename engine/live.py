"""The running engine: dispatcher, committer and timers as tasks, and what stops them.

Facts are stepped in short slices; while one batch is being made durable the next one collects; a
command leaves only after the commit that covers it. It must not name a venue, read a file or know
how anything is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import anyio
import anyio.lowlevel
from loguru import logger
from msgspec.structs import replace

from engine.clock import SLICE_ACTIONS, SLICE_NS, Clock, Wake
from engine.dispatcher import BACKLOG_MAX, WAKE_GAP_NS, Batch, Dispatcher, Durable
from engine.heartbeat import BEAT_NS, Heartbeat
from engine.journal import AsyncJournal, JournalError
from engine.journal_errors import LeaseLost
from engine.memory import spare_collector
from engine.snapshot import Snapshot, Watch, take_snapshot
from engine.supervisor import describe
from engine.timers import NEVER
from machines.close_model import Close
from machines.core import Core
from machines.env import SEQ_BITS
from machines.messages import Alarm, Command, Fact, OperatorCommanded, Place
from machines.table import Out, Transition
from machines.types import MS, NS
from venues.port import Port

#: How long a batch of observations may wait for more of them.
_OBSERVATION_WAIT_S = 0.02
#: Facts stepped between two looks at the clock.
_CHUNK = 8
#: Numbers of sent orders that are kept before those of retired ones are dropped.
SENT_MAX = 4096
#: How long the cancels of a stopping engine may take to be confirmed.
PARK_NS = 6 * NS


class EngineFailed(Exception):
    """A part that the engine cannot do without has failed: nothing is taken any more."""


class Asked:
    """A person's command on its way; answered, with what it moved, once its fact is durable."""

    __slots__ = ("answer", "done", "seq", "trace")

    def __init__(self) -> None:
        self.answer = ""
        self.trace: tuple[Transition, ...] = ()
        self.seq = 0
        self.done = anyio.Event()


class Engine:
    """One live engine around a core and its journal.

    `on_trace(transitions)` and `on_alarm(alarm)` are told what happened, in order, and must return
    at once. `changed` wakes whoever conducts the run.
    """

    def __init__(
        self,
        core: Core,
        journal: AsyncJournal,
        clock: Clock,
        *,
        on_trace: Callable[[list[Transition]], None],
        on_alarm: Callable[[Alarm], None],
    ) -> None:
        self.core = core
        self.journal = journal
        self.clock = clock
        self.watch = Watch(core)
        self.started = clock.now()
        self.stopping = False
        self.failure = ""
        self.fenced = False
        self.changed = Wake()
        self.room: list[Wake] = []
        #: Called when the process stood still; must not raise.
        self.on_wake: list[Callable[[], None]] = []
        #: Called when a part has failed, before anybody else is told; must not raise.
        self.on_failure: list[Callable[[], None]] = []
        self.ports: dict[str, Port] = {}
        self.dispatcher: Dispatcher
        self._tell_trace = on_trace
        self._tell_alarm = on_alarm
        self._work = Wake()
        self._collected = Wake()
        self._intent = Wake()
        self._armed = Wake()
        self._committing = 0
        self._in_commit: Batch | None = None
        self._heart = Heartbeat(clock)
        self._sleeps_until = NEVER
        self._sent: set[int] = set()
        self._asked: dict[int, Asked] = {}
        self._answered: list[Asked] = []

    def connect(self, ports: dict[str, Port]) -> None:
        """Put the venues behind the dispatcher and arm the timers that the journal left."""
        self.ports = ports
        self.dispatcher = Dispatcher(
            self.core,
            # The committer below writes; the dispatcher only asks what is durable.
            cast(Durable, self.journal),
            ports,
            self.clock.now,
            wall=time.time_ns,
            on_step=self._stepped,
            on_alarm=self.alarm,
            on_send=self._sending,
        )
        self.dispatcher.timers.restore(self.core, self.clock.now())
        spare_collector()

    # ------------------------------------------------------------ facts in

    def fact(self, fact: Fact) -> None:
        """Queue a fact and see to it that it is stepped."""
        self.dispatcher.fact(fact)
        self._work.set()

    def top(
        self,
        instrument: int,
        venue_at: int,
        bid: int,
        bid_qty: int,
        ask: int,
        ask_qty: int,
        mark: int,
    ) -> None:
        """Take a top of book; most concern nobody and wake nobody."""
        if self.failure:
            return
        dispatcher = self.dispatcher
        dispatcher.top(instrument, venue_at, bid, bid_qty, ask, ask_qty, mark)
        if dispatcher.inbox:
            self._work.set()

    async def ask(self, fact: Fact) -> Asked:
        """Queue a person's command; return it with the core's answer once the fact is durable.

        Cancelled, the command still counts. Raises EngineFailed, and then it may not count.
        """
        asked = Asked()
        if not self.failure:
            self._asked[id(fact)] = asked
            self.fact(fact)
            await asked.done.wait()
        if not 0 < asked.seq <= self.journal.last_seq:
            raise EngineFailed(self.failure)
        return asked

    def backlog(self) -> int:
        """Records that were stepped and are not durable yet."""
        return self._committing + len(self.dispatcher.batch.records)

    # ------------------------------------------------------------ what is seen of a step

    def _stepped(self, fact: Fact, out: Out) -> None:
        trace = out.trace
        if trace:
            self.watch.take(trace)
            self._tell_trace(trace)
            self.changed.set()
        if self._asked and (asked := self._asked.pop(id(fact), None)) is not None:
            asked.answer, asked.trace = out.answer, tuple(trace or ())
            asked.seq = self.dispatcher.seq
            self._answered.append(asked)

    def _sending(self, command: Command) -> None:
        if type(command) is Place:
            if len(self._sent) >= SENT_MAX:
                self._sent &= self.core.env.orders.keys()
            self._sent.add(command.order)

    def alarm(self, alarm: Alarm) -> None:
        """Tell a person: once in the log, and wherever the run is shown."""
        self.watch.alarm(alarm)
        logger.warning("alarm {} {}: {}", alarm.kind, alarm.machine, alarm.text)
        self._tell_alarm(alarm)

    # ------------------------------------------------------------ tasks

    async def dispatch(self) -> None:
        """Step facts in slices, without end. Cancelled, it stops between two facts."""
        dispatcher = self.dispatcher
        while True:
            await self._work.wait()
            while dispatcher.inbox and not self.failure:
                self._slice()
                batch = dispatcher.batch
                if batch.has_intent:
                    self._intent.set()
                if batch.records or batch.commands:
                    self._collected.set()
                if dispatcher.timers.earliest < self._sleeps_until:
                    self._armed.set()
                await anyio.lowlevel.checkpoint()

    def _slice(self) -> None:
        self._beat()
        now, dispatcher = self.clock.now, self.dispatcher
        end = now() + SLICE_NS
        for _ in range(SLICE_ACTIONS // _CHUNK):
            if not dispatcher.drain(_CHUNK) or now() >= end:
                return

    async def commit(self) -> None:
        """Make batch after batch durable and release its commands, without end.

        Cancelled, the commit that has begun is finished and its commands are not released; a new
        process asks the venue about them.
        """
        dispatcher = self.dispatcher
        while True:
            await self._collected.wait()
            while dispatcher.batch.records or dispatcher.batch.commands:
                if not dispatcher.batch.has_intent and self.backlog() < BACKLOG_MAX:
                    with anyio.move_on_after(_OBSERVATION_WAIT_S):
                        await self._intent.wait()
                batch = dispatcher.take_batch()
                await self._make_durable(batch)
                self._settle_answers()
                self.changed.set()
                if dispatcher.inbox:
                    self._work.set()

    async def _make_durable(self, batch: Batch) -> None:
        self._committing, self._in_commit = len(batch.records), batch
        try:
            if batch.records:
                await self.journal.commit(batch.records)
            self._beat()
        finally:
            self._committing, self._in_commit = 0, None
            for room in self.room:
                room.set()
        self.dispatcher.release(batch)

    def _settle_answers(self) -> None:
        while self._answered and self._answered[0].seq <= self.journal.last_seq:
            self._answered.pop(0).done.set()

    async def fire_timers(self) -> None:
        """Turn due timers into facts, without end. Cancelled, nothing is lost: they stay armed."""
        dispatcher, clock = self.dispatcher, self.clock
        while True:
            due = dispatcher.timers.next_due(self.core)
            self._sleeps_until = NEVER if due is None else due
            await self._armed.wait_until(due, clock)
            fired = dispatcher.timers.fire_due(self.core, clock.now())
            dispatcher.inbox.extend(fired)
            if fired:
                self._work.set()

    async def live(self) -> None:
        """Give a sign of life again and again, without end."""
        while True:
            self._beat()
            await anyio.sleep(BEAT_NS / NS)

    def _beat(self) -> None:
        """Notice before anything is stepped or sent that the process stood still too long."""
        slept, dispatcher = self._heart.beat(), self.dispatcher
        if self.failure or slept <= WAKE_GAP_NS:
            return
        logger.warning("the process stood still for {:.1f} s: venues are read anew", slept / NS)
        dispatcher.wake(slept, self._in_commit)
        now = self.clock.now()
        for place, fact in enumerate(dispatcher.inbox):
            # What waits is heard only now; a person's command is still known by its fact.
            dispatcher.inbox[place] = later = replace(fact, at=now)
            if (asked := self._asked.pop(id(fact), None)) is not None:
                self._asked[id(later)] = asked
        for wake in (self._work, self._armed, self.changed):
            wake.set()
        for hear in self.on_wake:
            hear()

    async def tend_journal(self) -> None:
        """Checkpoint the journal while nothing waits for it, without end.

        A journal whose file was removed or replaced ends the run as one that cannot be written.
        """
        while True:
            await anyio.sleep(1)
            self.journal.check_place()
            idle = not self.dispatcher.inbox and not self.backlog()
            if idle and self.journal.checkpoint_due and not self.failure:
                await self.journal.checkpoint()

    # ------------------------------------------------------------ when a part has failed

    def task_failed(self, name: str, error: BaseException, vital: bool) -> None:
        """Hear from the supervisor that a task has ended, and tell a person.

        A vital one is the end: before anything else, nothing is created any more.
        """
        of_journal = isinstance(error, JournalError)
        text = str(error) if of_journal else f"{name}: {describe(error)}"
        if vital:
            self.fenced = self.fenced or isinstance(error, LeaseLost)
            self.fail(text)
        logger.opt(exception=error).info("{} has failed", name)
        kind, machine = ("journal", "engine") if of_journal else ("machine_error", name)
        self.alarm(Alarm(self.clock.now(), kind, machine, text))

    def fail(self, text: str) -> None:
        """A part that cannot be done without has failed: create nothing, ask for an orderly end.

        The first failure counts. What is left of the run is `engine.aftermath`.
        """
        if self.failure:
            return
        self.failure = text
        self.dispatcher.down = True
        for asked in (*self._asked.values(), *self._answered):
            asked.done.set()
        for hear in self.on_failure:
            hear()
        self.changed.set()

    # ------------------------------------------------------------ what is left

    def alive(self) -> list[Close]:
        """Closes that have not ended."""
        return [each for each in self.core.closes.values() if each.state != "reconciled"]

    def is_trusted(self) -> bool:
        """Whether every venue is trusted."""
        return all(session.trusted for session in self.core.sessions.values())

    def live_orders(self) -> list[Any]:
        """Orders that may still fill; after a failure, those of them that were ever sent."""
        alive = [order for order in self.core.env.orders.values() if order.alive]
        if not self.failure:
            return alive
        epoch = self.core.env.epoch
        return [each for each in alive if each.uid in self._sent or each.uid >> SEQ_BITS != epoch]

    def snapshot(self) -> Snapshot:
        """Picture the engine now."""
        return take_snapshot(
            self.core,
            self.watch,
            self.clock.now(),
            started=self.started,
            records=self.journal.last_seq,
            stopping=self.stopping,
        )

    async def park(self, by: str) -> None:
        """Cancel what rests and leave the machines in the journal for the next start.

        Returns when no order may fill any more, after 6 s, or when a part has failed. Cancellation
        waits for that.
        """
        self.stopping = True
        end = self.clock.now() + PARK_NS
        with anyio.CancelScope(shield=True):
            if not self.core.env.halted and self.alive():
                self.fact(OperatorCommanded(self.clock.now(), "halt", by=by))
            await anyio.sleep(2 * _OBSERVATION_WAIT_S)
            while self.clock.now() < end and (self.live_orders() or self.backlog()):
                if self.failure:
                    return
                await self.changed.wait_until(self.clock.now() + 50 * MS, self.clock)


__all__ = ["PARK_NS", "Asked", "Engine", "EngineFailed"]
