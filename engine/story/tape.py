"""A recorded run that can be replayed: the journal of an engine, or a scenario run for the purpose.

Gives a fresh core and the records to fold into it. It must not connect to anything, take a lock or
write; a journal that another process is writing to can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.assembly import build_core, instruments, profiles, venue_settings
from engine.config import Config, Findings
from engine.files import open_regular
from engine.journal import Record, read_journal
from engine.journal_errors import ReadOnlyJournal
from engine.journal_file import APPLICATION
from engine.paths import SESSION_SUFFIX
from engine.session_file import read_session
from engine.simulation.scenario import ScenarioError, load_scenario
from engine.simulation.world import World
from engine.texts import printable
from engine.toml_files import read_toml
from machines.core import Core
from machines.types import Instrument, PairSettings, SessionSettings, VenueSettings
from venues.instruments import checked

#: How an SQLite file begins, which a journal is.
_SQLITE = b"SQLite format 3\x00"
#: Where its header says whose file it is, as four bytes.
_OWNER = slice(68, 72)


class TapeError(Exception):
    """A recording cannot be replayed; the text says why and what to do."""


class Tape(Struct):
    """One recording. `origin` is time 0 of a scenario, None where a journal has none of its own.

    `about` is a sentence of the file's own. `records` gives them anew at each call and raises
    JournalError at the first that is not intact.
    """

    name: str
    build: Callable[[], Core]
    records: Callable[[], Iterator[Record]]
    origin: int | None = None
    about: str = ""


def open_tape(path: Path, config: Config | None = None) -> Tape:
    """Take a file for what it is: a scenario (`.toml`) or a journal.

    `config` describes a journal whose session file is lost. Raises TapeError, JournalError and
    ScenarioError.
    """
    if not path.exists():
        raise TapeError(f"{path}: there is no such file; name a journal or a scenario")
    if path.is_dir():
        raise TapeError(f"{path}: is a folder; name the journal or the scenario in it")
    if path.suffix == ".toml":
        return of_scenario(path)
    return of_journal(path, config)


def of_scenario(path: Path) -> Tape:
    """Run a scenario and keep what it recorded. Raises ScenarioError."""
    try:
        scenario = load_scenario(path)
    except ScenarioError as error:
        if _is_configuration(path):
            raise TapeError(
                f"{path}: is a configuration, which records nothing; name a journal or a "
                "scenario, and this file with --config"
            ) from error
        raise
    world = World(replace(scenario, journal="memory"))
    world.run()
    journal = world.process.journal
    return Tape(
        scenario.name,
        world.fresh_core,
        journal.read,
        world.origin,
        " ".join(scenario.about.split()),
    )


def _is_configuration(path: Path) -> bool:
    """Whether a file that is no scenario is the configuration of an engine."""
    return "engine" in read_toml(path, Findings())


def of_journal(path: Path, config: Config | None = None) -> Tape:
    """Read a journal with the session file that stands beside it. Raises TapeError."""
    try:
        with open_regular(path) as file:
            head = file.read(_OWNER.stop)
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise TapeError(f"{path}: is empty, so it holds no record; name another journal or a copy")
    if not head.startswith(_SQLITE):
        raise TapeError(f"{path}: is neither a journal nor a scenario; scenarios end in .toml")
    owner = int.from_bytes(head[_OWNER], "big")
    if len(head) == _OWNER.stop and owner != APPLICATION:
        raise TapeError(
            f"{path}: is a database of another program, or its first page is damaged; name a "
            "journal or a scenario, or restore a copy"
        )
    return Tape(path.name, _builder(path, config), lambda: _records(path))


def _records(path: Path) -> Iterator[Record]:
    """The records of a journal; to read one, SQLite has to put its side files beside it."""
    try:
        yield from read_journal(path)
    except ReadOnlyJournal as error:
        raise TapeError(
            f"{path}: its folder cannot be written, where SQLite keeps side files while it reads; "
            f"copy the journal and its {SESSION_SUFFIX} file to a folder that can"
        ) from error


def _builder(path: Path, config: Config | None) -> Callable[[], Core]:
    if config is not None:
        settings = venue_settings(config, profiles(config))
        scaled = instruments(config)
        return lambda: build_core(config, scaled, settings)
    beside = path.with_name(path.name + SESSION_SUFFIX)
    try:
        session = read_session(beside)
        parts = None if session is None else _Shape.of(session.shape)
    except (OSError, ValueError, LookupError, msgspec.ValidationError) as error:
        raise TapeError(
            f"{beside}: cannot be read ({error}); put a copy back, or name the configuration of "
            "that time with --config"
        ) from error
    if parts is None:
        raise TapeError(
            f"{beside}: is missing, so it is unknown which instruments the journal belongs to; "
            "put it back, or name the configuration of that time with --config"
        )
    return parts.core


class _Shape(Struct):
    """What a session file says of the records: enough to build the core that made them."""

    instruments: dict[str, Instrument]
    venues: dict[str, VenueSettings]
    pairs: dict[str, PairSettings]
    session: dict[str, SessionSettings]

    @classmethod
    def of(cls, shape: dict[str, Any]) -> _Shape:
        """Read the shape; raises msgspec.ValidationError, ValueError and LookupError."""
        parts = msgspec.convert(shape, cls)
        for rules in parts.instruments.values():
            checked(rules)
        for name in parts.names():
            if not name.isprintable():
                raise ValueError(f"a name that cannot be printed: {printable(name)}")
        for pair in parts.pairs.values():
            if not all(leg in range(len(parts.instruments)) for leg in pair.legs):
                raise ValueError(f"{pair.name}: a leg that is no instrument")
        # What does not fit together is found here and not at the first record.
        parts.core()
        return parts

    def names(self) -> Iterator[str]:
        """Every name that a story may show."""
        for rules in self.instruments.values():
            yield from (rules.key, rules.venue, rules.symbol)
        yield from (venue.name for venue in self.venues.values())
        yield from (pair.name for pair in self.pairs.values())

    def core(self) -> Core:
        """A core without history."""
        return Core(
            list(self.instruments.values()),
            self.venues.values(),
            self.pairs.values(),
            self.session.get("session"),
            tracing=True,
        )
