"""What is known of one venue order, and how evidence joins it: duplicates and any order of arrival
give the same knowledge. It fires nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from machines.messages import (
    FillReported,
    OrderMissing,
    OrderReported,
)
from machines.types import (
    MS,
    TERMINAL,
    Instrument,
    VenueSettings,
)

if TYPE_CHECKING:
    from machines.holding_model import Holding
    from machines.leg_model import Leg


ZERO = Decimal(0)


class Order(Struct, eq=False):
    """One venue order. Quantities in units, prices in ticks, times in ns; see `machines.types`."""

    uid: int
    id: str
    holding: Holding
    venue: VenueSettings
    leg: Leg | None
    side: int
    qty: int
    price: int | None
    placed_at: int
    tif: str = "GTC"
    post_only: bool = False
    rung: str = ""
    why: str = ""
    attempt: int = 0
    touch: int = 0
    spread: int = 0
    alarm_after: int = 10_000 * MS
    cancel_timeout: int = 3_000 * MS
    state: str = "pending"
    cum: int = 0
    grown: int = 0
    traded: int = 0
    value: int = 0
    maker_qty: int = 0
    fees: Decimal = ZERO
    average: Decimal | None = None
    booked: int | None = None
    trades: set[str] | None = None
    sent_at: int = 0
    died_at: int = 0
    end_reason: str = ""
    end_text: str = ""
    acked: bool = False
    cancel_wanted: bool = False
    timers: dict[str, int] = field(default_factory=dict)
    ask_count: int = 0
    asked_at: int = 0
    missing_first: int = 0
    missing_last: int = 0
    read_after: bool = False
    #: The venue's time of the last sign of life, and the first round since that lacked the order.
    seen_at: int = 0
    lacked_first: int = 0
    lacked_last: int = 0
    unknown_since: int = 0
    alarmed: bool = False
    #: What the position had cost when the order was sent; adopting may change that of the position.
    entry: Decimal | None = None
    #: The rules under which it was sent: those of the holding at that time.
    instrument: Instrument = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.instrument = self.holding.instrument
        self.sent_at = self.placed_at

    @property
    def alive(self) -> bool:
        """True while the order may still fill, as far as we know."""
        return self.state not in DEAD

    @property
    def hearer(self) -> Leg | None:
        """The leg that is told of the order: that of the newest close of its position.

        One of no ladder concerns nobody but a close that is alive.
        """
        holding = self.holding
        return holding.owner if self.leg is None else holding.latest

    @property
    def countable_from(self) -> int:
        """When a round that lacks the order may count against it; 0: never.

        After the last sign of life, or where there was none after the venue's own deadline.
        """
        venue = self.venue
        if self.acked:
            return max(self.seen_at, self.sent_at) + venue.read_lag_ns + venue.clock_error_max_ns
        if venue.capabilities.deadline == "none":
            return 0
        return self.sent_at + venue.absent_after_ns

    @property
    def open_qty(self) -> int:
        """Quantity that may still fill: reserved, also while unknown."""
        return 0 if self.state in DEAD or self.cum >= self.qty else self.qty - self.cum


def join_report(order: Order, report: OrderReported) -> int:
    """Join a report's figures into the order; return by how many units `cum` grew."""
    if report.status != "REJECTED":
        order.acked = True
        if report.status not in TERMINAL:
            note_sign(order, report.venue_at)
    if report.price is not None:
        order.booked = report.price
    if report.average is not None and (report.cum or 0) >= order.cum:
        order.average = report.average
    cum = report.cum
    if cum is None or cum <= order.cum:
        return 0
    grown = cum - order.cum
    order.cum = cum
    return grown


def join_fill(order: Order, fill: FillReported) -> int:
    """Join one trade; return by how many units `cum` grew, 0 for a trade already known.

    Trades absorb what an explicit cumulative had announced before them: the quantity is the larger
    of the two, never the sum.
    """
    order.acked = True
    trades = order.trades
    if trades is None:
        order.trades = {fill.trade}
    elif fill.trade in trades:
        return 0
    else:
        trades.add(fill.trade)
    note_sign(order, fill.venue_at)
    order.traded += fill.qty
    order.value += fill.qty * fill.price
    order.fees += fill.fee
    if fill.maker:
        order.maker_qty += fill.qty
    cum = order.traded if fill.cum is None or fill.cum < order.traded else fill.cum
    if cum <= order.cum:
        return 0
    grown = cum - order.cum
    order.cum = cum
    return grown


def join_missing(order: Order, answer: OrderMissing) -> None:
    """Join a not-found answer by when it was asked; early or without authority it is nothing."""
    if answer.authority not in ("history", "lagging"):
        return
    if answer.sent_at < order.sent_at + order.venue.absent_after_ns:
        return
    order.missing_first = order.missing_first or answer.sent_at
    order.missing_last = max(order.missing_last, answer.sent_at)


def note_sign(order: Order, venue_at: int) -> None:
    """The venue showed the order alive, or a trade of it: what lacked it before is void."""
    if venue_at > order.seen_at:
        order.seen_at = venue_at
        order.lacked_first = order.lacked_last = 0


def join_lack(order: Order, sent_at: int, *, agrees: bool) -> None:
    """Join a complete round that lacks the order; one whose position does not add up voids them."""
    if not agrees:
        order.lacked_first = order.lacked_last = 0
    elif order.countable_from and sent_at >= order.countable_from:
        order.lacked_first = order.lacked_first or sent_at
        order.lacked_last = max(order.lacked_last, sent_at)


_ENDS = {"CANCELED": "cancelled", "EXPIRED": "expired", "REJECTED": "rejected"}
#: Ends that are a reason by themselves where the venue gives none.
SELF_EXPLAINING = {"CANCELED": "CANCELED", "EXPIRED": "EXPIRED"}


def trigger_of(order: Order, report: OrderReported) -> str:
    """The trigger that a report amounts to, after it was joined."""
    status = report.status
    if status in _ENDS:
        if report.cum is None and not (status == "REJECTED" and not order.acked):
            return "ended_unclear"
        return "filled" if order.cum >= order.qty else _ENDS[status]
    if order.cum >= order.qty:
        return "filled"
    if status == "FILLED":
        return "ended_unclear"
    if status in ("OPEN", "PARTIALLY_FILLED"):
        return "opened"
    return "received" if status == "PENDING" else "unrecognised"


DOUBTS = frozenset({"unknown", "contradicted"})
DEAD = frozenset({"filled", "cancelled", "rejected", "expired"})
