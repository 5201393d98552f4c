"""The lock file beside a journal: one process at a time, and the newest epoch that ever ran.

The kernel gives the lock back when its holder dies, however it dies. The epoch in the file shows a
journal that was replaced by an older copy. This module must not know what a journal contains.
"""

import fcntl
import os
from pathlib import Path

_WIDTH = 20  #: digits; the same length always, so a newer number overwrites all of the older


class LockFile:
    """An exclusive lock until `release` or the end of the process; a program it starts has none."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once.

        Raises BlockingIOError when another holder lives, ValueError when the file holds no epoch,
        other OSError when it cannot be created. A failure leaves the file as it was.
        """
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            #: Newest epoch that took this lock; 0 before the first.
            self.epoch = _parse(os.pread(self._fd, 64, 0))
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def held(self) -> bool:
        """Whether the lock was not given back."""
        return self._fd >= 0

    def store(self, epoch: int) -> None:
        """Write the epoch; it is on disk when this returns. Raises OSError."""
        os.pwrite(self._fd, f"{epoch:0{_WIDTH}d}\n".encode(), 0)
        os.fsync(self._fd)
        sync_directory(self.path.parent)
        self.epoch = epoch

    def release(self) -> None:
        """Give the lock back; the file stays, for its epoch. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sync_directory(path: Path) -> None:
    """Make the names of a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _parse(text: bytes) -> int:
    if not text:
        return 0
    if len(text) != _WIDTH + 1 or not text[:_WIDTH].isdigit() or text[_WIDTH:] != b"\n":
        raise ValueError(f"{text!r} is no epoch")
    return int(text)
