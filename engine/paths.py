"""Where one configuration keeps its files, and the names that go with each of them.

It must not read or write a file, but for making its folders.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.config_specs import Config, EngineSpec
from engine.lock import SUFFIX as LOCK_SUFFIX

SESSION_SUFFIX = ".session"
#: What can stand beside a journal under its name; the journal itself first, its session file last.
BESIDE = (
    "", "-wal", "-shm", "-journal", ".new", ".new-wal", ".new-shm", ".new-journal",
    f"{SESSION_SUFFIX}.new", SESSION_SUFFIX,
)  # fmt: skip
#: How the date looks that is put behind the name of what is set aside.
STAMP = "%Y%m%dT%H%M%SZ"
_STAMPED = r"\.[0-9]{8}T[0-9]{6}Z(-[0-9]+)?"


class BootError(Exception):
    """The engine cannot start; the text says why and what to do."""


class Paths:
    """Where one configuration keeps its files."""

    def __init__(self, config: Config) -> None:
        engine = config.engine
        self.directory = Path(engine.directory)
        self.journal = self.directory / engine.journal
        self.session = self.beside(SESSION_SUFFIX)
        self.lock = self.beside(LOCK_SUFFIX)
        self.socket = self.directory / engine.socket
        self.books = self.directory / engine.books
        self.log = self.directory / engine.log

    def beside(self, suffix: str) -> Path:
        """A file that goes with the journal."""
        return self.journal.with_name(self.journal.name + suffix)

    def book(self, venue: str) -> Path:
        """The file of one embedded venue."""
        return self.books / f"{venue}.book"

    def make(self) -> list[str]:
        """Make the folders, for this user alone; return what is to be told of those there were.

        Raises BootError, also at a folder that others may write to.
        """
        return [text for folder in (self.directory, self.books) if (text := _made(folder))]

    def make_directory(self) -> None:
        """Make the folder of everything else, for this user alone. Raises BootError as `make`."""
        _made(self.directory)


def _made(folder: Path) -> str:
    """Make a folder. One that is there is left as it is, and judged."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise BootError(f"{folder}: cannot be used as a folder ({error})") from error
    if mode & 0o022:
        raise BootError(
            f"{folder}: others may write into this folder, and so replace the journal; run chmod "
            "go-w on it, or give engine.directory another name"
        )
    if mode & 0o055:
        return f"{folder}: others may look into this folder; chmod 700 keeps it to yourself"
    return ""


def owned(engine: EngineSpec) -> dict[str, tuple[str, ...]]:
    """Every name in the directory that a process takes for itself, by the key that decides it."""
    ends = (*BESIDE, LOCK_SUFFIX)
    return {
        "journal": tuple(engine.journal + end for end in ends),
        "socket": (engine.socket,),
        "books": (engine.books,),
        "log": (engine.log,),
    }


def is_archived(name: str, of: str) -> bool:
    """Whether a name may be that under which a session of `of` is put aside."""
    return re.match(re.escape(of) + _STAMPED, name) is not None
