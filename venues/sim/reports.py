"""What a simulated venue says about its orders, in the way of its profile.

Trades with a price and a cumulative, a cumulative alone, or the last trade alone; real averages,
none at all. This module must not change an order; it words what is in the books.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from machines.messages import FillReported, OrderReported
from machines.types import Instrument
from venues.port import Scheduler
from venues.profiles import Profile
from venues.sim.link import Link, Reply
from venues.sim.orders import SimOrder, SimTrade

Way = Literal["ack", "cancel", "stream", "query", "read"]


class Reports:
    """The reporting habits of one venue; `instruments` is the exchange's own table."""

    __slots__ = (
        "_instruments",
        "_link",
        "_prices_markets",
        "_profile",
        "_scheduler",
        "_tells_trades",
        "tells_cum",
    )

    def __init__(
        self,
        profile: Profile,
        instruments: Mapping[int, Instrument],
        scheduler: Scheduler,
        link: Link,
    ) -> None:
        capabilities = profile.capabilities
        self._profile = profile
        self._instruments = instruments
        self._scheduler = scheduler
        self._link = link
        self._tells_trades = capabilities.fill_report in ("trades+cum", "last_only")
        #: A trade report names the cumulative fill.
        self.tells_cum = capabilities.fill_report == "trades+cum"
        self._prices_markets = capabilities.fill_price in ("trade", "average")

    def say_open(self, order: SimOrder) -> None:
        """Report on the stream that an order rests, with the price and size booked."""
        at = self._link.stream_at()
        self._link.frame(
            OrderReported(
                at,
                self._scheduler.now,
                order.number,
                "stream",
                order.state,
                order.cum,
                price=order.limit,
                qty=order.qty,
            ),
            order.instrument,
        )

    def say_fill(self, order: SimOrder, done: SimTrade) -> None:
        """Report one trade as the profile does: with its price, or only as a cumulative."""
        if not self.tells_trade(order):
            self.say_state(order, fill=True)
            return
        self._link.frame(
            FillReported(
                self._link.stream_at(),
                done.at,
                order.instrument,
                order.number,
                done.trade,
                done.side,
                done.price,
                done.qty,
                order.cum if self.tells_cum else None,
                done.fee,
                done.maker,
            ),
            order.instrument,
            fill=True,
        )
        if not self.tells_cum and order.state == "FILLED":
            self.say_state(order)

    def tells_trade(self, order: SimOrder) -> bool:
        """Return whether the stream gives the trades of an order with their prices."""
        return self._tells_trades and (self._prices_markets or order.kind != "market")

    def say_state(self, order: SimOrder, fill: bool = False) -> None:
        """Report status and cumulative on the stream."""
        at = self._link.stream_at()
        self._link.frame(self.view(order, at, "stream"), order.instrument, fill)

    def view(
        self,
        order: SimOrder,
        at: int,
        path: Way,
    ) -> OrderReported:
        """Return what the venue says of an order at present, to arrive at `at`."""
        return OrderReported(
            at,
            self._scheduler.now,
            order.number,
            path,
            order.state,
            order.cum,
            self._average(order, path),
            order.reason,
            order.text,
        )

    def _average(self, order: SimOrder, path: str) -> Decimal | None:
        if not order.cum:
            return None
        style = self._profile.capabilities.fill_price
        if not (style == "average" or (style == "zero" and path == "query")):
            return None
        return order.value * self._instruments[order.instrument].tick / order.cum

    def word(self, reason: str) -> str:
        """Return the venue's own text for a normalised reason, if it has one."""
        return self._profile.dialect.says.get(reason, "")

    def acknowledge(self, order: SimOrder, reply: Reply) -> None:
        """Answer a create with the state of the order; the answer names no fills."""
        at = reply.at()
        if at is None:
            return
        limit = order.limit
        now = self._scheduler.now
        if limit == order.price:
            self._link.deliver(OrderReported(at, now, order.number, "ack", order.state))
        else:
            self._link.deliver(
                OrderReported(at, now, order.number, "ack", order.state, price=limit)
            )
