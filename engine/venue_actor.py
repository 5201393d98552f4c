"""The engine's side of one venue: commands go out in order, facts come in stamped and in order.

It stamps each fact with the time of its arrival, holds facts back while the journal is behind, and
makes an embedded venue's own book durable before the engine hears of what changed in it. It must
not translate, decide or drop anything that is private.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
from msgspec.structs import replace

from engine.clock import SLICE_ACTIONS, Clock, LiveScheduler, Wake
from engine.dispatcher import BACKLOG_MAX
from engine.files import open_regular
from engine.lock import sync_directory
from machines.messages import Command, Fact, LinkStale
from machines.types import VenueSettings
from venues.port import ARRIVE, Port, Sink

#: Facts of one venue that may wait; more means that the engine cannot follow (I20).
WAITING_MAX = 4096

_MAGIC = b"unwind book 1\n"
_DIGEST = 32

Top = tuple[int, int, int, int, int, int, int]


class BookError(Exception):
    """The file of an embedded venue cannot be used; the text says what to do."""


class BookFile:
    """What an embedded venue remembers, in a file that is always one whole state.

    A state replaces the earlier one by a rename, so a process that dies in between leaves either.
    """

    __slots__ = ("_last", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = b""

    def load(self) -> bytes | None:
        """Read the state, None if there was never one. Raises BookError when it is damaged."""
        try:
            with open_regular(self.path) as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BookError(f"{self.path}: cannot be read ({error})") from error
        start = len(_MAGIC)
        digest, state = data[start : start + _DIGEST], data[start + _DIGEST :]
        if not data.startswith(_MAGIC) or blake2b(state, digest_size=_DIGEST).digest() != digest:
            raise BookError(
                f"{self.path}: the venue's book is damaged; restore a copy of it, or start with "
                "--fresh, which puts journal and books aside"
            )
        self._last = state
        return state

    def is_new(self, state: bytes) -> bool:
        """Whether the file holds another state than this."""
        return state != self._last

    def save(self, state: bytes) -> None:
        """Replace the state; it is on disk when this returns. Raises OSError. Blocks."""
        fresh = self.path.with_name(self.path.name + ".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(fresh, flags, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(_MAGIC + blake2b(state, digest_size=_DIGEST).digest() + state)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        sync_directory(self.path.parent)
        self._last = state


class EmbeddedVenue(Port, Protocol):
    """A venue inside this process, which can say and take up what it remembers."""

    def export_state(self) -> bytes:
        """Return what the venue remembers over a restart of its process."""

    def positions(self) -> dict[int, int]:
        """Return the venue's own truth: signed units by instrument."""


class VenueActor:
    """One venue's port and sink. `connect` it to its venue before anything else.

    `backlog()` is the number of records that are not durable yet; `room` is set when it shrinks.
    """

    def __init__(
        self,
        settings: VenueSettings,
        engine: Sink,
        clock: Clock,
        scheduler: LiveScheduler,
        backlog: Callable[[], int],
        book: BookFile,
    ) -> None:
        self.settings = settings
        self.book = book
        self.room = Wake()
        self._engine = engine
        self._clock = clock
        self._scheduler = scheduler
        self._backlog = backlog
        self._venue: EmbeddedVenue | None = None
        self._waiting: deque[Fact] = deque()
        self._tops: dict[int, Top] = {}
        self._arrived = Wake()
        self._straight = False

    @property
    def venue(self) -> EmbeddedVenue:
        """The venue behind this actor."""
        assert self._venue is not None
        return self._venue

    def connect(self, venue: EmbeddedVenue) -> None:
        """Put the venue behind the actor."""
        self._venue = venue

    # ------------------------------------------------------------ out

    def submit(self, command: Command) -> None:
        """Take one command; it leaves in the venue's own turn, after those before it."""
        self._scheduler.at(self._scheduler.now, ARRIVE, self.venue.submit, command)

    # ------------------------------------------------------------ in

    def fact(self, fact: Fact) -> None:
        """Take a private fact from the venue; `run` passes it on in order."""
        if self._straight:
            self._engine.fact(fact)
            return
        waiting = self._waiting
        if len(waiting) >= WAITING_MAX:
            # Too far behind to be believed: what was lost is read again from the venue.
            waiting.clear()
            fact = LinkStale(fact.at, self.settings.name, f"more than {WAITING_MAX} facts wait")
        waiting.append(fact)
        self._arrived.set()

    def top(
        self,
        instrument: int,
        venue_at: int,
        bid: int,
        bid_qty: int,
        ask: int,
        ask_qty: int,
        mark: int,
    ) -> None:
        """Take a top of book; while the journal is behind, only the newest one is kept."""
        if self._backlog() >= BACKLOG_MAX:
            self._tops[instrument] = (instrument, venue_at, bid, bid_qty, ask, ask_qty, mark)
            self._arrived.set()
            return
        self._engine.top(instrument, venue_at, bid, bid_qty, ask, ask_qty, mark)

    def go_straight(self) -> None:
        """Pass facts on at once from now on, first those that wait.

        For an engine that has failed: nothing of them becomes durable any more, so no book has to.
        """
        self._straight = True
        while self._waiting:
            self._engine.fact(self._waiting.popleft())

    async def run(self) -> None:
        """Pass facts on, each after the venue's book is on disk, without end.

        Cancelled, it delivers nothing more; the save that has begun is finished.
        """
        while True:
            await self._arrived.wait()
            while self._waiting or self._tops:
                while self._backlog() >= BACKLOG_MAX:
                    await self.room.wait()
                count = min(len(self._waiting), SLICE_ACTIONS)
                await self.save()
                self._deliver(count)
                await anyio.lowlevel.checkpoint()

    async def save(self) -> None:
        """Make the venue's present book durable. Cancellation waits for the end of a save."""
        state = self.venue.export_state()
        if self.book.is_new(state):
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.book.save, state)

    def _deliver(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            fact = self._waiting.popleft()
            self._engine.fact(replace(fact, at=self._clock.now()))
        tops, self._tops = self._tops, {}
        for top in tops.values():
            self._engine.top(*top)
