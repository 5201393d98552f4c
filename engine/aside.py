"""Puts a session aside under one dated name. Nothing is deleted, and process starts go on.

Order ids never repeat because each process start has a number of its own (its epoch). The lock
file keeps the newest one over all sessions; where it is gone or damaged, whatever else names one is
asked. This module must not decide when a session is put aside, nor open a journal for writing.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from engine.books import orders_of
from engine.journal_errors import JournalError
from engine.journal_file import EPOCH_MAX, folder_locked, locked, read_only
from engine.lock import SUFFIX as LOCK_SUFFIX
from engine.lock import LockFile, sync_directory
from engine.paths import BESIDE, STAMP, BootError, Paths, is_archived
from machines.env import SEQ_BITS

#: Process starts that are passed over where nothing says how many there were.
ASSUMED = 1000


class Aside:
    """What is put aside at one time, under one date."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.stamp = _free_stamp(paths)

    @property
    def name(self) -> str:
        """The journal's new name."""
        return f"{self.paths.journal.name}.{self.stamp}"

    def lock(self) -> LockFile:
        """Take the lock in any state that its file is in.

        Raises JournalError when another process holds it, BootError when nothing can be done.
        """
        file, journal = self.paths.lock, self.paths.journal
        folder = folder_locked(journal)
        try:
            if file.is_symlink() or file.is_dir():
                self._rename(file, self._beside(LOCK_SUFFIX))
        except BaseException:
            folder.release()
            raise
        return locked(journal, even_damaged=True, folder=folder)

    def session(self) -> str:
        """Rename books, journal and session file; return the journal's new name. Raises BootError.

        The session file goes last: while it is there, an interrupted move is seen and gone on with.
        """
        self._move([self.paths.books])
        return self.name

    def everything_there(self) -> list[Path]:
        """What of a session is there, a socket that was left over among it."""
        return [old for old, _ in self._moves([self.paths.socket, self.paths.books])]

    def everything(self) -> None:
        """Rename the session, and a socket that was left over. Raises BootError."""
        self._move([self.paths.socket, self.paths.books])

    def _moves(self, others: list[Path]) -> list[tuple[Path, Path]]:
        moves = [(old, old.with_name(f"{old.name}.{self.stamp}")) for old in others]
        moves += [(self.paths.beside(end), self._beside(end)) for end in BESIDE]
        return [(old, new) for old, new in moves if os.path.lexists(old)]

    def _move(self, others: list[Path]) -> None:
        for old, new in self._moves(others):
            self._rename(old, new)
        try:
            sync_directory(self.paths.directory)
        except OSError as error:
            raise self._failed(error) from error

    def keep_damaged(self, lock: LockFile) -> None:
        """Copy a damaged lock file beside what it belongs to. Raises BootError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(self._beside(LOCK_SUFFIX), flags, 0o600)
            with open(descriptor, "wb") as file:
                file.write(lock.path.read_bytes())
        except OSError as error:
            raise self._failed(error) from error

    def _beside(self, end: str) -> Path:
        return self.paths.journal.with_name(self.name + end)

    def _rename(self, old: Path, new: Path) -> None:
        try:
            old.rename(new)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> BootError:
        return BootError(f"{self.paths.directory}: cannot be archived ({error})")


def start_over(paths: Paths) -> tuple[LockFile, list[str]]:
    """Put aside whatever is there, in any state; return the lock, held, and what is to be told.

    The lock file then names a process start that no earlier one can have reached. Raises BootError
    and JournalError.
    """
    aside = Aside(paths)
    lock = aside.lock()
    try:
        # No start had such a number: a file without a checksum was damaged.
        damage = lock.damage or lock.epoch > EPOCH_MAX
        known = max(0 if damage else lock.epoch, newest_epoch(paths))
        if not damage and not aside.everything_there():
            return lock, []
        told = f"put the earlier session aside as asked as {aside.name} and starting anew"
        if not known:
            known = max((_epoch_in(each) for each in _archived(paths)), default=0) + ASSUMED
            told += f"; nothing says how often the engine was started: {known} times are assumed"
        elif damage:
            told += (
                f"; the lock file was damaged, {known} is the newest process start that is named"
            )
        # What is moved may be all that names this start: a death in between must not forget it.
        if damage:
            aside.keep_damaged(lock)
        else:
            lock.store(known, lock.seq or 0)
        aside.everything()
        lock.store(known)
    except OSError as error:
        lock.release()
        raise BootError(f"{paths.lock}: cannot be written ({error})") from error
    except BaseException:
        lock.release()
        raise
    return lock, [told]


def newest_epoch(paths: Paths) -> int:
    """The newest process start that the journal or the books name; 0 if nothing does."""
    seen = [_epoch_in(paths.journal)] if paths.journal.is_file() else []
    for book in paths.books.glob("*.book"):
        seen += [order >> SEQ_BITS for order in orders_of(book)]
    return max(seen, default=0)


def _epoch_in(journal: Path) -> int:
    """The newest process start that a journal names, 0 if it cannot be read."""
    try:
        with closing(read_only(journal, alone=True)) as connection:
            sql = "SELECT max(value) FROM meta WHERE key = 'epoch'"
            value = connection.execute(sql).fetchone()[0]
    except (sqlite3.Error, OSError, UnicodeDecodeError, JournalError):
        return 0
    return value if isinstance(value, int) and 0 <= value <= EPOCH_MAX else 0


def _archived(paths: Paths) -> list[Path]:
    name = paths.journal.name
    return [each for each in paths.directory.glob(f"{name}.*Z*") if is_archived(each.name, name)]


def _free_stamp(paths: Paths) -> str:
    stamp = base = datetime.now(UTC).strftime(STAMP)
    number = 1
    while any(paths.directory.glob(f"*.{stamp}*")):
        number += 1
        stamp = f"{base}-{number}"
    return stamp
