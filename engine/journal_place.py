"""Whether the files of an open journal are still where they were: a name may lead elsewhere.

A file that was removed or replaced goes on to take what is written, and is gone with the process.
This module must not open, move or repair anything.
"""

from collections.abc import Iterable
from pathlib import Path

from engine.journal_errors import MissingJournal, explaining

_Identity = tuple[int, int]


class Place:
    """The files of one journal, each by device and inode from when it was first seen."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._known: dict[Path, _Identity | None] = dict.fromkeys(paths)
        self.check()

    def check(self) -> None:
        """Raise MissingJournal when a file that was seen is not there any more."""
        for path, known in self._known.items():
            with explaining(path):
                found = _identity(path)
            if known is not None and found != known:
                what = "removed" if found is None else "replaced by another file"
                raise MissingJournal(
                    f"{path}: was {what} while the engine was running. What it records now is lost "
                    "when it ends, so nothing is sent any more. Put the file back, or a copy of "
                    "it, before the next start; where there is none, start with --fresh"
                )
            self._known[path] = found


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
