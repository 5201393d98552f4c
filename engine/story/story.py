"""One story: the steps of a replay that concern a close, a position, an order or a venue.

A step is one fact, the rows that it made machines take, and the commands that came of it. Around it
stands what a picture needs: the books that were consumed, what remains on each leg, what is naked.
Plain values: `telling` collects them, `timeline`, `sequence`, `picture` and `reasons` show them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.story.fills import Fill
from engine.story.probe import Asked
from machines.book import Book
from machines.close_model import Close
from machines.core import Core
from machines.messages import Fact
from machines.order_model import Order
from machines.table import Transition
from machines.types import Instrument


class Move(Struct):
    """One row that a machine took. `because` says who sent the trigger, with what.

    `note` and `rung` are those of `Taken`, `outcome` is that of a close after the row.
    """

    at: int
    transition: Transition
    model: Any
    message: Any
    asked: list[Asked]
    because: str
    note: str = ""
    rung: int = -1
    outcome: str = ""

    @property
    def moves(self) -> bool:
        """Whether the state changed."""
        return self.transition.source != self.transition.dest


class Quote(Struct):
    """A book that a decision consumed."""

    key: str
    bid: Decimal | None
    ask: Decimal | None


class Step(Struct):
    """One fact and what came of it, as far as the subject is concerned.

    `left` is what is left to close by instrument, in base units with its sign, `naked` what of it
    no leg hedges. `first` is the row that the fact itself led to, of whichever machine. `turned`
    says that a venue has told another mode than before.
    """

    seq: int
    at: int
    wall: int
    fact: Fact
    text: str
    moves: list[Move] = []
    commands: list[tuple[Any, str]] = []
    fills: list[Fill] = []
    quotes: list[Quote] = []
    left: dict[str, Decimal] = {}
    naked: Decimal = Decimal(0)
    first: Move | None = None
    turned: bool = False


class Story(Struct):
    """The steps about one subject, in order. Times are nanoseconds, `origin` is time 0.

    `orders` are those that the steps name; a core forgets the orders of closes long past.
    """

    subject: str
    title: str
    about: str
    origin: int
    steps: list[Step]
    core: Core
    close: Close | None
    records: int
    orders: dict[int, Order]


def rules_of(story: Story) -> Callable[[Book], Instrument | None]:
    """The instrument of a book of the story's core, by asking."""
    known = {id(each.book): each.instrument for each in story.core.holdings}
    return lambda book: known.get(id(book))
