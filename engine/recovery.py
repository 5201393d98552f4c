"""Starts from what the journal says: lock, check, new epoch, fold; first start and restart alike.

Beside the journal stands a session file. It says which instruments, venues and ladders the records
belong to, because they can be folded only with those, and whether everything that was asked for is
done. A finished session is put aside under new names, never deleted. This module must not connect
to anything nor send; `engine.live` does that afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.assembly import build_core, instruments, profiles, venue_settings
from engine.config import Config, PositionSpec
from engine.dispatcher import fold
from engine.files import read_whole
from engine.journal import JournalError, Record, SyncJournal, open_journal
from engine.lock import LockFile, sync_directory
from machines.core import Core
from machines.errors import ReplayDiverged
from machines.messages import CloseRequested
from machines.types import Instrument, VenueSettings
from venues.instruments import base_to_units
from venues.profiles import Profile

#: `by` of what the engine itself asks for.
RUN = "run:"

SESSION_SUFFIX = ".session"
#: Ten thousand instruments come to a quarter of it.
SESSION_BYTES_MAX = 16 << 20
_SUFFIXES = (SESSION_SUFFIX, "", "-wal", "-shm")


class BootError(Exception):
    """The engine cannot start; the text says why and what to do."""


class Paths:
    """Where one configuration keeps its files."""

    def __init__(self, config: Config) -> None:
        engine = config.engine
        self.directory = Path(engine.directory)
        self.journal = self.directory / engine.journal
        self.session = self.journal.with_name(self.journal.name + SESSION_SUFFIX)
        self.lock = self.journal.with_name(self.journal.name + ".lock")
        self.socket = self.directory / engine.socket
        self.books = self.directory / engine.books
        self.log = self.directory / engine.log

    def book(self, venue: str) -> Path:
        """The file of one embedded venue."""
        return self.books / f"{venue}.book"

    def make(self) -> None:
        """Make the folders, for this user alone. Raises BootError."""
        for folder in (self.directory, self.books):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
            except OSError as error:
                raise BootError(f"{folder}: cannot be used as a folder ({error})") from error


class Session(msgspec.Struct):
    """The session file: what the records belong to, and whether all that was asked for is done."""

    shape: dict[str, Any]
    finished: bool = False


class Memory:
    """What a fold sees besides the machines: the requests made and the newest time."""

    def __init__(self) -> None:
        self.requested: set[tuple[str, str]] = set()
        self.newest = 0

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on and note what the next start needs."""
        for record in records:
            fact = record.fact
            self.newest = max(self.newest, record.at)
            if isinstance(fact, CloseRequested):
                self.requested.add((fact.by, fact.pair))
            yield record


class Boot:
    """A started but unconnected engine: its core as the journal left it, and the journal, open."""

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config = config
        self.paths = paths
        self.profiles: dict[str, Profile] = profiles(config)
        self.settings: dict[str, VenueSettings] = venue_settings(config, self.profiles)
        self.instruments: list[Instrument] = instruments(config)
        self.memory = Memory()
        self.core: Core = self._new_core()
        self.journal: SyncJournal
        self.notes: list[str] = []

    def _new_core(self) -> Core:
        return build_core(self.config, self.instruments, self.settings)

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
        """Whether the close number `number` of `[run]` needs no request any more."""
        asked = self.config.run.closes[number]
        if (f"{RUN}{number}", asked.pair) in self.memory.requested:
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
        return bool(closes) and not alive and all(map(self.is_done, range(len(closes))))

    def mark(self, *, finished: bool) -> None:
        """Write the session file. Raises OSError."""
        _write(self.paths.session, msgspec.json.encode(Session(self.shape(), finished)))

    # ------------------------------------------------------------ starting

    def open(self, *, fresh: bool) -> None:
        """Lock, check and fold; archive first if `fresh` or if the session is finished.

        Raises BootError and JournalError; journal and books are then as they were.
        """
        self.paths.make()
        session = _read_session(self.paths.session)
        if fresh and self.paths.journal.exists():
            self._set_aside("put the earlier session aside as asked")
            session = None
        elif session is not None and session.finished and self.paths.journal.exists():
            self._set_aside(self._finished_text())
            session = None
        self._open_journal(session)
        if self.is_finished():
            self.journal.close()
            self._set_aside(self._finished_text())
            self.core, self.memory = self._new_core(), Memory()
            self._open_journal(None)

    def _finished_text(self) -> str:
        return f"all pairs are flat already (journal {self.paths.journal}); archived that session"

    def _open_journal(self, session: Session | None) -> None:
        # Epochs go on across archived sessions, so that no order id ever comes back.
        paths = self.paths
        gone = not paths.journal.exists() and session is None
        accept = gone and not any(paths.books.glob("*.book"))
        self.journal = open_journal(paths.journal, accept_restore=accept)
        try:
            if self.is_first:
                self.mark(finished=False)
            else:
                self._check_shape(session)
                self._fold()
        except OSError as error:
            self.journal.close()
            raise BootError(f"{self.paths.session}: cannot be written ({error})") from error
        except BaseException:
            self.journal.close()
            raise

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
        changed = _differences(session.shape, self.shape())
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

    def _set_aside(self, why: str) -> None:
        """Rename books, session file and journal, in this order: what is left is still a whole."""
        paths = self.paths
        try:
            lock = LockFile(paths.lock)
        except BlockingIOError as error:
            raise JournalError(
                f"{paths.journal}: another process is running on this journal; stop it or use "
                "another path"
            ) from error
        except (OSError, ValueError) as error:
            raise BootError(f"{paths.lock}: cannot be locked ({error})") from error
        try:
            stamp = _free_stamp(paths)
            if paths.books.exists():
                paths.books.rename(paths.books.with_name(f"{paths.books.name}.{stamp}"))
            for suffix in _SUFFIXES:
                file = paths.journal.with_name(paths.journal.name + suffix)
                if file.exists():
                    file.rename(file.with_name(f"{paths.journal.name}.{stamp}{suffix}"))
            sync_directory(paths.directory)
        except OSError as error:
            raise BootError(f"{paths.directory}: cannot be archived ({error})") from error
        finally:
            lock.release()
        paths.make()
        self.notes.append(f"{why} as {paths.journal.name}.{stamp} and starting anew")


def boot(config: Config, *, fresh: bool = False) -> Boot:
    """Bring the engine of a configuration to the state of its journal; nothing is connected yet.

    Raises BootError and JournalError.
    """
    started = Boot(config, Paths(config))
    started.open(fresh=fresh)
    return started


def decode_session(path: Path) -> Session:
    """Read a session file. Raises OSError, and ValueError for one that holds something else."""
    try:
        return msgspec.json.decode(read_whole(path, SESSION_BYTES_MAX), type=Session)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _read_session(path: Path) -> Session | None:
    try:
        return decode_session(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BootError(
            f"{path}: the session file is damaged ({error}); restore it, or delete it and start "
            "with --fresh"
        ) from error


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name the tables that are not the same, as a configuration file would."""
    found = []
    for part, after in new.items():
        before = old.get(part, {})
        names = [*after, *(name for name in before if name not in after)]
        for name in names:
            if before.get(name) != after.get(name):
                found.append(part if part == name else f"{part}.{name}")
        if part == "instruments" and not found and list(before) != list(after):
            found.append("the order of instruments")
    return found


def _free_stamp(paths: Paths) -> str:
    stamp = base = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while paths.journal.with_name(f"{paths.journal.name}.{stamp}").exists():
        number += 1
        stamp = f"{base}-{number}"
    return stamp
