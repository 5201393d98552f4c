"""What filled, when, and at which price, put together from everything that tells of fills.

A report of an order tells a quantity, often without its price; the trade behind it may be told
later, by stream or in a read. A fill stands where its quantity was first told, with the price that
was learned of it. It must not count anything twice.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from machines.core import Core
from machines.messages import (
    Fact,
    FillReported,
    OperatorCommanded,
    OrderReported,
    TradeRow,
    TruthRead,
)
from machines.order_model import Order


class Fill(Struct):
    """One fill as it was credited, in contracts and quotes of the venue.

    `price` is None where only a cumulative quantity was told; nobody then knows who was the maker.
    Of several trades it is the average. `untold` is the quantity that it is still unknown of, and
    `spent` the value of the rest of such a fill.
    """

    key: str
    order: str
    side: int
    qty: Decimal
    price: Decimal | None
    maker: bool
    untold: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)


class Fills:
    """Follows the orders of a core from fact to fact."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._counted: dict[int, int] = {}
        self._trades: set[tuple[int, str]] = set()
        self._untold: dict[int, list[Fill]] = {}

    def of(self, fact: Fact) -> list[Fill]:
        """The fills that a fact told of first; those before may learn their price of it."""
        found: list[Fill] = []
        if isinstance(fact, FillReported) and not fact.order:
            rules = self.core.holdings[fact.instrument].instrument
            qty, price = rules.quantity(fact.qty), rules.price(fact.price)
            return [Fill(rules.key, "", fact.side, qty, price, fact.maker)]
        for uid, trade in _told(fact):
            order = self.core.env.orders.get(uid)
            if order is None:
                continue
            if trade is not None:
                found += self._trade(order, trade)
            rest = order.cum - self._counted.get(uid, 0)
            # A read may tell several trades of one order, each with its price.
            if rest > 0 and not isinstance(trade, TradeRow):
                found.append(self._count(order, rest, None))
        return found

    def _trade(self, order: Order, trade: FillReported | TradeRow) -> list[Fill]:
        """Give the trade's price to what was told without one; the rest of it is a new fill."""
        if (order.uid, trade.trade) in self._trades:
            return []
        self._trades.add((order.uid, trade.trade))
        rules = order.instrument
        price, left = rules.price(trade.price), rules.quantity(trade.qty)
        for fill in self._untold.get(order.uid, []):
            part = min(left, fill.untold)
            fill.untold -= part
            fill.spent += part * price
            fill.maker = fill.maker and trade.maker
            left -= part
            if not fill.untold:
                fill.price = (fill.spent / fill.qty).quantize(rules.tick / 10)
        self._untold[order.uid] = [f for f in self._untold.get(order.uid, []) if f.untold]
        new = min(trade.qty, order.cum - self._counted.get(order.uid, 0))
        if new <= 0 or not left:
            return []
        fill = self._count(order, new, price)
        fill.maker = trade.maker
        return [fill]

    def _count(self, order: Order, units: int, price: Decimal | None) -> Fill:
        self._counted[order.uid] = self._counted.get(order.uid, 0) + units
        rules = order.instrument
        fill = Fill(rules.key, order.id, order.side, rules.quantity(units), price, True)
        if price is None:
            fill.untold = fill.qty
            self._untold.setdefault(order.uid, []).append(fill)
        return fill


def _told(fact: Fact) -> list[tuple[int, FillReported | TradeRow | None]]:
    """The orders that a fact tells of, with the trade if it tells one."""
    if isinstance(fact, FillReported):
        return [(fact.order, fact)]
    if isinstance(fact, OrderReported | OperatorCommanded):
        return [(fact.order, None)]
    if isinstance(fact, TruthRead):
        trades = [(each.order, each) for row in fact.rows for each in row.trades if each.order]
        listed = [(each.order, None) for row in fact.rows for each in row.orders if each.order]
        return [*trades, *listed]
    return []
