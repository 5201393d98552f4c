"""Matches our own orders against an external top of book, in integers.

Our orders are a layer over the book and never move it; external size that they take stays taken
until the level's next update. A taker fills at the far touch, a resting order at its own price:
when the opposite best reaches it (*reach*), or when a trade prints at or through its price
(*print*, after the displayed size that stood ahead of it). This module must not know accounts,
reports, profiles or time; what it returns has not happened until the caller books it.
"""

from machines.types import BUY
from venues.sim.orders import SimOrder


def _priority(order: SimOrder) -> int:
    """Rank by price; the sort is stable, so equal prices keep their time order."""
    assert order.limit is not None
    return -order.side * order.limit


class Book:
    """Top of book of one instrument and our resting orders on it.

    Prices and sizes are 0 where a side is empty. `bid_left` and `ask_left` are what our own fills
    have not taken of the displayed sizes.
    """

    __slots__ = (
        "ask",
        "ask_left",
        "ask_qty",
        "bid",
        "bid_left",
        "bid_qty",
        "index",
        "mark",
        "resting",
        "strict",
    )

    def __init__(self, index: int, strict: bool = False) -> None:
        self.index = index
        self.strict = strict
        self.bid = self.bid_qty = self.bid_left = 0
        self.ask = self.ask_qty = self.ask_left = 0
        self.mark = 0
        self.resting: list[SimOrder] = []

    def far(self, side: int) -> int:
        """Return the price a taker of `side` gets, 0 if there is none."""
        return self.ask if side == BUY else self.bid

    def crosses(self, side: int, price: int, behind: int = 0) -> bool:
        """Return whether `price` reaches the opposite best or comes within `behind` ticks."""
        if side == BUY:
            return 0 < self.ask <= price + behind
        return self.bid >= price - behind and self.bid > 0

    def midpoint(self) -> int:
        """Return mark, else mid, else any price there is, in ticks rounded down."""
        if self.mark:
            return self.mark
        if self.bid and self.ask:
            return (self.bid + self.ask) // 2
        return self.bid or self.ask

    def restock(self) -> None:
        """The displayed sizes are there again: an update of the level, though it looks the same."""
        self.bid_left, self.ask_left = self.bid_qty, self.ask_qty

    def take(self, order: SimOrder) -> int:
        """Consume and return the units that an arriving order takes at the far touch."""
        price = order.limit
        if order.side == BUY:
            if not self.ask or (price is not None and price < self.ask):
                return 0
            qty = min(order.left, self.ask_left)
            self.ask_left -= qty
            return qty
        if not self.bid or (price is not None and price > self.bid):
            return 0
        qty = min(order.left, self.bid_left)
        self.bid_left -= qty
        return qty

    def meets_own(self, order: SimOrder) -> bool:
        """Return whether an arriving order would trade with a resting order of ours."""
        price = order.limit
        for other in self.resting:
            if other.side != order.side:
                assert other.limit is not None
                if price is None or (price - other.limit) * order.side >= 0:
                    return True
        return False

    def rest(self, order: SimOrder) -> None:
        """Add an order behind the size displayed at its price."""
        if order.side == BUY:
            order.queue = self.bid_qty if order.limit == self.bid else 0
        else:
            order.queue = self.ask_qty if order.limit == self.ask else 0
        self.resting.append(order)
        if len(self.resting) > 1:
            self.resting.sort(key=_priority)

    def remove(self, order: SimOrder) -> None:
        """Take an order out, if it rests."""
        resting = self.resting
        if resting and order in resting:
            resting.remove(order)

    def reach(self) -> list[tuple[SimOrder, int]]:
        """Return the fills of resting orders that the opposite best has reached."""
        fills = []
        for order in self.resting:
            price = order.limit
            assert price is not None
            # The queue ahead shrinks to what is displayed: those behind are taken to leave first.
            if order.side == BUY:
                if price == self.bid and order.queue > self.bid_qty:
                    order.queue = self.bid_qty
                if 0 < self.ask <= price - self.strict and self.ask_left and not order.pinned:
                    qty = min(order.left, self.ask_left)
                    self.ask_left -= qty
                    fills.append((order, qty))
            else:
                if price == self.ask and order.queue > self.ask_qty:
                    order.queue = self.ask_qty
                if self.bid >= price + self.strict and self.bid_left and not order.pinned:
                    qty = min(order.left, self.bid_left)
                    self.bid_left -= qty
                    fills.append((order, qty))
        return fills

    def printed(self, side: int, price: int, qty: int) -> list[tuple[SimOrder, int]]:
        """Return the fills of a trade of `qty` by an aggressor of `side` at `price`."""
        fills = []
        taken = 0  # external size ahead of us that this print consumed
        for order in self.resting:
            if order.side == side or not qty:
                continue
            assert order.limit is not None
            through = (price - order.limit) * side
            if through < 0:
                continue
            if through == 0:
                ahead = min(max(order.queue - taken, 0), qty)
                order.queue -= min(order.queue, taken + ahead)
                taken += ahead
                qty -= ahead
            part = min(order.left, qty)
            if part:
                qty -= part
                fills.append((order, part))
        return fills
