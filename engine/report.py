"""What a close reports, from facts only: fills, average prices, fees, slippage, exposure, result.

Reads machines, changes nothing. Money is `Decimal` in quote currency, quantities in base units;
None means unknown, and nothing unknown is ever shown as zero.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from msgspec import Struct

from machines.close_model import Close
from machines.leg_model import Leg
from machines.order_model import Order
from machines.types import NS

ZERO = Decimal(0)
CENT = Decimal("0.01")
#: Beside the rungs: what the venue closed by itself (liquidation, deleveraging, settlement).
TAKEN = "by the venue"


class LegReport(Struct):
    """One leg. `average` is per contract of the venue; `price_pnl` is against the entry price.

    `filled`, `average`, `fees` and `price_pnl` have what the venue closed by itself as well.

    Slippage is what takers paid beyond the far touch they saw when they were sent, spread the half
    of the spread that they crossed; both in bps of the touch and in quote currency.
    """

    key: str
    filled: Decimal
    average: Decimal | None
    fees: Decimal
    maker: Decimal
    price_pnl: Decimal | None
    slippage_bps: Decimal | None
    slippage: Decimal | None
    spread_bps: Decimal | None
    spread: Decimal | None
    funding: Decimal
    residual: Decimal
    orders: int
    rungs: dict[str, Decimal]
    arrival_mid: Decimal | None


class CloseReport(Struct):
    """One close. Times in ns; `naked_base_s` is base quantity times seconds, `dwell` by state."""

    name: str
    state: str
    outcome: str | None
    reason: str
    urgency: str
    started_at: int
    ended_at: int
    naked_base_s: Decimal
    naked_max: Decimal
    entry_imbalance: Decimal
    dwell: dict[str, int]
    price_pnl: Decimal | None
    result: Decimal | None
    legs: list[LegReport]

    @property
    def orders(self) -> int:
        return sum(leg.orders for leg in self.legs)


def order_average(order: Order) -> Decimal | None:
    """Average fill price in the venue's quote, None while trades or a true average are missing."""
    if not order.cum:
        return None
    if order.traded == order.cum:
        return Decimal(order.value) / order.traded * order.instrument.tick
    return order.average


def leg_report(leg: Leg) -> LegReport:
    """Sum up the orders of one leg, and what the venue took by itself meanwhile."""
    instrument = leg.instrument
    taken = abs(leg.taken_units)
    units = sum(order.cum for order in leg.orders) + taken
    rungs: dict[str, Decimal] = {}
    traded = ZERO
    pnl: Decimal | None = ZERO
    entry = leg.holding.entry
    known = leg.taken_priced == leg.taken_units
    if taken:
        rungs[TAKEN] = instrument.base(taken)
    if taken and known:
        average = abs(leg.taken_value) * instrument.tick / taken
        traded = average * taken
        if entry is not None:
            pnl = instrument.result(-leg.taken_units, entry, average)
    reference = slipped = crossed = ZERO
    for order in leg.orders:
        if not order.cum:
            continue
        rungs[order.rung] = rungs.get(order.rung, ZERO) + instrument.base(order.cum)
        paid = order_average(order)
        if paid is None:
            known = False
            continue
        traded += paid * order.cum
        cost = order.entry or entry
        if cost is not None and pnl is not None:
            pnl += instrument.result(-order.side * order.cum, cost, paid)
        if not order.post_only and order.touch:
            touch = order.touch * instrument.tick
            reference += touch * order.cum
            slipped += (paid - touch) * order.cum * order.side
            crossed += instrument.price(order.spread) / 2 * order.cum
    if entry is None or not known:
        pnl = None
    mid = Decimal(leg.start_bid + leg.start_ask) / 2 * instrument.tick if leg.start_bid else None
    return LegReport(
        key=leg.id,
        filled=instrument.base(units),
        average=traded / units if known and units else None,
        fees=sum((order.fees for order in leg.orders), leg.taken_fees),
        maker=instrument.base(sum(order.maker_qty for order in leg.orders)),
        price_pnl=pnl,
        slippage_bps=_bps(slipped, reference) if known else None,
        slippage=slipped * instrument.unit if known else None,
        spread_bps=_bps(crossed, reference) if known else None,
        spread=crossed * instrument.unit if known else None,
        funding=leg.funding,
        residual=instrument.base(leg.rest),
        orders=len(leg.orders),
        rungs=rungs,
        arrival_mid=mid,
    )


def _bps(part: Decimal, whole: Decimal) -> Decimal:
    return (part * 10_000 / whole).quantize(CENT, ROUND_HALF_EVEN) if whole else ZERO


def close_report(close: Close, now: int) -> CloseReport:
    """Sum up one close; exposure is accounted up to `now`."""
    legs = [leg_report(leg) for leg in close.legs]
    pnl: Decimal | None = ZERO
    result: Decimal | None = ZERO
    for leg in legs:
        if leg.price_pnl is None or pnl is None or result is None:
            pnl = result = None
            break
        pnl += leg.price_pnl
        result += leg.price_pnl - leg.fees + leg.funding
    naked = close.naked_base_ns
    if close.state != "reconciled":
        naked += close.naked * (now - close.naked_at)
    return CloseReport(
        name=close.id,
        state=close.state,
        outcome=close.outcome or None,
        reason=close.reason,
        urgency=close.urgency,
        started_at=close.requested_at,
        ended_at=close.ended_at,
        naked_base_s=naked / NS,
        naked_max=close.naked_max,
        entry_imbalance=close.entry_imbalance,
        dwell=dict(close.dwell),
        price_pnl=pnl,
        result=result,
        legs=legs,
    )
