"""The log of one engine: a file for its user alone, put aside when it is large, a few kept.

A log that cannot be written keeps nobody from closing: what is said then is lost, and that is told
once on standard error. It must not decide what is logged.
"""

from __future__ import annotations

import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

from engine.config_files import is_old_log
from engine.texts import put

BYTES_MAX = 16 << 20
#: Older logs that are kept.
KEPT = 3


class LogFile:
    """A sink for `loguru`: each message goes to the file at once, or is lost."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX) -> None:
        """Open the log, and go on behind what is there. Raises OSError."""
        self.path = path
        self._bytes_max = bytes_max
        self._fd = _opened(path)
        self._told = False

    def write(self, message: str) -> None:
        """Write a message with its line end; does not raise for what the disk does."""
        try:
            if self._fd < 0:
                self._fd = _opened(self.path)
            left = message.encode("utf-8", "backslashreplace")
            while left:
                left = left[os.write(self._fd, left) :]
            if os.fstat(self._fd).st_size >= self._bytes_max:
                self._put_aside()
        except OSError as error:
            if not self._told:
                self._told = True
                put([f"{self.path}: the log cannot be written ({error}); going on"], sys.stderr)

    def stop(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _put_aside(self) -> None:
        self.stop()
        root, end = os.path.splitext(self.path)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S_%f")
        self.path.rename(f"{root}.{stamp}{end}")
        folder, name = self.path.parent, self.path.name
        old = [each for each in folder.iterdir() if is_old_log(each.name, name)]
        for each in sorted(old, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]:
            each.unlink()


def _opened(path: Path) -> int:
    # A pipe without a reader in its place is an error and not a wait without end.
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, how, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)  # an earlier version left it open to others
    return descriptor
