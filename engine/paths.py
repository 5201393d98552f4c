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
        self.books_lock = self.directory / (engine.books + LOCK_SUFFIX)

    def beside(self, suffix: str) -> Path:
        """A file that goes with the journal."""
        return self.journal.with_name(self.journal.name + suffix)

    def book(self, venue: str) -> Path:
        """The file of one embedded venue."""
        return self.books / f"{venue}.book"

    def make(self) -> None:
        """Make the folders, for this user alone. Raises BootError."""
        for folder in (self.directory, self.books):
            _make(folder)

    def make_directory(self) -> None:
        """Make the folder of everything else, for this user alone. Raises BootError."""
        _make(self.directory)

    @property
    def is_open(self) -> bool:
        """Whether others may look into the folder; their files in it are their own affair."""
        return bool(self.directory.stat().st_mode & 0o077)


def _make(folder: Path) -> None:
    """Make a folder for this user alone; one that is there is a person's, and stays as it is."""
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise BootError(f"{folder}: cannot be used as a folder ({error})") from error


def owned(engine: EngineSpec) -> dict[str, tuple[str, ...]]:
    """Every name in the directory that a process takes for itself, by the key that decides it."""
    ends = (*BESIDE, LOCK_SUFFIX)
    return {
        "journal": tuple(engine.journal + end for end in ends),
        "socket": (engine.socket,),
        "books": (engine.books, engine.books + LOCK_SUFFIX),
        "log": (engine.log,),
    }


def is_archived(name: str, of: str) -> bool:
    """Whether a name may be that under which a session of `of` is put aside."""
    return re.match(re.escape(of) + _STAMPED, name) is not None
