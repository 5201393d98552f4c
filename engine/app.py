"""The composition root: puts configuration, journal, embedded venues and board together.

The only module of the shell that names a concrete venue. It holds no rule of its own.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from loguru import logger
from rich.console import Console

from engine.board import Board, make_board
from engine.clock import Clock, LiveScheduler
from engine.conductor import EXIT_FAILED, EXIT_FLAT, EXIT_LEFT, EXIT_USAGE, Conductor
from engine.config import BookSpec, Config, ConfigError, VenueSpec, load
from engine.control import Control
from engine.feeds import check_recordings, open_recording
from engine.journal import AsyncJournal, JournalError
from engine.live import Engine
from engine.log_file import LogFile
from engine.operator.door import Door, DoorError
from engine.recovery import Boot, BootError, Paths, boot
from engine.snapshot import Snapshot
from engine.summary import is_as_asked, summary
from engine.supervisor import Supervisor, attempted, describe
from engine.texts import printable, put
from engine.venue_actor import BookError, BookFile, VenueActor
from machines.types import Instrument
from venues.instruments import ceil_tick, floor_tick, floor_units
from venues.sim.draws import Draws
from venues.sim.latency import Latency, latency_of
from venues.sim.latency import Path as Delay
from venues.sim.markets import SyntheticFeed, Walks
from venues.sim.recordings import RecordedFeed
from venues.sim.venue import SimVenue

if TYPE_CHECKING:
    import loguru

#: How often tasks that must last are set going again after they failed.
REVIVALS_MAX = 100


def run(path: Path, *, fresh: bool = False) -> int:
    """Run the engine of a configuration file to its end; return the exit code."""
    try:
        config = load(path)
        check_recordings(config, path)
    except ConfigError as error:
        put(error.lines(), sys.stderr)
        return EXIT_USAGE
    return run_config(config, fresh=fresh)


def run_config(config: Config, *, fresh: bool = False) -> int:
    """Run the engine of a checked configuration to its end; return the exit code."""
    console = Console(highlight=False, emoji=False)
    # What a process remembers of keys and positions must not be left on the disk when it dies (S6).
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Door(Paths(config).socket).check()
        started = boot(config, fresh=fresh)
        for note in started.notes:
            _print(console, note)
        _log_to(started, console)
        return launch(Run(started, console))
    except (BootError, BookError, DoorError, JournalError) as error:
        put([str(error)], sys.stderr)
        return EXIT_USAGE


def launch(run: Run) -> int:
    """Run a booted process in an event loop to its end; return the exit code."""
    return anyio.run(run.main, backend_options={"use_uvloop": _has_uvloop()})


def _print(console: Console, text: str) -> None:
    """Print a line for people: wrapped on a terminal, whole for anything that reads lines."""
    console.print(printable(text), markup=False, soft_wrap=not console.is_terminal)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415 - optional, and only its presence matters
    except ImportError:
        return False
    return True


def _log_to(started: Boot, console: Console) -> None:
    """Log to the file, and warnings to standard error unless the live table is there."""
    logger.remove()
    # What venues and people say stands in the log as well: one line each, and nothing that steers.
    logger.configure(patcher=_make_printable)
    path = started.paths.log
    try:
        logger.add(
            LogFile(path),
            level=started.config.engine.log_level,
            format="{time:YYYY-MM-DD HH:mm:ss.SSS} {level} {message}",
            diagnose=False,
            backtrace=False,
        )
    except OSError as error:
        raise BootError(f"{path}: cannot be written ({error})") from error
    if sys.stderr and not (console.is_terminal and sys.stderr.isatty()):
        logger.add(sys.stderr, level="ERROR", format="{message}", diagnose=False, backtrace=False)


def _make_printable(record: loguru.Record) -> None:
    record["message"] = printable(record["message"])


class Run:
    """One process: builds the parts inside the loop, runs them, says how it ended."""

    def __init__(self, started: Boot, console: Console) -> None:
        self.boot = started
        self.console = console
        self.engine: Engine
        self.clock: Clock
        self.board: Board
        self.scheduler: LiveScheduler
        self.conductor: Conductor
        self.control: Control
        self.supervisor: Supervisor
        self._revived = 0
        # Each process draws anew: a market that began again would repeat what was traded on.
        self.draws = Draws(started.config.run.seed).child(f"epoch.{started.journal.epoch}")
        self.venues: dict[str, SimVenue] = {}
        self.actors: dict[str, VenueActor] = {}

    async def main(self) -> int:
        """Run to the end. Cancellation is not expected: signals are taken by the conductor."""
        journal = await AsyncJournal.take_over(self.boot.journal)
        try:
            return await self._with(journal)
        finally:
            await self._close(journal)

    async def _close(self, journal: AsyncJournal) -> None:
        try:
            await journal.aclose()
        except JournalError as error:
            logger.error("journal: {}", error)

    async def _with(self, journal: AsyncJournal) -> int:
        started = self.boot
        files = {name: BookFile(started.paths.book(name)) for name in started.settings}
        states = {name: file.load() for name, file in files.items()}
        self.clock = clock = Clock(started.memory.newest)
        self.board = board = make_board(self.console, self._snapshot, clock.now)
        self.engine = engine = Engine(
            started.core,
            journal,
            clock,
            on_trace=board.trace,
            on_alarm=board.alarm,
        )
        self.scheduler = LiveScheduler(clock)
        for name, file in files.items():
            self._add_venue(name, file, states[name])
        engine.connect(dict(self.actors))
        engine.room = [actor.room for actor in self.actors.values()]
        engine.on_wake = [self.scheduler.look_again]
        engine.on_failure = [actor.go_straight for actor in self.actors.values()]
        self.conductor = Conductor(engine, started, board.say)
        self.control = Control(engine, Door(started.paths.socket), board.say)
        logger.info("started: epoch {}, {} records", journal.epoch, journal.last_seq)
        for note in started.notes:
            logger.info("{}", note)
        if started.lost:
            logger.warning("starts halted: {}", started.lost)
        try:
            for actor in self.actors.values():
                await actor.save()
            self._start_markets()
        except (OSError, ValueError) as error:
            raise BootError(f"the simulated venues cannot start: {error}") from error
        code = await self._conduct()
        return self._end(code)

    def _snapshot(self) -> Snapshot:
        return self.engine.snapshot()

    def vital(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks that the process cannot do without, by name."""
        engine = self.engine
        return {
            "signals": self.conductor.listen,
            "scheduler": self.scheduler.run,
            **{f"venue {name}": actor.run for name, actor in self.actors.items()},
            "committer": engine.commit,
            "dispatcher": engine.dispatch,
            "timers": engine.fire_timers,
            "heartbeat": engine.live,
            "journal": engine.tend_journal,
        }

    async def _conduct(self) -> int:
        engine = self.engine
        await self.control.open()
        async with Supervisor(self._failed) as self.supervisor:
            self.supervisor.start("control", self.control.serve, vital=False)
            self.supervisor.start("board", self.board.run, vital=False)
            for name, task in self.vital().items():
                self.supervisor.start(name, task)
            code = await self.conductor.conduct(self.supervisor)
        try:
            for actor in self.actors.values():
                await actor.save()
        except OSError as error:
            engine.fail(f"a venue's book cannot be saved: {error}")
        return EXIT_FAILED if engine.failure else code

    def _failed(self, name: str, error: BaseException, vital: bool) -> None:
        """Tell the engine, and set going again what must last."""
        try:
            self.engine.task_failed(name, error, vital)
        finally:
            # Embedded venues live in the scheduler and have orders to cancel; people must get in.
            lasting = {"scheduler": self.scheduler.run, "control": self.control.serve}
            if name in lasting and self._revived < REVIVALS_MAX:
                self._revived += 1
                self.supervisor.start(name, lasting[name], vital=vital)

    # ------------------------------------------------------------ venues

    def _add_venue(self, name: str, file: BookFile, state: bytes | None) -> None:
        """Build one embedded venue from its book, at the first start from the configuration."""
        started, engine, scheduler = self.boot, self.engine, self.scheduler
        settings, spec = started.settings[name], started.config.venues[name]
        actor = VenueActor(settings, engine, self.clock, scheduler, engine.backlog, file)
        draws = self.draws.child(f"venue.{name}")
        venue = SimVenue(
            settings,
            started.profiles[name],
            [each for each in started.instruments if each.venue == name],
            scheduler,
            actor,
            _latency(spec, draws),
            draws,
            spec.balance,
        )
        if state is None:
            for key, position in started.config.positions.items():
                instrument, qty = started.position(key, position)
                if instrument.venue == name:
                    venue.set_position(instrument.index, qty, position.entry)
        else:
            try:
                venue.import_state(state)
            except ValueError as error:
                raise BookError(f"{file.path}: {error}; restore a copy of it") from error
        actor.connect(venue)
        self.actors[name], self.venues[name] = actor, venue

    def _start_markets(self) -> None:
        """Let made-up and recorded markets run, and have standing books sent again."""
        scheduler = self.scheduler
        walks = Walks(self.draws.child("markets"))
        every: dict[str, dict[int, int]] = {name: {} for name in self.venues}
        for instrument in self.boot.instruments:
            spec, venue = (
                self.boot.config.instruments[instrument.key],
                self.venues[instrument.venue],
            )
            if spec.synthetic is not None:
                walk, draws = walks.of(spec.synthetic, instrument), self.draws
                SyntheticFeed(venue, instrument, spec.synthetic, walk, scheduler, draws).start()
            elif spec.recording:
                rows = open_recording(spec.recording, instrument)
                RecordedFeed(venue, instrument, rows, scheduler).start()
            elif spec.book is not None:
                _set_book(venue, instrument, spec.book)
                every[instrument.venue][instrument.index] = spec.book.republish_ns
        for name, venue in self.venues.items():
            venue.start_republish(every[name])

    # ------------------------------------------------------------ the end

    def _end(self, code: int) -> int:
        """Show what is left and how each close went; return the exit code."""
        engine = self.engine
        positions: dict[int, int] = {}
        for venue in self.venues.values():
            positions |= venue.positions()
        if code == EXIT_FLAT and not is_as_asked(engine.core, positions):
            code = EXIT_LEFT
        logger.info("ended: exit {}, {} records", code, engine.journal.last_seq)
        failed = attempted(lambda: self._show_end(code, positions))
        if failed is not None:
            # Whoever watched has left, the disk is full, or the core is broken; the code tells.
            logger.error("the end cannot be shown: {}", describe(failed))
        if engine.failure:
            words = self.conductor.last_words or [f"ended early: {engine.failure}"]
            attempted(lambda: put(words, sys.stderr))
        return code

    def _show_end(self, code: int, positions: dict[int, int]) -> None:
        engine, started = self.engine, self.boot
        if code == EXIT_FLAT:
            started.mark(finished=started.is_finished())
        self.board.finish()
        for line in summary(engine.core, positions, self.clock.now()):
            _print(self.console, line)
        if code != EXIT_FLAT and engine.alive():
            _print(self.console, "what is left goes on with the next: unwind run")


def _latency(spec: VenueSpec, draws: Draws) -> Latency:
    given = spec.latency
    if given.recorded:
        return latency_of(given.recorded, spec.name, draws)
    return Latency(
        Delay(given.request_ns),
        Delay(given.response_ns),
        Delay(given.stream_ns),
        Delay(given.public_ns),
    )


def _set_book(venue: SimVenue, instrument: Instrument, book: BookSpec) -> None:
    mark = (book.bid + book.ask) / 2 if book.mark is None else book.mark
    venue.set_book(
        instrument.index,
        floor_tick(book.bid, instrument),
        floor_units(book.bid_qty, instrument),
        ceil_tick(book.ask, instrument),
        floor_units(book.ask_qty, instrument),
        floor_tick(mark, instrument),
    )
