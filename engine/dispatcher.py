"""The loop of the engine: receive, fold, journal, execute; the same live, simulated and replayed.

Facts wait in one inbox and run to completion one after another. What a step decides is collected
into a batch; the batch is made durable; only then are its commands released to the ports. It must
not decide anything, wait for anything, or know which venue stands behind a port.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from engine.journal import JournalError, Record
from engine.timers import Timers
from machines.core import Core
from machines.errors import ReplayDiverged
from machines.messages import (
    INTENTS,
    Alarm,
    Arm,
    Cancel,
    Command,
    CommandRefused,
    Connect,
    Fact,
    LinkStale,
    OrderSent,
    Place,
    ReadMode,
    ReadTruth,
)
from machines.table import Out
from machines.types import NS
from venues.port import Port

#: Commands that name a venue; all others name an instrument.
_BY_VENUE = frozenset({ReadTruth, ReadMode, Connect})
#: What a record that no engine wrote does to a fold.
IMPOSSIBLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
#: Facts that may wait to be journaled before the readers have to stop (I20).
BACKLOG_MAX = 256
#: A process that stood still for longer knows nothing of its venues any more (recovery.md 7).
WAKE_GAP_NS = NS


class Durable(Protocol):
    """What the dispatcher needs of a journal."""

    @property
    def last_seq(self) -> int: ...

    def append(self, records: list[Record]) -> None: ...


class Batch:
    """Records of consecutive steps and the commands that wait for them to be durable."""

    __slots__ = ("commands", "has_alarm", "has_intent", "last_seq", "records")

    def __init__(self, last_seq: int) -> None:
        self.records: list[Record] = []
        self.commands: list[Command] = []
        self.has_intent = False
        self.has_alarm = False
        self.last_seq = last_seq


class Dispatcher:
    """Owns the core, the inbox and the timers of one engine process.

    `clock` gives the present time, `wall` the wall clock for the record alone (both ns).
    `on_step(fact, out)` sees every step after it ran; `on_alarm` every alarm once it is durable;
    `on_send(command)` every command that leaves.
    """

    def __init__(
        self,
        core: Core,
        journal: Durable | None,
        ports: Mapping[str, Port],
        clock: Callable[[], int],
        *,
        wall: Callable[[], int] | None = None,
        on_step: Callable[[Fact, Out], None] | None = None,
        on_alarm: Callable[[Alarm], None] | None = None,
        on_send: Callable[[Command], None] | None = None,
    ) -> None:
        self.core = core
        self.journal = journal
        self.ports = ports
        self.clock = clock
        self.wall = wall or clock
        self.on_step = on_step
        self.on_alarm = on_alarm
        self.on_send = on_send
        self.timers = Timers()
        self.inbox: deque[Fact] = deque()
        self.seq = journal.last_seq if journal is not None else 0
        self.batch = Batch(self.seq)
        #: Nothing is created any more: the journal, or another part of the process, has failed.
        self.down = False
        self._port_of: list[Port | None] = []
        self.wire()

    def wire(self) -> None:
        """Look the ports up again; for a caller whose ports need the dispatcher first."""
        self._port_of = [self.ports.get(each.venue.name) for each in self.core.holdings]

    # ------------------------------------------------------------ the edge (venues.port.Sink)

    def fact(self, fact: Fact) -> None:
        """Queue a fact."""
        self.inbox.append(fact)

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
        """Take a top of book; queues a fact only where a machine was waiting for it."""
        now = self.clock()
        moved = self.core.quote(instrument, now, venue_at, bid, bid_qty, ask, ask_qty, mark)
        if moved is not None:
            self.inbox.append(moved)

    def wake(self, slept_ns: int, committing: Batch | None = None) -> None:
        """Take up work after the process stood still; within `WAKE_GAP_NS` nothing has changed.

        After that each venue is read anew before anything else is stepped, and orders that were
        decided before and not sent, also those of the batch `committing`, are not sent any more.
        """
        if slept_ns <= WAKE_GAP_NS:
            return
        now = self.clock()
        facts: list[Fact] = [LinkStale(now, name, "wake gap") for name in self.ports]
        for batch in (self.batch,) if committing is None else (committing, self.batch):
            places = [each for each in batch.commands if type(each) is Place]
            batch.commands = [each for each in batch.commands if type(each) is not Place]
            facts += [CommandRefused(now, each.order, "wake gap") for each in places]
        self.inbox.extendleft(reversed(facts))

    # ------------------------------------------------------------ receive and fold

    def drain(self, limit: int = 1 << 30) -> int:
        """Step up to `limit` queued facts; returns how many were stepped."""
        inbox = self.inbox
        core = self.core
        recording = core.recording
        on_step = self.on_step
        done = 0
        while inbox and done < limit:
            fact = inbox.popleft()
            out = core.step(fact)
            done += 1
            intents = self._collect(out.commands) if out.commands else ()
            if recording:
                self.seq += 1
                seen = core.take_seen()
                record = Record(self.seq, fact.at, fact, seen, intents, self.wall())
                self.batch.records.append(record)
            if on_step is not None:
                on_step(fact, out)
        return done

    def _collect(self, commands: list[Any]) -> tuple[Command, ...]:
        """Arm timers, put the other commands of one step into the batch, return the intents."""
        batch = self.batch
        intents: tuple[Command, ...] = ()
        for command in commands:
            kind = type(command)
            if kind is Arm:
                self.timers.arm(command)
                continue
            batch.commands.append(command)
            if kind in INTENTS:
                intents += (command,)
                batch.has_intent = True
            elif kind is Alarm:
                batch.has_alarm = True
        return intents

    def take_batch(self) -> Batch:
        """The batch collected so far; the next facts go into a new one."""
        batch = self.batch
        batch.last_seq = self.seq
        self.batch = Batch(self.seq)
        return batch

    # ------------------------------------------------------------ journal and execute

    @property
    def must_commit(self) -> bool:
        """Whether something waits for the batch, or the backlog has reached its bound."""
        batch = self.batch
        return batch.has_intent or bool(batch.commands) or len(batch.records) >= BACKLOG_MAX

    def send_reads(self) -> None:
        """Send at once what changes nothing at a venue, so that observations need no commit.

        Their records wait for the next intent. A batch with an intent or an alarm waits as a whole,
        in order.
        """
        batch = self.batch
        if batch.has_intent or batch.has_alarm or self.down:
            return
        commands, batch.commands = batch.commands, []
        for command in commands:
            self._submit(command)

    def commit(self) -> None:
        """Make the batch durable with a synchronous journal, then release its commands."""
        if not self.batch.records and not self.batch.commands:
            return
        batch = self.take_batch()
        if batch.records and self.journal is not None:
            try:
                self.journal.append(batch.records)
            except JournalError as error:
                self.fail(error, batch)
                return
        self.release(batch)

    def fail(self, error: JournalError, batch: Batch) -> None:
        """The journal is down: nothing is created any more; cancels by own id still leave (I1)."""
        if not self.down and self.on_alarm is not None:
            self.on_alarm(Alarm(self.clock(), "journal", "engine", str(error)))
        self.down = True
        self.core.recording = False
        self._send_cancels(batch)

    def _send_cancels(self, batch: Batch) -> None:
        for command in batch.commands:
            if type(command) is Cancel:
                self._submit(command)

    def release(self, batch: Batch) -> None:
        """Send the commands of a durable batch, in order."""
        if self.down:
            self._send_cancels(batch)
            return
        journal = self.journal
        durable = journal is None or not batch.records or journal.last_seq >= batch.last_seq
        now = self.clock()
        commands: list[Any] = batch.commands
        for command in commands:
            kind = type(command)
            if kind is Place:
                if not durable:
                    self._refuse(command, "I1 write-ahead")
                    continue
                self._submit(command)
                self.inbox.append(OrderSent(now, command.order))
            elif kind is Alarm:
                if self.on_alarm is not None:
                    self.on_alarm(command)
            elif durable or kind not in INTENTS:
                self._submit(command)

    def _refuse(self, command: Place, gate: str) -> None:
        self.inbox.append(CommandRefused(self.clock(), command.order, gate))

    def _submit(self, command: Any) -> None:
        if type(command) in _BY_VENUE:
            port = self.ports.get(command.venue)
        else:
            port = self._port_of[command.instrument]
        if port is not None:
            if self.on_send is not None:
                self.on_send(command)
            port.submit(command)


def fold(
    core: Core,
    records: Iterable[Record],
    on_step: Callable[[Record, Out], None] | None = None,
) -> int:
    """Bring a fresh core to the state that the records describe; returns how many there were.

    `on_step(record, out)` sees every step after it ran. Raises `ReplayDiverged` at the first record
    whose intents differ from those that the core now derives from the same facts: the machines
    changed in a way the journal's version does not say.
    """
    count = 0
    books = core.books
    recording, core.recording = core.recording, False
    for record in records:
        try:
            for top in record.seen:
                books[top.instrument].restore(top)
            out = core.step(record.fact)
        except IMPOSSIBLE as error:
            raise ReplayDiverged(f"record {record.seq}: cannot be folded: {error!r}") from error
        intents: tuple[Command, ...] = ()
        if out.commands:
            intents = tuple([each for each in out.commands if type(each) in INTENTS])
        if intents != record.intents:
            raise ReplayDiverged(
                f"record {record.seq}: the journal has {record.intents}, replay gives {intents}"
            )
        if on_step is not None:
            on_step(record, out)
        count += 1
    core.recording = recording
    return count
