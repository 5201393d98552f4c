"""A session on disk without a process: the real start, core, journal and venues, in virtual time.

What a killed process leaves is a copy of the files at that moment. It must not assert anything.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from engine.conductor import Conductor
from engine.config import BookSpec, load
from engine.dispatcher import Dispatcher
from engine.live import Engine
from engine.recovery import Boot, boot
from engine.simulation.kernel import Kernel, settle
from engine.venue_actor import BookFile
from machines.messages import Fact
from machines.types import NS, Instrument
from tests.live_engine import LiveEngine, config_text
from venues.instruments import ceil_tick, floor_tick, floor_units
from venues.sim.draws import Draws
from venues.sim.latency import no_latency
from venues.sim.venue import SimVenue

START_NS = 1_700_000_000 * NS
#: A person's halt, close and so on, by this name.
PERSON = "0:person"

_SYNTHETIC = re.compile(r'synthetic = \{ mid = "([0-9.]+)".*\}')


def standing_text(*, closes: bool = False) -> str:
    """The small configuration with books that stand still."""

    def book(found: re.Match[str]) -> str:
        ask = Decimal(found[1]) + Decimal("0.02")
        return f'book = {{ bid = "{found[1]}", bid_qty = "1000", ask = "{ask}", ask_qty = "1000" }}'

    return _SYNTHETIC.sub(book, config_text(closes=closes))


class Process:
    """One process of the engine on the files of a folder, until it is left."""

    def __init__(self, live: LiveEngine, *, fresh: bool = False) -> None:
        self.live = live
        self.boot: Boot = boot(load(live.config), fresh=fresh)
        # A live process begins its log anew when it takes the journal over.
        self.boot.journal.checkpoint("TRUNCATE")
        self.kernel = Kernel(max(START_NS, self.boot.memory.newest + NS))
        self.ports: dict[str, SimVenue] = {}
        self.dispatcher = Dispatcher(
            self.boot.core, self.boot.journal, self.ports, lambda: self.kernel.now
        )
        self.files = {name: BookFile(live.paths.book(name)) for name in self.boot.settings}
        for name, file in self.files.items():
            self.ports[name] = self._venue(name, file.load())
        self.dispatcher.wire()
        self.dispatcher.timers.restore(self.boot.core, self.kernel.now)
        self._save()
        clock = SimpleNamespace(now=lambda: self.kernel.now)
        begun = SimpleNamespace(fact=self.dispatcher.fact, clock=clock)
        Conductor(cast(Engine, begun), self.boot, lambda _: None).begin()
        self.run(NS)

    def _venue(self, name: str, state: bytes | None) -> SimVenue:
        started = self.boot
        venue = SimVenue(
            started.settings[name],
            started.profiles[name],
            [each for each in started.instruments if each.venue == name],
            self.kernel,
            self.dispatcher,
            no_latency(),
            Draws(started.journal.epoch),
            started.config.venues[name].balance,
        )
        if state is not None:
            venue.import_state(state)
        for instrument in started.instruments:
            if instrument.venue == name:
                self._furnish(venue, instrument, new=state is None)
        return venue

    def _furnish(self, venue: SimVenue, instrument: Instrument, *, new: bool) -> None:
        key, config = instrument.key, self.boot.config
        if new and key in config.positions:
            spec = config.positions[key]
            venue.set_position(instrument.index, self.boot.position(key, spec)[1], spec.entry)
        book = config.instruments[key].book
        assert isinstance(book, BookSpec)
        self.kernel.at(self.kernel.now + NS // 100, 9, lambda _: _show(venue, instrument, book))

    # ------------------------------------------------------------ running

    def turn(self, dispatcher: Dispatcher) -> None:
        """What the venues changed is on disk before the engine hears of it; then it decides."""
        self._save()
        dispatcher.drain()
        dispatcher.commit()

    def _save(self) -> None:
        for name, file in self.files.items():
            state = self.ports[name].export_state()
            if file.is_new(state):
                file.save(state)

    def run(self, span_ns: int) -> None:
        """Let that much time go by."""
        end = self.kernel.now + span_ns
        while True:
            settle(self.kernel, self)
            timer = self.dispatcher.timers.next_due(self.boot.core)
            due = [at for at in (self.kernel.next_time(), timer) if at is not None]
            if not due or min(due) > end:
                break
            self.kernel.now = max(self.kernel.now, min(due))
        self.kernel.now = end

    def say(self, *facts: Fact) -> None:
        """Tell the engine something, all of it at this moment."""
        for fact in facts:
            self.dispatcher.fact(fact)
        self.run(0)

    def leave(self) -> None:
        """End in an orderly way."""
        self.boot.journal.close()


@contextmanager
def running(live: LiveEngine, *, fresh: bool = False) -> Iterator[Process]:
    """A process that is left at the end."""
    process = Process(live, fresh=fresh)
    try:
        yield process
    finally:
        process.leave()


def copied(live: LiveEngine, folder: Path) -> LiveEngine:
    """The files as they are on disk at this moment, as a death of the process leaves them."""
    shutil.copytree(live.paths.directory, folder / live.paths.directory.name)
    return LiveEngine(folder, live.config.read_text(encoding="utf-8"))


def _show(venue: SimVenue, instrument: Instrument, book: BookSpec) -> None:
    venue.set_book(
        instrument.index,
        floor_tick(book.bid, instrument),
        floor_units(book.bid_qty, instrument),
        ceil_tick(book.ask, instrument),
        floor_units(book.ask_qty, instrument),
        floor_tick((book.bid + book.ask) / 2, instrument),
    )
