"""What can be wrong with a journal: one error per cause, whose text says what to do.

It must not decide what follows from an error: the engine stops, the command line prints.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JournalError(Exception):
    """The journal cannot be opened, read or written; the text says what to do."""


class JournalLocked(JournalError):
    """Another process holds the journal."""


class ForeignFile(JournalError):
    """The file is no journal of this program."""


class NewerJournal(JournalError):
    """A newer version of the program wrote it."""


class OlderJournal(JournalError):
    """A version of the program wrote it whose machines this one does not have any more."""


class CorruptJournal(JournalError):
    """The file is damaged below the level of records."""


class BadRecord(JournalError):
    """A journal that is whole up to a record; `record` is the first that cannot be had."""

    def __init__(self, text: str, record: int) -> None:
        super().__init__(text)
        self.record = record


class BrokenChain(BadRecord):
    """A record is not what was written; `record` is the first of the damaged batch."""


class SequenceGap(BadRecord):
    """Records are missing, from `record` on."""


class DamagedLog(BadRecord):
    """The write-ahead log is damaged inside what had been recorded."""


class RestoredJournal(JournalError):
    """Lock file or books have seen a newer journal than this one."""


class RestoredLock(JournalError):
    """The journal has records of a newer epoch than its lock file ever saw."""


class MissingJournal(JournalError):
    """The file of an open journal was removed or replaced."""


class LeaseLost(JournalError):
    """Another process took the journal over: this one must not send any more."""


class DuplicateIntent(JournalError):
    """An order number was used before (I3): our bug."""


class DiskFull(JournalError):
    """There was no room for the commit, which left nothing behind."""


class ReadOnlyJournal(JournalError):
    """The file or its file system does not take writes."""


#: Where less is free, a write that failed found no room: the index of a log alone takes 32 kB.
ROOM_MIN_BYTES = 64 << 10

_BY_CODE: dict[int, tuple[type[JournalError], str]] = {
    sqlite3.SQLITE_BUSY: (JournalLocked, "another process is writing to it; stop that process"),
    sqlite3.SQLITE_LOCKED: (JournalLocked, "another process is writing to it; stop that process"),
    sqlite3.SQLITE_FULL: (DiskFull, "the disk is full; nothing was recorded, make room and retry"),
    sqlite3.SQLITE_READONLY: (ReadOnlyJournal, "it cannot be written; check mode and mount"),
    sqlite3.SQLITE_CORRUPT: (CorruptJournal, "the file is damaged; restore a copy of it"),
    sqlite3.SQLITE_NOTADB: (
        ForeignFile,
        "it is no journal, or its first page is damaged; choose another path or restore a copy",
    ),
    sqlite3.SQLITE_CONSTRAINT: (DuplicateIntent, "a number was used twice; nothing was recorded"),
}
_BY_ERRNO: dict[int | None, int] = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_READONLY,
    errno.EPERM: sqlite3.SQLITE_READONLY,
}


def explained(path: object, error: sqlite3.Error | OSError) -> JournalError:
    """What went wrong with a file, as an error whose text says what to do."""
    if isinstance(error, OSError):
        code = _BY_ERRNO.get(error.errno, 0)
    else:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_IOERR and _is_full(Path(str(path)).parent):
            code = sqlite3.SQLITE_FULL
    kind, sentence = _BY_CODE.get(
        code, (JournalError, "the disk failed; check it before a restart")
    )
    return kind(f"{path}: {sentence} ({error})")


def _is_full(folder: Path) -> bool:
    """Whether a folder has no room. SQLite calls some writes that found none failed."""
    try:
        disk = os.statvfs(folder)
    except (OSError, AttributeError):
        return False
    return disk.f_bavail * disk.f_frsize < ROOM_MIN_BYTES


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explained(path, error) from error
    except UnicodeDecodeError as error:
        raise CorruptJournal(
            f"{path}: the file is damaged ({error}); restore a copy of it"
        ) from error
