"""What the core keeps per instrument: the book as last seen, and the position as believed.

Plain state, no decisions: machines read it, the core writes it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from machines.messages import TopSeen
from machines.types import BUY, Instrument, VenueSettings

if TYPE_CHECKING:
    from machines.leg_model import Leg
    from machines.order_model import Order
    from machines.session import Session


class Book:
    """Top of one book in ticks and units; 0 where a side is empty or unknown.

    `fresh` is set by every change and cleared when a journal record has taken the book along;
    `watchers` are the legs that want to hear of changes.
    """

    __slots__ = ("ask", "ask_qty", "at", "bid", "bid_qty", "fresh", "mark", "venue_at", "watchers")

    def __init__(self) -> None:
        self.bid = 0
        self.bid_qty = 0
        self.ask = 0
        self.ask_qty = 0
        self.mark = 0
        self.at = 0
        self.venue_at = 0
        self.fresh = False
        self.watchers: list[Leg] = []

    def touch(self, side: int) -> int:
        """Ticks that an order would meet; without two sides the mark, or the side there is."""
        if self.bid and self.ask:
            return self.ask if side == BUY else self.bid
        return self.mark or self.bid or self.ask

    def seen(self, instrument: int) -> TopSeen:
        """The book as a journal record takes it along."""
        return TopSeen(
            self.at,
            self.venue_at,
            instrument,
            self.bid,
            self.bid_qty,
            self.ask,
            self.ask_qty,
            self.mark,
        )

    def restore(self, top: TopSeen) -> None:
        """Set the book to what a record says was consumed."""
        self.at = top.at
        self.venue_at = top.venue_at
        self.bid = top.bid
        self.bid_qty = top.bid_qty
        self.ask = top.ask
        self.ask_qty = top.ask_qty
        self.mark = top.mark
        self.fresh = False


class Holding:
    """The position in one instrument as our own facts amount to, and the venue's last word on it.

    `qty` is signed units and changes only by fills and declared or confirmed truth; `filled` counts
    what orders of closes have filled, either side, and never falls. The `read_*` fields describe
    the newest complete read; `foreign` says that it showed orders not ours, `foreign_at` when we
    were told last of a change that `qty` does not have. `orders` are our own that may still fill;
    `latest` is the leg of the newest close, which hears of them, `owner` that leg while it lives.
    """

    __slots__ = (
        "book", "declared", "dust", "entry", "filled", "foreign", "foreign_at",
        "instrument", "last_fill_at", "last_fill_venue_at", "latest", "order_count", "orders",
        "owner", "qty", "read_agreed", "read_at", "read_entry", "read_equal", "read_ok", "read_qty",
        "read_sent_at", "read_taken_at", "session", "trades", "venue",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, venue: VenueSettings, session: Session) -> None:
        self.instrument = instrument
        self.venue = venue
        self.session = session
        self.book = Book()
        self.qty = 0
        self.entry: Decimal | None = None
        self.declared = False
        self.filled = 0
        self.dust = 0
        self.owner: Leg | None = None
        self.latest: Leg | None = None
        self.orders: list[Order] = []
        self.order_count = 0
        self.last_fill_at = 0
        self.last_fill_venue_at = 0
        self.read_at = 0
        self.read_agreed = False
        self.read_equal = 0
        self.read_sent_at = 0
        self.read_taken_at = 0
        self.read_qty: int | None = None
        self.read_entry: Decimal | None = None
        self.read_ok = False
        self.foreign = False
        self.foreign_at = 0
        self.trades: set[str] | None = None

    def accept(self, qty: int) -> None:
        """Take the venue's word for the position; it has what strangers did."""
        self.qty = qty
        self.foreign_at = 0
