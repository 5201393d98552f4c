"""The process of the engine in a simulated run: it starts on the journal, dies, sleeps, wakes.

What a process has in memory ends with it; the journal and the venues remain. It must not decide
when something happens to it, nor judge what the engine does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import msgspec

from engine.dispatcher import Dispatcher, fold
from engine.journal import SyncJournal, open_journal
from engine.journal_memory import MemoryJournal
from engine.simulation.actions import Crash
from engine.simulation.crash import CrashPlan
from engine.simulation.kernel import Kernel
from engine.simulation.outcome import seconds_text
from machines.core import Core
from machines.env import STOP
from machines.messages import Alarm, Command, EngineStarted, Fact, OperatorCommanded
from machines.table import Out
from machines.types import NS
from venues.port import MARKET
from venues.sim.venue import SimVenue

GRACE_NS = 10 * NS


class Witness(Protocol):
    """Who is told what the process does."""

    def stepped(self, fact: Fact, out: Out) -> None:
        """One step ran."""

    def alarmed(self, alarm: Alarm) -> None:
        """An alarm is durable."""

    def sent(self, command: Command) -> None:
        """A command leaves the engine."""

    def journalled(self) -> None:
        """A batch was written."""

    def note(self, machine: str, text: str) -> None:
        """Something happened to the process itself."""


class Process:
    """The engine's side of all ports, and the host of the kernel.

    `dispatcher` is None while no process lives or it is `frozen`; the journal outlives them.
    """

    def __init__(
        self,
        build_core: Callable[[], Core],
        journal: str,
        kernel: Kernel,
        crashes: CrashPlan,
        witness: Witness,
    ) -> None:
        self.build_core = build_core
        self.kernel = kernel
        self.crashes = crashes
        self.witness = witness
        self.venues: Mapping[str, SimVenue] = {}
        self.dispatcher: Dispatcher | None = None
        self.frozen: Dispatcher | None = None
        self._held: list[Fact] = []
        self._directory: TemporaryDirectory[str] | None = None
        self.journal: MemoryJournal | SyncJournal
        if journal == "memory":
            self.journal = MemoryJournal(0)
        else:
            self._directory = TemporaryDirectory(prefix="unwind-")
            self.journal = open_journal(Path(self._directory.name) / "journal.db")

    # ------------------------------------------------------------ what reaches it

    def fact(self, fact: Fact) -> None:
        """Deliver a fact to the process, if there is one; a frozen one finds it when it wakes."""
        if self.dispatcher is not None:
            self.dispatcher.fact(fact)
        elif self.frozen is not None:
            self._held.append(fact)

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
        """Deliver a book to a process that is awake."""
        if self.dispatcher is not None:
            self.dispatcher.top(instrument, venue_at, bid, bid_qty, ask, ask_qty, mark)

    # ------------------------------------------------------------ its turn

    def turn(self, dispatcher: Dispatcher) -> None:
        """Drain, commit and release, with the crash windows of the send protocol between them."""
        dispatcher.drain()
        batch = dispatcher.take_batch()
        window = self.crashes.window_of(batch, self.kernel.now)
        if window in ("w1", "w4"):
            self._crash()
            return
        if batch.records:
            self.journal.append(batch.records)
            self.witness.journalled()
        if window in ("w2", "w5"):
            self._crash()
            return
        dispatcher.release(batch)
        if window == "w3":
            self._crash()

    # ------------------------------------------------------------ start and end

    def start(self) -> Dispatcher:
        """Start the first process, on a fresh journal; it still has to connect."""
        if isinstance(self.journal, MemoryJournal):
            self.journal.reopen()
        return self._begin(self.build_core())

    def _begin(self, core: Core) -> Dispatcher:
        dispatcher = Dispatcher(
            core,
            self.journal,
            self.venues,
            lambda: self.kernel.now,
            on_step=self.witness.stepped,
            on_alarm=self.witness.alarmed,
            on_send=self.witness.sent,
        )
        self.dispatcher = dispatcher
        dispatcher.fact(EngineStarted(self.kernel.now, self.journal.epoch))
        return dispatcher

    def restart(self) -> None:
        """Start a process in place of one that died: fold the journal, take a new epoch."""
        self.witness.note("engine", "started")
        if isinstance(self.journal, MemoryJournal):
            self.journal.reopen()
        else:
            path = self.journal.path
            self.journal.close()
            self.journal = open_journal(path)
        dispatcher = self._begin(self.replayed())
        dispatcher.drain()
        dispatcher.timers.restore(dispatcher.core, self.kernel.now)
        self.turn(dispatcher)

    def kill(self) -> None:
        """End the process as kill -9 does: what was not committed is gone, streams break."""
        self.dispatcher = self.frozen = None
        self._held.clear()
        if isinstance(self.journal, MemoryJournal):
            self.journal.crash()
        for venue in self.venues.values():
            venue.link.drop()
        self.witness.note("engine", "killed")

    def obey(self, command: str, for_ns: int) -> None:
        """Undergo an action of the timeline: kill, restart, stop, or freeze for a time."""
        if command == "kill":
            self.kill()
        elif command == "restart":
            if self.dispatcher is None and self.frozen is None:
                self.restart()
        elif command == "stop":
            self.witness.note("engine", "told to stop")
            self._later(GRACE_NS, self._park)
        elif self.dispatcher is not None:
            self.frozen, self.dispatcher = self.dispatcher, None
            self.witness.note("engine", f"frozen for {seconds_text(for_ns)} s")
            self._later(for_ns, lambda: self._wake(for_ns))

    def plan_crash(self, crash: Crash) -> None:
        """Arm the fault `crash`."""
        self.crashes.add(crash, self.kernel.now)

    def _crash(self) -> None:
        down_ns = self.crashes.down_ns()
        self.kill()
        self._later(down_ns, lambda: self.obey("restart", 0))

    def _park(self) -> None:
        """The grace of a stop is over: cancel what rests, leave the machines to the journal."""
        if self.dispatcher is None:
            return
        if self.unfinished():
            self.fact(OperatorCommanded(self.kernel.now, "halt", by=STOP))
            self._later(NS, self.kill)
        else:
            self.kill()

    def _wake(self, slept_ns: int) -> None:
        if self.frozen is None:
            return
        self.dispatcher, self.frozen = self.frozen, None
        held, self._held = self._held, []
        self.dispatcher.wake(slept_ns)
        for fact in held:
            self.dispatcher.fact(msgspec.structs.replace(fact, at=self.kernel.now))

    def _later(self, wait_ns: int, action: Callable[[], None]) -> None:
        self.kernel.at(self.kernel.now + wait_ns, MARKET, lambda _: action())

    # ------------------------------------------------------------ what it has

    def unfinished(self) -> bool:
        """Whether a process, awake or frozen, has a close that has not ended."""
        dispatcher = self.dispatcher or self.frozen
        if dispatcher is None:
            return False
        return any(close.state != "reconciled" for close in dispatcher.core.closes.values())

    def next_timer(self) -> int | None:
        """When its next timer is due; None while no process is awake."""
        if self.dispatcher is None:
            return None
        return self.dispatcher.timers.next_due(self.dispatcher.core)

    def replayed(self) -> Core:
        """A core that knows what the journal has, and nothing else."""
        core = self.build_core()
        fold(core, self.journal.read())
        return core

    def close(self) -> None:
        """The run is over: close the journal and remove its directory."""
        if isinstance(self.journal, SyncJournal):
            self.journal.close()
        if self._directory is not None:
            self._directory.cleanup()
