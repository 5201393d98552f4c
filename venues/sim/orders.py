"""Orders and trades as a simulated venue keeps them.

Plain records in the order in which they came; the rest of the venue changes them, checkers and
reports read them. This module must not decide anything.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from machines.messages import Place

#: States in which an order may still fill at the venue.
ALIVE = frozenset({"PENDING", "OPEN", "PARTIALLY_FILLED"})
RESTING = frozenset({"OPEN", "PARTIALLY_FILLED"})
#: By what a position changed; all but `own` without an order of this engine.
Origin = Literal["own", "liquidation", "adl", "settlement", "manual"]


class SimOrder(Struct, eq=False):
    """One order from the moment it was sent; prices in ticks, quantities in units.

    `state` is SENT until the request arrives (for ever, if it was lost), then one of the
    normalised statuses; DROPPED is an order that the venue swallowed without a word. `limit` is
    the price it rests at, `value` the sum of price * quantity of its trades.
    """

    at: int
    number: int
    instrument: int
    nth: int
    side: int
    qty: int
    price: int | None
    kind: str
    tif: str
    post_only: bool
    reduce_only: bool
    deadline: int
    rung: str
    leg: int
    attempt: int
    why: str
    limit: int | None = None
    state: str = "SENT"
    cum: int = 0
    value: int = 0
    arrived: bool = False
    reason: str = ""
    text: str = ""
    ended_at: int = 0
    #: Displayed size ahead of it at its own price.
    queue: int = 0
    #: A scripted order rests whatever the book does.
    pinned: bool = False
    #: Its fate was scripted, so a pending verdict no longer applies.
    scripted: bool = False
    #: (time, state, cum) after every change, oldest first: what a stale view shows.
    marks: list[tuple[int, str, int]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Units that have not filled."""
        return self.qty - self.cum

    @property
    def alive(self) -> bool:
        """Whether the venue may still fill it."""
        return self.state in ALIVE

    def seen_at(self, at: int) -> tuple[str, int] | None:
        """State and cumulative as a view of time `at` shows them; None before it existed."""
        for mark_at, state, cum in reversed(self.marks):
            if mark_at <= at:
                return state, cum
        return None


class SimTrade(Struct):
    """One trade of the account; `order` 0 was nobody's order here."""

    at: int
    instrument: int
    order: int
    trade: str
    side: int
    price: int
    qty: int
    fee: Decimal
    maker: bool
    origin: Origin = "own"


class ForeignOrder(Struct):
    """A resting order of the account that this engine did not send."""

    text_id: str
    instrument: int
    side: int
    qty: int
    price: int


def order_of(command: Place, at: int, nth: int) -> SimOrder:
    """Make the record of a create, the `nth` on its instrument."""
    price = command.price
    return SimOrder(
        at,
        command.order,
        command.instrument,
        nth,
        command.side,
        command.qty,
        price,
        "market" if price is None else "limit",
        command.tif,
        command.post_only,
        command.reduce_only,
        command.deadline,
        command.rung,
        command.leg,
        command.attempt,
        command.why,
        price,
    )
