"""Publishes the books of a simulated venue on its public path, anew at intervals so none ages.

Market data may be lost or late without harm; nothing is matched here. This module must not change a
book.
"""

from collections.abc import Callable, Mapping

from machines.types import NS
from venues.port import DELIVER, HOUSEKEEP, Scheduler, Sink
from venues.sim.latency import Path
from venues.sim.link import Link
from venues.sim.matching import Book
from venues.sim.rules import Rules

REPUBLISH_NS = NS

_Top = tuple[int, int, int, int, int, int, int]


class Tops:
    """Market data frames of one venue."""

    __slots__ = (
        "_books",
        "_link",
        "_path",
        "_rules",
        "_scheduler",
        "_sink",
        "_standing",
        "clear",
        "idle_actions",
        "restock",
    )

    def __init__(
        self,
        books: Mapping[int, Book],
        scheduler: Scheduler,
        sink: Sink,
        path: Path,
        link: Link,
        rules: Rules,
    ) -> None:
        self._books = books
        self._scheduler = scheduler
        self._sink = sink
        self._path = path
        self._link = link
        self._rules = rules
        #: Books may go straight to the sink: streams up, no delay, no rule that concerns them.
        self.clear = False
        #: Scheduled actions that must not keep a run alive.
        self.idle_actions = 0
        self._standing: frozenset[int] = frozenset()
        #: Makes the displayed sizes of a standing book available again; set by the venue.
        self.restock: Callable[[Book], None] = Book.restock
        link.opened = self._streams_changed

    def review(self) -> None:
        """Decide again whether books need the long way; a rule or the link has changed."""
        self.clear = self._link.up and self._path.direct and not self._rules.watches_books

    def _streams_changed(self) -> None:
        self.review()
        if self._link.up:
            self.publish_all()

    def publish_all(self) -> None:
        """Send every book as it stands."""
        for book in self._books.values():
            self.publish(book)

    def publish(self, book: Book) -> None:
        """Send one book as it stands, unless it is empty or the streams are down."""
        if not self._link.up or not (book.bid or book.ask):
            return
        if not self._rules.quiet and not self._link.book_passes(book.index):
            return
        now = self._scheduler.now
        due = self._path.due(now)
        top = (book.index, now, book.bid, book.bid_qty, book.ask, book.ask_qty, book.mark)
        if due > now:
            self._scheduler.at(due, DELIVER, self._deliver, top)
        else:
            self._sink.top(*top)

    def _deliver(self, top: _Top) -> None:
        self._sink.top(*top)

    def start_republish(self, every_ns: Mapping[int, int]) -> None:
        """Send each book again at its interval (default 1 s, 0 is never) from now on.

        One that was set by hand to stand (it has an interval) is whole again each time: what it
        shows can be had.
        """
        self._standing = frozenset(every_ns)
        for index in self._books:
            every = every_ns.get(index, REPUBLISH_NS)
            if every:
                self._schedule((index, every))

    def _schedule(self, argument: tuple[int, int]) -> None:
        self.idle_actions += 1
        due = self._scheduler.now + argument[1]
        self._scheduler.at(due, HOUSEKEEP, self._again, argument)

    def _again(self, argument: tuple[int, int]) -> None:
        self.idle_actions -= 1
        book = self._books[argument[0]]
        if argument[0] in self._standing:
            self.restock(book)
        self.publish(book)
        self._schedule(argument)
