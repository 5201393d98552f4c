"""One simulated run: the real core, dispatcher and journal against simulated venues, virtual time.

The world puts a scenario together, moves its time and tells the checkers what happens. It must not
know what the engine will do, nor help it: everything passes the port and the journal.

Order of work at one instant (venues.md 5.1): deliver what is due to the engine, fire its timers,
run it to quiescence and repeat; then commands that arrive, market data and scripted actions.
"""

from __future__ import annotations

from typing import Any

from engine import assembly
from engine.feeds import open_recording
from engine.simulation import actions
from engine.simulation.crash import CrashPlan
from engine.simulation.events import Events
from engine.simulation.kernel import Kernel, settle
from engine.simulation.mentions import Mentions
from engine.simulation.outcome import NoteRow, Outcome
from engine.simulation.process import Process
from engine.simulation.recorder import Recorder
from engine.simulation.scenario import Scenario
from engine.simulation.stage import Stage
from engine.simulation.truth import Truth, Written
from engine.simulation.verdict import asks, judge
from engine.simulation.watch import Watch
from engine.taken import Taken
from machines.core import Core
from machines.messages import (
    Alarm,
    Cancel,
    CloseRequested,
    Command,
    Fact,
    Place,
    PositionDeclared,
)
from machines.table import Out, Transition
from machines.types import NS, Instrument
from venues.instruments import base_to_units
from venues.port import HOUSEKEEP, MARKET
from venues.sim.draws import Draws
from venues.sim.latency import Latency, Path, latency_of
from venues.sim.markets import SyntheticFeed, Walks
from venues.sim.recordings import RecordedFeed
from venues.sim.venue import SimVenue

#: Virtual time begins here, so that boot has room before time 0.
BASE_NS = 1_000 * NS
BOOT_MAX_NS = 60 * NS
END = "reconciled"


class World:
    """A scenario being run. `run()` returns its outcome; `taken` counts the rows taken."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.kernel = Kernel(BASE_NS)
        self.origin = BASE_NS
        self.taken = Taken()
        self.draws = Draws(scenario.seed)
        config = scenario.config
        self.profiles = assembly.profiles(config)
        self.settings = assembly.venue_settings(config, self.profiles)
        mentioned = Mentions(scenario.timeline)
        self.instruments = assembly.instruments(
            config, lambda key: mentioned.quantities(config, key)
        )
        self.by_key = {each.key: each for each in self.instruments}
        crashes = CrashPlan(self.draws.child("crash"))
        self.process = Process(self.fresh_core, scenario.journal, self.kernel, crashes, self)
        self.venues = {name: self._venue(name) for name in config.venues}
        self.process.venues = self.venues
        self.truth = Truth(self.venues.values())
        self.written = Written()
        legs = {
            pair.name: tuple(self.by_key[leg].index for leg in pair.legs)
            for pair in config.pairs.values()
        }
        settings = {each.index: self.settings[each.venue] for each in self.instruments}
        self.watch = Watch(self.instruments, legs, settings)
        self.outcome = Outcome(scenario.file, scenario.name, scenario.seed)
        self.recorder = Recorder(self.outcome, self.instruments)
        self.stage = Stage(self)
        self.events = Events(scenario.timeline, self.kernel, self.stage)
        self.feeds: list[SyntheticFeed | RecordedFeed] = []
        #: Whether no process was awake when this was last looked at.
        self._asleep = False

    # ------------------------------------------------------------ building

    def instruments_of(self, venue: str) -> list[Instrument]:
        """The instruments of a venue, in the order of their index."""
        return [each for each in self.instruments if each.venue == venue]

    def fresh_core(self) -> Core:
        """A core without history, as a process of this run starts with."""
        return assembly.build_core(self.scenario.config, self.instruments, self.settings)

    def _venue(self, name: str) -> SimVenue:
        spec = self.scenario.config.venues[name]
        latency = spec.latency
        draws = self.draws.child(f"venue.{name}")
        venue = SimVenue(
            self.settings[name],
            self.profiles[name],
            self.instruments_of(name),
            self.kernel,
            self.process,
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

    # ------------------------------------------------------------ running

    def run(self) -> Outcome:
        """Run to the end and judge; never raises for what the engine did."""
        try:
            self._boot()
            self._advance(self.origin + self.scenario.duration_ns)
            return judge(self)
        finally:
            self.process.close()

    def _advance(self, end: int) -> None:
        """Go from instant to instant until nothing is left to happen, at most to `end`."""
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

    def _boot(self) -> None:
        """Start the engine and let it connect; then begin the time of the scenario."""
        every: dict[int, int] = {}
        for key, spec in self.scenario.config.instruments.items():
            instrument = self.by_key[key]
            if spec.book is not None:
                self.stage.book(_book_action(key, spec.book))
                every[instrument.index] = spec.book.republish_ns
        core = self.process.start().core
        self._declare()
        limit = self.kernel.now + BOOT_MAX_NS
        while True:
            self.settle()
            if all(session.trusted for session in core.sessions.values()):
                break
            due = self._next_time()
            if due is None or due > limit:
                break
            self.kernel.now = due
        self.origin = self.recorder.origin = self.kernel.now
        self.watch.begin(self.origin)
        self.recorder.begin()
        for venue in self.venues.values():
            venue.republish()
            venue.start_republish(every)
        self._start_markets()
        # What arms a request comes before what causes one, however the file orders an instant.
        for entry in sorted(self.scenario.timeline, key=lambda each: not _arms(each.action)):
            if entry.at is not None:
                lane = HOUSEKEEP if isinstance(entry.action, actions.ExpectNow) else MARKET
                self.kernel.at(self.origin + entry.at, lane, self.stage, entry.action)

    def _declare(self) -> None:
        """Tell the first process what it holds, as far as it is to know of it."""
        for key, position in self.scenario.config.positions.items():
            instrument = self.by_key[key]
            qty = base_to_units(position.qty, instrument)
            self.watch.declare(instrument.index, 0 if position.foreign else qty, qty)
            if not position.foreign:
                self.process.fact(
                    PositionDeclared(self.kernel.now, instrument.index, qty, position.entry)
                )

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
        settle(self.kernel, self.process)
        truth, watch, now = self.truth, self.watch, self.kernel.now
        watch.traded(*truth.tape())
        asleep = self.process.dispatcher is None
        if asleep or self._asleep:
            # What it was shown counts from the instant at which it is awake again.
            watch.slept(now, died=asleep and self.process.frozen is None)
        self._asleep = asleep
        alive = truth.live_orders(watch.told.dead)
        orders = truth.open_orders() if watch.told.shared else ()
        watch.settled(now, truth.positions(), alive, orders)

    def _next_time(self) -> int | None:
        times = (self.kernel.next_time(), self.process.next_timer())
        known = [time for time in times if time is not None]
        return max(min(known), self.kernel.now) if known else None

    def _finished(self) -> bool:
        idle = sum(each.idle_actions for each in (*self.venues.values(), *self.feeds))
        return len(self.kernel.heap) <= idle and not self.process.unfinished() and not asks(self)

    # ------------------------------------------------------------ what the process does

    def stepped(self, fact: Fact, out: Out) -> None:
        """One step ran: count the rows, record it, tell the checkers."""
        if isinstance(fact, CloseRequested) and fact.pair in self.watch.pairs:
            self.watch.closing(fact.pair)
        self.watch.traded(*self.truth.tape())
        self.watch.step(self.kernel.now, fact, out.commands)
        trace = out.trace or []
        self.recorder.stepped(fact, trace)
        self.taken.take(trace)
        for each in trace:
            if each.machine == "close" and each.source == END != each.dest:
                self.watch.closing(each.id)
            elif each.machine == "close" and each.dest == END != each.source:
                self._ended(each)
            self.events.moved(each)

    def _ended(self, moved: Transition) -> None:
        name = moved.id
        assert self.process.dispatcher is not None
        close = self.process.dispatcher.core.closes[name]
        if close.outcome != "withdrawn" and moved.trigger != "write_off":
            self.watch.ended(
                name,
                {leg.instrument.index: leg.rest for leg in close.legs},
                {leg.instrument.index: leg.holding.qty - leg.rest for leg in close.legs},
                self.truth.live_orders(self.watch.told.dead),
                self.truth.positions(),
            )
        self.watch.closed(name)

    def alarmed(self, alarm: Alarm) -> None:
        """An alarm is durable."""
        self.recorder.alarm(alarm, self.kernel.now)

    def sent(self, command: Command) -> None:
        """A command leaves the engine."""
        self.watch.left(self.kernel.now, command)
        assert self.process.dispatcher is not None
        self.recorder.sent(command, self.kernel.now, self.process.dispatcher.core)
        if isinstance(command, (Place, Cancel)):
            self.events.sent(command, self.instruments[command.instrument].key)

    def journalled(self) -> None:
        """A batch was written: look at what the journal really holds."""
        self.watch.wrote(self.written.new(self.process.journal))

    def note(self, machine: str, text: str) -> None:
        """Anything else worth a line of the trace."""
        self.recorder.note(NoteRow(self.kernel.now - self.origin, machine, "", text))


def _book_action(key: str, book: Any) -> actions.Book:
    return actions.Book(key, book.bid, book.bid_qty, book.ask, book.ask_qty, book.mark)


def _arms(action: actions.Action) -> bool:
    """Whether an action only prepares the fate of requests to come."""
    return isinstance(action, (actions.Answer, actions.Fault, actions.Crash))


def run(scenario: Scenario) -> World:
    """Run a scenario to its end; the world holds the outcome and the rows taken."""
    world = World(scenario)
    world.outcome = world.run()
    return world
