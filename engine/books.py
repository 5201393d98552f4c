"""What the embedded venues' books show beside a journal: that it lost its end, or that they did.

An order is recorded before it is sent, and a book is on disk before the engine hears of what
changed in it. So a book shows no order that was never recorded, and lacks nothing that was heard:
where it does, one of the two is an older copy or has lost its end. This module must not decide what
follows from that, nor write a book.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.journal import Record
from engine.venue_actor import BookError, BookFile
from machines.env import SEQ_BITS
from machines.messages import (
    EngineStarted,
    FillReported,
    OperatorCommanded,
    OrderReported,
    Place,
)
from venues.sim.orders import ALIVE
from venues.sim.state import VenueState

#: `by` of the halt with which a process starts whose journal has lost its end.
LOST_TAIL = "engine:lost tail"

#: Newest orders and trades of which what was heard is held against the books.
_HEARD_MAX = 256
_ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED"})


class Book(Struct):
    """What one embedded venue remembers: per order its fill and whether it lives, and trades."""

    path: Path
    orders: dict[int, tuple[int, bool]]
    trades: set[str]


def read_books(folder: Path) -> list[Book]:
    """Read all books of a folder. Raises BookError at one that is damaged."""
    return [_read(path) for path in sorted(folder.glob("*.book"))]


def _read(path: Path) -> Book:
    data = BookFile(path).load()
    try:
        state = msgspec.msgpack.decode(data or b"", type=VenueState)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Whole, and yet no state that this version knows: the venue itself refuses it by name.
        return Book(path, {}, set())
    orders = {each.number: (each.cum, each.state in ALIVE) for each in state.orders}
    return Book(path, orders, {each.trade for each in state.trades})


def orders_of(path: Path) -> Iterable[int]:
    """The orders that a book names, none if it cannot be read."""
    try:
        return _read(path).orders
    except BookError:
        return ()


def newest_start(books: Iterable[Book]) -> int:
    """The newest process start of which a book has an order; 0 if none has any."""
    return max((order >> SEQ_BITS for book in books for order in book.orders), default=0)


class Heard:
    """What the records of a journal say of orders: which were placed, what was heard of them.

    `swallowing` are the instruments of venues that may confirm an order and forget it at once.
    """

    def __init__(self, swallowing: frozenset[int] = frozenset()) -> None:
        self._swallowing = swallowing
        #: The instrument of each order.
        self._placed: dict[int, int] = {}
        self._orders: OrderedDict[int, tuple[int, bool]] = OrderedDict()
        self._trades: deque[str] = deque(maxlen=_HEARD_MAX)
        self._epoch = 0
        #: Newest process start that was told of a lost end: what was lost before it is known.
        self._told = 0

    def take(self, record: Record) -> None:
        """Note what a record adds."""
        for intent in record.intents:
            if type(intent) is Place:
                self._placed[intent.order] = intent.instrument
        fact = record.fact
        if type(fact) is OrderReported:
            self._note(fact.order, fact.cum or 0, fact.status in _ENDED)
        elif type(fact) is FillReported:
            if fact.order:
                self._note(fact.order, fact.cum or 0, False)
            self._trades.append(fact.trade)
        elif type(fact) is EngineStarted:
            self._epoch = fact.epoch
        elif type(fact) is OperatorCommanded and fact.by == LOST_TAIL:
            self._told = self._epoch

    def _note(self, order: int, cum: int, ended: bool) -> None:
        most, over = self._orders.pop(order, (0, False))
        self._orders[order] = max(most, cum), over or ended
        if len(self._orders) > _HEARD_MAX:
            self._orders.popitem(last=False)

    # ------------------------------------------------------------ held against the books

    def unknown(self, books: Iterable[Book]) -> list[int]:
        """Orders that the books show and the journal does not know, and nobody was told of."""
        return [
            order
            for book in books
            for order in book.orders
            if order not in self._placed and order >> SEQ_BITS >= self._told
        ]

    def missing(self, books: list[Book]) -> str:
        """What the engine has heard and the books do not show; empty if they show all of it."""
        shown = {order: found for book in books for order, found in book.orders.items()}
        for order, (cum, over) in self._orders.items():
            if order not in self._placed:
                continue
            if order not in shown:
                gone = bool(cum) or over or self._placed[order] not in self._swallowing
            else:
                gone = shown[order][0] < cum or (over and shown[order][1])
            if gone:
                return f"what was heard of order {order}"
        trades = {trade for book in books for trade in book.trades}
        for trade in self._trades:
            if trade not in trades:
                return f"the trade {trade}"
        return ""
