"""Says whether a venue refuses an order, by its rules and by its profile.

Pure predicates that return a normalised reason, or nothing where the order passes. This module must
not change an order, a book or an account.
"""

from machines.types import Capabilities, Instrument
from venues.sim.matching import Book
from venues.sim.orders import SimOrder

MODES = ("online", "post_only", "cancel_only", "maintenance", "halted")
_EXEMPT = {"none": 0, "notional": 1, "all": 2}


def mode_problem(order: SimOrder, mode: str) -> str:
    """Return the reason for which a venue in this mode refuses a create."""
    if mode == "online":
        return ""
    if mode == "halted":
        return "HALTED"
    return "" if mode == "post_only" and order.post_only else "VENUE_MODE"


def rule_problem(
    order: SimOrder,
    instrument: Instrument,
    capabilities: Capabilities,
    book: Book,
    tick_step: int,
) -> str:
    """Return the reason for which the trading rules forbid an order.

    `tick_step` is the venue's present tick in ticks of the instrument. The notional of a market
    order is taken at the mark.
    """
    price, qty = order.price, order.qty
    if price is None:
        if capabilities.market == "none":
            return "UNSUPPORTED"
        price = book.midpoint()
    elif price % tick_step:
        return "BAD_TICK"
    if qty <= 0 or qty % instrument.lot:
        return "BAD_LOT"
    if instrument.max_qty is not None and qty > instrument.max_qty:
        return "ABOVE_MAX"
    exempt = _exemption(order, instrument, capabilities)
    rule = capabilities.min_rule
    if qty < instrument.min_qty and rule != "quote" and exempt < _EXEMPT["all"]:
        return "BELOW_MIN_QTY"
    if qty * price < instrument.min_notional and rule != "base" and exempt < _EXEMPT["notional"]:
        return "BELOW_MIN_NOTIONAL"
    return ""


def _exemption(order: SimOrder, instrument: Instrument, capabilities: Capabilities) -> int:
    """Rank the minima that the venue waives for this order."""
    if not order.reduce_only:
        return 0
    return max(_EXEMPT[capabilities.reduce_only_exempt], _EXEMPT[instrument.reduce_only_exempt])


def reduce_only_problem(
    order: SimOrder, position: int, capabilities: Capabilities, book: Book
) -> str:
    """Return the reason for which a reduce-only order is refused when the venue judges it.

    `position` is signed units. A venue that clamps judges only the side here, the size at the fill.
    """
    style = capabilities.reduce_only
    if style == "ignored":
        return ""
    room = -order.side * position
    if room <= 0:
        return "REDUCE_ONLY_VIOLATION"
    if style == "clamped":
        return ""
    if style == "ioc_only" and order.tif != "IOC" and order.price is not None:
        return "REDUCE_ONLY_VIOLATION"
    if style == "resting_counts":
        held = sum(
            other.left for other in book.resting if other.reduce_only and other.side == order.side
        )
        if held and order.qty + held > room:
            return "REDUCE_ONLY_CAPACITY"
    return "REDUCE_ONLY_VIOLATION" if order.qty > room else ""


def fill_room(order: SimOrder, qty: int, position: int, capabilities: Capabilities) -> int:
    """Return how much of a fill the venue lets a reduce-only order have."""
    if not order.reduce_only or capabilities.reduce_only == "ignored":
        return qty
    room = -order.side * position
    return qty if qty <= room else max(0, room)
