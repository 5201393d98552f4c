"""Starts from what is there: lock, check, new epoch, fold; first start and restart alike.

Journal, lock file, session file and the venues' books are believed only as far as they agree. What
contradicts them is refused; a journal that has lost its end starts the engine halted. A finished
session is put aside under new names, never deleted. This module must not connect to anything nor
send; `engine.live` does that afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from engine.aside import Aside, start_over
from engine.assembly import build_core, instruments, profiles, venue_settings
from engine.books import LOST_TAIL, Book, Heard, newest_start, read_books
from engine.config import Config, PositionSpec
from engine.config_specs import RunClose
from engine.dispatcher import fold
from engine.journal import Record, SyncJournal, open_journal
from engine.journal_file import locked
from engine.lock import LockFile
from engine.paths import SESSION_SUFFIX, BootError, Paths
from engine.remains import is_at_its_end, is_free, is_unbegun, remains_of, words_of_loss
from engine.session_file import Session, differences, read_session, write_session
from machines.core import Core
from machines.errors import ReplayDiverged
from machines.messages import CloseRequested
from machines.types import Instrument, VenueSettings
from venues.instruments import base_to_units
from venues.profiles import Profile

#: What others need of a start; its parts come from their own rooms.
__all__ = ["RUN", "SESSION_SUFFIX", "Boot", "BootError", "Paths", "boot"]

#: `by` of what the engine itself asks for.
RUN = "run:"

#: What a request of `[run]` asks for. Where it stands in the list says nothing of it.
Request = tuple[str, str, str | None, tuple[int, int]]


def request_of(asked: RunClose | CloseRequested) -> Request:
    """What is asked for: equal requests are told apart by how many there are, and by no order."""
    return asked.pair, asked.reason, asked.urgency, asked.ratio


class Memory:
    """What a fold sees besides the machines: requests made, what was heard, the newest time."""

    def __init__(self, swallowing: frozenset[int]) -> None:
        #: How often the engine has asked for each of the closes of `[run]`.
        self.requested: Counter[Request] = Counter()
        self.heard = Heard(swallowing)
        self.newest = 0

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on and note what the next start needs."""
        for record in records:
            fact = record.fact
            self.newest = max(self.newest, record.at)
            self.heard.take(record)
            if isinstance(fact, CloseRequested) and fact.by.startswith(RUN):
                self.requested[request_of(fact)] += 1
            yield record


class Boot:
    """A started but unconnected engine: its core as the journal left it, and the journal, open."""

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config = config
        self.paths = paths
        self.profiles: dict[str, Profile] = profiles(config)
        self.settings: dict[str, VenueSettings] = venue_settings(config, self.profiles)
        self.instruments: list[Instrument] = instruments(config)
        self.memory = self._new_memory()
        self.core: Core = self._new_core()
        self.journal: SyncJournal
        self.notes: list[str] = []
        #: What the journal has lost, in words; empty if nothing.
        self.lost = ""

    def _new_core(self) -> Core:
        return build_core(self.config, self.instruments, self.settings)

    def _new_memory(self) -> Memory:
        swallowing = {
            each.index
            for each in self.instruments
            if self.settings[each.venue].capabilities.reduce_only == "silent_drop"
        }
        return Memory(frozenset(swallowing))

    @property
    def is_held(self) -> bool:
        """Whether the engine is halted, and its journal has lost its end, now or earlier."""
        env = self.core.env
        return env.halted and (bool(self.lost) or env.halted_by == LOST_TAIL)

    @property
    def is_first(self) -> bool:
        """Whether the journal has no records yet."""
        return self.journal.last_seq == 0

    def shape(self) -> dict[str, Any]:
        """Everything of the configuration that decides how records are folded."""
        config = self.config
        parts = {
            "instruments": {each.key: each for each in self.instruments},
            "venues": self.settings,
            "pairs": {pair.name: pair for pair in config.pair_settings()},
            "session": {"session": config.session},
        }
        read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parts))
        return read

    def position(self, key: str, spec: PositionSpec) -> tuple[Instrument, int]:
        """A configured position as (instrument, signed units)."""
        instrument = next(each for each in self.instruments if each.key == key)
        return instrument, base_to_units(spec.qty, instrument)

    def is_done(self, number: int) -> bool:
        """Whether the close number `number` of `[run]` needs no request any more.

        The list may have been changed since the session was begun: what was asked for is known by
        what it asks, so that another order repeats nothing.
        """
        closes = self.config.run.closes
        asked, request = closes[number], request_of(closes[number])
        nth = sum(request_of(each) == request for each in closes[: number + 1])
        if nth <= self.memory.requested[request]:
            return True
        pair, close = self.core.pairs[asked.pair], self.core.closes.get(asked.pair)
        if close is None or close.state != "reconciled":
            return False
        holdings = [self.core.holdings[index] for index in pair.legs]
        return all(holding.qty == holding.dust for holding in holdings)

    def is_finished(self) -> bool:
        """Whether every close of `[run]` was asked for and none is alive."""
        closes = self.config.run.closes
        alive = any(close.state != "reconciled" for close in self.core.closes.values())
        done = bool(closes) and not alive and all(map(self.is_done, range(len(closes))))
        return done and not self.is_held

    def mark(self, *, finished: bool) -> None:
        """Write the session file. Raises OSError."""
        write_session(self.paths.session, Session(self.shape(), finished, self.journal.last_seq))

    # ------------------------------------------------------------ starting

    def open(self, *, fresh: bool) -> None:
        """Lock, check and fold; archive first if `fresh` or if the session is finished.

        Raises BootError, BookError and JournalError; journal and books are then as they were.
        """
        paths = self.paths
        paths.make_directory()
        if not (fresh or is_free(paths.socket)):
            raise BootError(
                f"{paths.socket}: is no socket and is left alone; choose another engine.socket, "
                "or start with --fresh, which puts it aside"
            )
        if fresh:
            lock, told = start_over(paths)
            self.notes += told
            self._open_journal(None, lock, anew=True)
        else:
            self._go_on(locked(paths.journal))
        if self.is_finished() and not self.lost:
            lock = self._closed()
            self._set_aside(lock)
            self.core, self.memory = self._new_core(), self._new_memory()
            self._open_journal(None, lock, anew=True)

    def _go_on(self, lock: LockFile) -> None:
        """Go on from what is there; a finished session is put aside, of another one nothing is."""
        paths = self.paths
        try:
            session = self._session()
            finished = session is not None and is_at_its_end(session, paths, lock)
            unbegun = session is None and is_unbegun(paths, lock)
        except BaseException:
            lock.release()
            raise
        if finished:
            self._set_aside(lock)
            session = None
        anew = unbegun or not paths.journal.exists()
        if anew and (remains := remains_of(paths)):
            lock.release()
            raise BootError(
                f"{paths.journal}: it was replaced by an older copy or removed, while "
                f"{', '.join(remains)} of it are there. Put it back, or start with --fresh, which "
                "puts aside what is left"
            )
        self._open_journal(session, lock, anew=anew)

    def _session(self) -> Session | None:
        try:
            return read_session(self.paths.session)
        except (OSError, ValueError) as error:
            raise BootError(
                f"{self.paths.session}: the session file is damaged ({error}); restore it, or "
                "start with --fresh"
            ) from error

    def _closed(self) -> LockFile:
        """Close the journal of a session that is done, and say so beside it."""
        try:
            self.mark(finished=True)
            self.journal.checkpoint("TRUNCATE")
        except OSError as error:
            self.journal.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.journal.close()
            raise
        return self.journal.detach()

    def _set_aside(self, lock: LockFile) -> None:
        """Put a finished session aside. The lock stays, but where that fails."""
        try:
            name = Aside(self.paths).session()
        except BaseException:
            lock.release()
            raise
        self.notes.append(
            f"all pairs are flat already (journal {self.paths.journal}); archived that session as "
            f"{name} and starting anew"
        )

    def _open_journal(self, session: Session | None, lock: LockFile, *, anew: bool) -> None:
        # Epochs go on across archived sessions, so that no order id ever comes back.
        paths = self.paths
        try:
            self.notes += [each for each in paths.make() if each not in self.notes]
            books = read_books(paths.books)
        except BaseException:
            lock.release()
            raise
        seen = newest_start(books)
        self.journal = open_journal(paths.journal, accept_restore=anew, lock=lock, shown_epoch=seen)
        try:
            if self.is_first and not self.journal.lost_until:
                self.mark(finished=False)
            else:
                self._check_shape(session)
                self._fold()
            self._compare(books)
        except OSError as error:
            self.journal.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.journal.close()
            raise

    def _compare(self, books: list[Book]) -> None:
        """Hold journal and books against each other; note what the journal has lost."""
        paths, heard, journal = self.paths, self.memory.heard, self.journal
        if gone := heard.missing(books):
            raise BootError(
                f"{paths.books}: the venues' books do not show {gone}: they were replaced by "
                "older copies. Put the newest ones back, or start with --fresh"
            )
        unknown = len(heard.unknown(books))
        self.lost = words_of_loss(paths.journal, journal.last_seq, journal.lost_until, unknown)
        if self.lost:
            self.notes.append(
                f"{self.lost}. What was asked for in the meantime is forgotten, a halt perhaps, so "
                "the engine starts halted: it cancels what rests and creates nothing. Look with: "
                "unwind status; go on with: unwind resume"
            )
        elif self.is_held:
            self.notes.append(
                "halted since a start that found the end of its journal missing; go on with: "
                "unwind resume"
            )

    def _unwritable(self, error: OSError) -> BootError:
        return BootError(f"{self.paths.session}: cannot be written ({error})")

    def _fold(self) -> None:
        try:
            fold(self.core, self.memory.watch(self.journal.read()))
        except ReplayDiverged as error:
            raise BootError(
                f"{self.paths.journal}: this version decides otherwise than the one that wrote the "
                f"journal; finish with that version, or start with --fresh ({error})"
            ) from error

    def _check_shape(self, session: Session | None) -> None:
        if session is None:
            raise BootError(
                f"{self.paths.session}: is missing, so it is unknown which configuration the "
                "journal belongs to; restore it, or start with --fresh"
            )
        changed = differences(session.shape, self.shape())
        if changed:
            raise BootError(
                f"{self.paths.journal}: an unfinished session was begun with another "
                f"configuration; changed: {', '.join(changed)}. Finish it with the earlier "
                "configuration, or start with --fresh, which puts journal and books aside"
            )
        missing = [name for name in self.settings if not self.paths.book(name).exists()]
        if missing:
            raise BootError(
                f"{self.paths.books}: the book of {', '.join(missing)} is missing while the "
                "journal is there; restore it, or start with --fresh"
            )


def boot(config: Config, *, fresh: bool = False) -> Boot:
    """Bring the engine of a configuration to the state of its journal; nothing is connected yet.

    Raises BootError, BookError and JournalError.
    """
    started = Boot(config, Paths(config))
    started.open(fresh=fresh)
    return started
