"""The lock of a folder, and the lock file beside a journal: newest epoch, last record.

One engine at a time works in a folder, since more is shared there than a journal: books, socket,
log. The kernel gives a lock back when its holder dies, however it dies. The epoch in the file shows
a journal that was replaced by an older copy, the record number one that lost its end. This module
must not know what a journal contains.

The file has two lines: the epoch, durable before anything is recorded under it, and the number of
the last record with a checksum of both. The second line is written after each commit without a
flush of its own: a killed process leaves it as it was, a power failure may leave an older one. A
file of an earlier version has the first line only.
"""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

SUFFIX = ".lock"  #: behind the name of the journal

_WIDTH = 20  #: digits; the same length always, so a newer number overwrites all of the older
_FIRST = _WIDTH + 1
_SIZE = _FIRST + _WIDTH + 10


class Claim(NamedTuple):
    """What a lock file says: the newest epoch, and the last record; None where it does not say."""

    epoch: int
    seq: int | None


class FolderLock:
    """An exclusive lock of a folder until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once.

        Raises BlockingIOError when another holder lives, other OSError when there is no folder.
        """
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LockFile:
    """An exclusive lock until `release` or the end of the process; a program it starts has none.

    With it goes the lock of its folder, which is taken with it unless it is held already.
    """

    def __init__(
        self, path: Path, *, even_damaged: bool = False, folder: FolderLock | None = None
    ) -> None:
        """Take both locks at once; where that fails, both are given back.

        Raises BlockingIOError when another holder lives, ValueError when the file cannot be
        understood, unless `even_damaged`, other OSError when it cannot be created. A failure leaves
        the file as it was.
        """
        self.path = path
        self._folder = folder or FolderLock(path.parent)
        self._fd = -1
        self._crc = 0
        #: Why the file cannot be understood; empty if it can.
        self.damage = ""
        try:
            how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(path, how, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            #: Newest epoch that took this lock, 0 before the first; and the last record.
            self.epoch, self.seq = self._read(even_damaged)
        except BaseException:
            self.release()
            raise

    def _read(self, even_damaged: bool) -> Claim:
        try:
            return _parse(os.pread(self._fd, 2 * _SIZE, 0))
        except ValueError as error:
            if not even_damaged:
                raise
            self.damage = str(error)
            return Claim(0, None)

    @property
    def held(self) -> bool:
        """Whether the lock was not given back."""
        return self._fd >= 0

    def store(self, epoch: int, seq: int = 0) -> None:
        """Write both numbers; they are on disk when this returns. Raises OSError."""
        first = f"{epoch:0{_WIDTH}d}\n".encode()
        self._crc = crc32(first)
        os.pwrite(self._fd, first + self._second(seq), 0)
        os.ftruncate(self._fd, _SIZE)
        os.fsync(self._fd)
        sync_directory(self.path.parent)
        self.epoch, self.seq, self.damage = epoch, seq, ""

    def note(self, seq: int) -> None:
        """Write the number of the last record, without a flush; after `store`. Raises OSError."""
        os.pwrite(self._fd, self._second(seq), _FIRST)

    def _second(self, seq: int) -> bytes:
        line = b"%020d " % seq
        return b"%b%08x\n" % (line, crc32(line, self._crc))

    def release(self) -> None:
        """Give both locks back; the file stays, for its numbers. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._folder.release()


def claim_of(path: Path) -> Claim | None:
    """Read a lock file without taking the lock; None where there is none to be understood."""
    try:
        return _parse(path.read_bytes()[: 2 * _SIZE])
    except (OSError, ValueError):
        return None


def sync_directory(path: Path) -> None:
    """Make the names of a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _parse(text: bytes) -> Claim:
    if not text:
        return Claim(0, None)
    first, second = text[:_FIRST], text[_FIRST:]
    if len(first) != _FIRST or not _is_number(first[:_WIDTH]) or first[_WIDTH:] != b"\n":
        raise ValueError(f"{text!r} is no epoch")
    epoch = int(first)
    if not second:
        return Claim(epoch, None)
    number = second[:_WIDTH]
    if not _is_number(number):
        raise ValueError(f"{text!r} is no epoch with a record number")
    if second != b"%b %08x\n" % (number, crc32(number + b" ", crc32(first))):
        raise ValueError(f"{text!r} does not agree with its checksum")
    return Claim(epoch, int(number))


def _is_number(text: bytes) -> bool:
    return len(text) == _WIDTH and text.isdigit()
