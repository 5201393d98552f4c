"""The top of one book as last seen: plain state, which machines read and the core writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.messages import TopSeen
from machines.types import BUY

if TYPE_CHECKING:
    from machines.leg_model import Leg


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
