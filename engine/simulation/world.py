"""One simulated run: the real core, dispatcher and journal against simulated venues, virtual time.

The world owns time, the venues and the process of the engine, which it can kill and start again. It
must not know what the engine will do, nor help it: everything passes the port and the journal.

Order of work at one instant (venues.md 5.1): deliver what is due to the engine, fire its timers,
run it to quiescence and repeat; then commands that arrive, market data and scripted actions.
"""

from __future__ import annotations

import pathlib
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from engine import assembly
from engine.dispatcher import Dispatcher, fold
from engine.feeds import open_recording
from engine.journal import MemoryJournal, Record, SyncJournal, open_journal
from engine.simulation import actions
from engine.simulation.actions import Crash
from engine.simulation.crash import CrashPlan
from engine.simulation.expect_keys import Expect
from engine.simulation.expectations import check
from engine.simulation.kernel import Kernel, settle
from engine.simulation.outcome import (
    NoteRow,
    Outcome,
    seconds_text,
)
from engine.simulation.recorder import Recorder
from engine.simulation.scenario import Scenario
from engine.simulation.stage import Stage
from engine.simulation.watch import Watch
from machines.core import Core
from machines.digest import digest
from machines.messages import (
    Alarm,
    Command,
    EngineStarted,
    Fact,
    LinkStale,
    OperatorCommanded,
    Place,
    PositionDeclared,
)
from machines.table import Out
from machines.types import MS, NS, Instrument
from venues.instruments import base_to_units, to_units
from venues.port import HOUSEKEEP, MARKET
from venues.sim.draws import Draws
from venues.sim.latency import Latency, Path, latency_of
from venues.sim.markets import SyntheticFeed, Walks
from venues.sim.recordings import RecordedFeed
from venues.sim.venue import SimVenue

#: Virtual time begins here, so that boot has room before time 0.
BASE_NS = 1_000 * NS
BOOT_MAX_NS = 60 * NS
WAKE_GAP_NS = NS
GRACE_NS = 10 * NS


class Edge:
    """The engine's side of all ports: passes on while a process lives, else drops."""

    __slots__ = ("held", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.held: list[Fact] = []

    def fact(self, fact: Fact) -> None:
        """Deliver a fact to the process, if there is one; a frozen one finds it when it wakes."""
        world = self.world
        if world.dispatcher is not None:
            world.dispatcher.fact(fact)
        elif world.frozen is not None:
            self.held.append(fact)

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
        """Deliver a book."""
        dispatcher = self.world.dispatcher
        if dispatcher is not None:
            dispatcher.top(instrument, venue_at, bid, bid_qty, ask, ask_qty, mark)


class World:
    """A scenario being run. `run()` returns its outcome; `coverage` counts the rows taken."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.kernel = Kernel(BASE_NS)
        self.origin = BASE_NS
        self.coverage: Counter[tuple[str, int]] = Counter()
        self.draws = Draws(scenario.seed)
        config = scenario.config
        self.profiles = assembly.profiles(config)
        self.settings = assembly.venue_settings(config, self.profiles)
        self.instruments = assembly.instruments(config, scenario.quantities)
        self.by_key = {each.key: each for each in self.instruments}
        self.edge = Edge(self)
        self.venues = {name: self._venue(name) for name in config.venues}
        legs = {
            pair.name: tuple(self.by_key[leg].index for leg in pair.legs)
            for pair in config.pairs.values()
        }
        self.watch = Watch(self.instruments, legs)
        self.outcome = Outcome(scenario.file, scenario.name, scenario.seed)
        self.recorder = Recorder(self.outcome, self.instruments)
        self.stage = Stage(self)
        self.feeds: list[SyntheticFeed | RecordedFeed] = []
        self.pending = 0
        self.stopping = False
        self.crashes = CrashPlan(self.draws.child("crash"))
        self.waiting = [entry for entry in scenario.timeline if entry.after is not None]
        self.events: Counter[int] = Counter()
        self.directory: TemporaryDirectory[str] | None = None
        self.journal: MemoryJournal | SyncJournal = self._new_journal()
        self.journal_seen = 0
        self.dispatcher: Dispatcher | None = None
        self.frozen: Dispatcher | None = None

    # ------------------------------------------------------------ building

    def instruments_of(self, venue: str) -> list[Instrument]:
        return [each for each in self.instruments if each.venue == venue]

    def _venue(self, name: str) -> SimVenue:
        spec = self.scenario.config.venues[name]
        latency = spec.latency
        draws = self.draws.child(f"venue.{name}")
        venue = SimVenue(
            self.settings[name],
            self.profiles[name],
            self.instruments_of(name),
            self.kernel,
            self.edge,
            latency_of(latency.recorded, name, draws)
            if latency.recorded
            else Latency(
                Path(latency.request_ns),
                Path(latency.response_ns),
                Path(latency.stream_ns),
                Path(latency.public_ns),
            ),
            draws,
            spec.balance,
        )
        for key, position in self.scenario.config.positions.items():
            instrument = self.by_key[key]
            if instrument.venue == name:
                venue.set_position(
                    instrument.index, base_to_units(position.qty, instrument), position.entry
                )
        return venue

    def _new_journal(self) -> MemoryJournal | SyncJournal:
        if self.scenario.journal == "memory":
            return MemoryJournal(0)
        self.directory = TemporaryDirectory(prefix="unwind-")
        return open_journal(pathlib.Path(self.directory.name) / "journal.db")

    # ------------------------------------------------------------ the engine's process

    def start_engine(self, *, first: bool) -> None:
        """Start a process on the journal: fold it, take a new epoch, connect."""
        self._reopen(first=first)
        core = self.fresh_core()
        fold(core, self.journal.read())
        dispatcher = Dispatcher(
            core,
            self.journal,
            self.venues,
            lambda: self.kernel.now,
            on_step=self._stepped,
            on_alarm=self._alarmed,
            on_send=self._sent,
        )
        self.dispatcher = dispatcher
        now = self.kernel.now
        dispatcher.fact(EngineStarted(now, self.journal.epoch))
        if first:
            for key, position in self.scenario.config.positions.items():
                instrument = self.by_key[key]
                if not position.foreign:
                    qty = base_to_units(position.qty, instrument)
                    self.watch.declare(instrument.index, qty)
                    entry = position.entry
                    dispatcher.fact(PositionDeclared(now, instrument.index, qty, entry))
        else:
            dispatcher.drain()
            dispatcher.timers.restore(core, now)
            self.turn(dispatcher)

    def _reopen(self, *, first: bool) -> None:
        if isinstance(self.journal, MemoryJournal):
            self.journal.reopen()
        elif not first:
            path = self.journal.path
            self.journal.close()
            self.journal = open_journal(path)

    def kill_engine(self) -> None:
        """End the process as kill -9 does: what was not committed is gone, streams break."""
        self.dispatcher = self.frozen = None
        self.edge.held.clear()
        if isinstance(self.journal, MemoryJournal):
            self.journal.crash()
        for venue in self.venues.values():
            venue.link.drop()
        self._note("engine", "killed")

    def process(self, command: str, for_ns: int) -> None:
        """kill, restart, stop or freeze the process."""
        if command == "kill":
            self.kill_engine()
        elif command == "restart":
            if self.dispatcher is None:
                self._note("engine", "started")
                self.start_engine(first=False)
        elif command == "stop":
            self._note("engine", "told to stop")
            self._schedule(self.kernel.now + GRACE_NS, lambda _: self._park())
        elif self.dispatcher is not None:
            self.frozen, self.dispatcher = self.dispatcher, None
            self._note("engine", f"frozen for {seconds_text(for_ns)} s")
            self._schedule(self.kernel.now + for_ns, lambda _: self._wake(for_ns))

    def _park(self) -> None:
        """The grace of a stop is over: cancel what rests, leave the machines to the journal."""
        if self.dispatcher is None:
            return
        if self._alive():
            self.tell(OperatorCommanded(self.kernel.now, "halt", by="stop"))
            self._schedule(self.kernel.now + NS, lambda _: self.kill_engine())
        else:
            self.kill_engine()

    def _wake(self, slept_ns: int) -> None:
        if self.frozen is None:
            return
        self.dispatcher, self.frozen = self.frozen, None
        held, self.edge.held = self.edge.held, []
        if slept_ns > WAKE_GAP_NS:
            for name in self.venues:
                self.dispatcher.fact(LinkStale(self.kernel.now, name, "wake gap"))
        for fact in held:
            self.dispatcher.fact(msgspec.structs.replace(fact, at=self.kernel.now))

    def tell(self, fact: Fact) -> None:
        """Hand the engine a fact of its own side (control), if it lives."""
        self.edge.fact(fact)

    # ------------------------------------------------------------ running

    def run(self) -> Outcome:
        """Run to the end and judge; never raises for what the engine did."""
        self._boot()
        end = self.origin + self.scenario.duration_ns
        while True:
            self.settle()
            if self._finished():
                break
            due = self._next_time()
            if due is None or due > end:
                self.kernel.now = end
                break
            self.kernel.now = due
        self.settle()
        return self._judge()

    def _boot(self) -> None:
        every: dict[int, int] = {}
        for key, spec in self.scenario.config.instruments.items():
            instrument = self.by_key[key]
            if spec.book is not None:
                self.stage.book(_book_action(key, spec.book))
                every[instrument.index] = spec.book.republish_ns
        self.start_engine(first=True)
        limit = self.kernel.now + BOOT_MAX_NS
        while True:
            self.settle()
            assert self.dispatcher is not None
            if all(session.trusted for session in self.dispatcher.core.sessions.values()):
                break
            due = self._next_time()
            if due is None or due > limit:
                break
            self.kernel.now = due
        self.origin = self.watch.origin = self.recorder.origin = self.kernel.now
        self.recorder.begin()
        for venue in self.venues.values():
            venue.republish()
            venue.start_republish(every)
        self._start_markets()
        for entry in self.scenario.timeline:
            if entry.at is not None:
                lane = HOUSEKEEP if isinstance(entry.action, actions.ExpectNow) else MARKET
                self.kernel.at(self.origin + entry.at, lane, self.stage, entry.action)

    def _start_markets(self) -> None:
        """Let synthetic walks and recordings run from time 0."""
        walks = Walks(self.draws.child("walks"))
        for key, spec in self.scenario.config.instruments.items():
            instrument = self.by_key[key]
            venue = self.venues[instrument.venue]
            feed: SyntheticFeed | RecordedFeed
            if spec.synthetic is not None:
                walk = walks.of(spec.synthetic, instrument)
                feed = SyntheticFeed(
                    venue, instrument, spec.synthetic, walk, self.kernel, self.draws
                )
            elif spec.recording:
                rows = open_recording(spec.recording, instrument)
                feed = RecordedFeed(venue, instrument, rows, self.kernel)
            else:
                continue
            self.feeds.append(feed)
            feed.start()

    def settle(self) -> None:
        """Do everything that is to be done at this instant, then look at the venues' books."""
        settle(self.kernel, self)
        self._look()

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
            self._journalled()
        if window in ("w2", "w5"):
            self._crash()
            return
        dispatcher.release(batch)
        if window == "w3":
            self._crash()

    def _crash(self) -> None:
        down = self.crashes.down_ns()
        self.kill_engine()
        self._schedule(self.kernel.now + down, lambda _: self.process("restart", 0))

    def plan_crash(self, crash: Crash) -> None:
        """Arm the fault `crash`."""
        self.crashes.add(crash, self.kernel.now)

    def _schedule(self, due: int, action: Any) -> None:
        self.kernel.at(due, MARKET, action)

    def _next_time(self) -> int | None:
        times = [self.kernel.next_time()]
        if self.dispatcher is not None:
            times.append(self.dispatcher.timers.next_due(self.dispatcher.core))
        known = [time for time in times if time is not None]
        return max(min(known), self.kernel.now) if known else None

    def _alive(self) -> list[str]:
        dispatcher = self.dispatcher or self.frozen
        if dispatcher is None:
            return []
        closes = dispatcher.core.closes
        return [name for name, close in closes.items() if close.state != "reconciled"]

    def _finished(self) -> bool:
        idle = sum(each.idle_actions for each in (*self.venues.values(), *self.feeds))
        return len(self.kernel.heap) <= idle and not self._alive()

    # ------------------------------------------------------------ watching

    def _stepped(self, fact: Fact, out: Out) -> None:
        self.watch.now = self.kernel.now
        self.watch.told(fact)
        if type(fact).__name__ == "CloseRequested":
            name = fact.pair  # type: ignore[union-attr]
            if name in self.watch.pairs:
                self.watch.closing(name, self.positions())
        trace = out.trace or []
        self.recorder.stepped(fact, trace)
        for each in trace:
            self.coverage[each.machine, each.row] += 1
            if each.machine == "close" and each.dest == "reconciled" != each.source:
                self._claimed(each.id, written_off=each.trigger == "write_off")
            if self.waiting:
                self._event(each.machine, each.id, each.source, each.dest)

    def _claimed(self, name: str, *, written_off: bool) -> None:
        assert self.dispatcher is not None
        close = self.dispatcher.core.closes[name]
        pair = self.watch.pairs[name]
        if close.outcome != "withdrawn" and not written_off:
            self.watch.claimed(
                name,
                {leg.instrument.index: leg.rest for leg in close.legs},
                {leg.instrument.index: leg.rest for leg in close.legs},
                {leg.instrument.index: leg.keep for leg in close.legs},
                self.live_orders(),
                self.positions(),
            )
        pair.closing = False

    def _alarmed(self, alarm: Alarm) -> None:
        self.recorder.alarm(alarm, self.kernel.now)

    def _sent(self, command: Command) -> None:
        self.watch.now = self.kernel.now
        self.watch.sent(command)
        assert self.dispatcher is not None
        self.recorder.sent(command, self.kernel.now, self.dispatcher.core)
        if self.waiting:
            kind = type(command).__name__
            if kind in ("Place", "Cancel"):
                index = command.instrument  # type: ignore[union-attr]
                key = self.instruments[index].key
                self._happened("order_sent" if kind == "Place" else "cancel_sent", key, "", "")

    def _journalled(self) -> None:
        """Look at what the journal really holds, by decoding it."""
        if isinstance(self.journal, MemoryJournal):
            rows = self.journal.rows
            for row in rows[self.journal_seen :]:
                records = msgspec.msgpack.decode(row.body, type=list[Record])
                self.watch.wrote(
                    each.order
                    for record in records
                    for each in record.intents
                    if isinstance(each, Place)
                )
            self.journal_seen = len(rows)
        else:
            with closing(sqlite3.connect(f"file:{self.journal.path}?mode=ro", uri=True)) as reader:
                rows_after = "SELECT cid FROM outbox WHERE seq > ?"
                self.watch.wrote(cid for (cid,) in reader.execute(rows_after, (self.journal_seen,)))
            self.journal_seen = self.journal.last_seq

    def _look(self) -> None:
        overfilled = [
            order.instrument
            for venue in self.venues.values()
            for order in venue.orders
            if order.cum > order.qty
        ]
        self.watch.settled(self.kernel.now, self.positions(), self.live_orders(), overfilled)

    def positions(self) -> dict[int, int]:
        """Every venue's own truth, signed units by instrument."""
        held: dict[int, int] = {}
        for venue in self.venues.values():
            held.update(venue.positions())
        return held

    def live_orders(self) -> Mapping[int, int]:
        """How many orders can fill at the venues, by instrument."""
        alive: Counter[int] = Counter()
        for venue in self.venues.values():
            alive.update(order.instrument for order in venue.orders if order.alive)
        return alive

    # ------------------------------------------------------------ events of the timeline

    def _event(self, machine: str, identity: str, source: str, dest: str) -> None:
        if machine == "order" and source != dest:
            key = identity.rpartition("#")[0]
            if dest == "live":
                self._happened("order_live", key, "", "")
            elif dest == "filled":
                self._happened("filled", key, "", "")
            elif dest == "cancelled":
                self._happened("cancel_acked", key, "", "")
        if source != dest:
            self._happened("state", identity.rpartition("#")[0] or identity, machine, dest)

    def _happened(self, event: str, key: str, machine: str, state: str) -> None:
        for number, entry in enumerate(self.waiting):
            after = entry.after
            if after is None or after.event != event:
                continue
            if after.instrument is not None and after.instrument != key:
                continue
            if after.machine is not None and after.machine not in (machine, key):
                continue
            if after.state is not None and after.state != state:
                continue
            self.events[number] += 1
            if self.events[number] == after.nth:
                self.kernel.at(self.kernel.now + after.plus_ns, MARKET, self.stage, entry.action)

    def order_number(self, order: str | int | None) -> int:
        """The logical number of an order named "v:s#n"; 0 if there is none."""
        if isinstance(order, int) or order is None or self.dispatcher is None:
            return order if isinstance(order, int) else 0
        for uid, each in self.dispatcher.core.env.orders.items():
            if each.id == order:
                return uid
        return 0

    def units_of_order(self, order: int, quantity: Decimal) -> int:
        """A quantity in the units of an order's instrument."""
        assert self.dispatcher is not None
        return to_units(quantity, self.dispatcher.core.env.orders[order].instrument)

    # ------------------------------------------------------------ judging

    def snapshot(self) -> Outcome:
        """The outcome as of now."""
        core = self.dispatcher.core if self.dispatcher is not None else self._replayed()
        now = self.kernel.now
        outcome = self.recorder.snapshot(core, now)
        held = self.positions()
        for instrument in self.instruments:
            index = instrument.index
            outcome.positions[instrument.key] = instrument.base(held[index])
            outcome.believed[instrument.key] = instrument.base(core.holdings[index].qty)
        outcome.checked = self.watch.checked
        outcome.violated = list(self.watch.violated)
        outcome.journal_records = self.journal.last_seq
        outcome.journal_hash = self.journal.last_hash.hex()
        return outcome

    def expect_now(self, expect: Expect) -> None:
        """Check an expectation of the timeline at this moment."""
        missed = check(expect, self.snapshot(), ended=False, history=self.watch)
        when = seconds_text(self.kernel.now - self.origin)
        self.outcome.failed += [f"at {when} s: {line}" for line in missed]

    def fresh_core(self) -> Core:
        """A core without history, as a process of this run starts with."""
        return assembly.build_core(self.scenario.config, self.instruments, self.settings)

    def _replayed(self) -> Core:
        core = self.fresh_core()
        fold(core, self.journal.read())
        return core

    def _judge(self) -> Outcome:
        if self.dispatcher is not None and not self.dispatcher.inbox:
            live = self.dispatcher.core
            self.watch.checked += 1
            if digest(self._replayed()) != digest(live):
                self.watch.violated.append("I12 the folded journal differs from the live state")
            if not self._alive():
                believed = {h.instrument.index: h.qty for h in live.holdings}
                foreign = {
                    self.by_key[key].index
                    for key, position in self.scenario.config.positions.items()
                    if position.foreign
                }
                self.watch.external |= foreign
                self.watch.ended(believed, self.positions())
        outcome = self.snapshot()
        outcome.failed += check(self.scenario.expect, outcome, ended=True, history=self.watch)
        outcome.failed += [f"invariant {line}" for line in self.watch.violated]
        outcome.ok = not outcome.failed
        if isinstance(self.journal, SyncJournal):
            self.journal.close()
        if self.directory is not None:
            self.directory.cleanup()
        return outcome

    def _note(self, machine: str, text: str) -> None:
        self.recorder.note(NoteRow(self.kernel.now - self.origin, machine, "", text))


def _book_action(key: str, book: Any) -> actions.Book:
    return actions.Book(key, book.bid, book.bid_qty, book.ask, book.ask_qty, book.mark)


def run(scenario: Scenario) -> World:
    """Run a scenario to its end; the world holds outcome and coverage."""
    world = World(scenario)
    world.outcome = world.run()
    return world


__all__ = ["MS", "World", "run"]
