"""Whether an order may be placed now: book, spread, venue, size; answers with a reason, never acts.

One function checks every placement, immediately before it, for opens and closes alike. An empty
answer is an open gate.
"""

from decimal import Decimal

from machines.types import MARKET, Instrument


def book_is_valid(bid: int, ask: int, age_ns: int, age_max_ns: int) -> bool:
    """Whether prices may be taken from a book: two sides, not crossed, young enough."""
    return 0 < bid < ask and age_ns <= age_max_ns


def spread_is_wide(bid: int, ask: int, limit_pct: Decimal) -> bool:
    """Whether (ask - bid) / mid exceeds `limit_pct` per cent, exactly."""
    return (ask - bid) * 200 > limit_pct * (ask + bid)


def gate(
    *,
    rung: int,
    halted: bool,
    trusted: bool,
    mode: str,
    post_only: bool,
    lane: str,
    awaiting_read: bool,
    book_valid: bool,
    has_mark: bool,
    wide: bool,
    spread_waived: bool,
    level: str = "",
) -> str:
    """The first reason not to place an order now; empty when there is none.

    The market rung needs no valid book, but never goes without a price to bound it by. `level` is
    why a leg that may only catch up with its sibling has nothing to catch up.
    """
    if halted:
        return "halt"
    if not trusted:
        return "untrusted"
    if mode != "online" and not (mode == "post_only" and post_only):
        return "venue_mode"
    if lane:
        return lane
    if awaiting_read:
        return "position_read"
    if level:
        return level
    if rung == MARKET:
        return "" if book_valid or has_mark else "book"
    if not book_valid:
        return "book"
    if wide and not spread_waived:
        return "spread"
    return ""


def floor_to_lot(units: int, instrument: Instrument) -> int:
    """Largest sendable quantity not above `units`."""
    size = units - units % instrument.lot
    if instrument.max_qty is not None and size > instrument.max_qty:
        size = instrument.max_qty - instrument.max_qty % instrument.lot
    return size


def below_minimum(units: int, price: int, instrument: Instrument, exempt: str) -> str:
    """Why a reduce-only order of `units` at `price` ticks cannot be sent; empty if it can.

    `exempt` is what the venue waives for reduce-only orders: none, notional, all. Both minima are
    checked where both bind (C33: notional passed, base did not). A price of 0 is an unknown one:
    it proves nothing too small.
    """
    if units <= 0:
        return "below_lot"
    if exempt == "all":
        return ""
    if units < instrument.min_qty:
        return "below_minimum_base"
    if exempt == "none" and price and units * price < instrument.min_notional:
        return "below_minimum_notional"
    return ""
