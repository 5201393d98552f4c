"""What a simulated venue remembers when its process ends: written and read back as msgpack.

An embedded venue keeps this in a file of its own, so that it survives the engine's death as a real
venue would. Requests on their way, books and scripts are not part of it. This module must not do
I/O.
"""

from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from venues.numbers import INT64_MAX
from venues.sim.account import ZERO
from venues.sim.exchange import Exchange
from venues.sim.orders import ALIVE, ForeignOrder, SimOrder, SimTrade

VERSION = 1
#: Newest ended orders and trades that are kept.
KEPT_MAX = 5000


class HoldingState(Struct, array_like=True):
    instrument: int
    qty: int
    entry: Decimal | None
    fees: Decimal
    funding: Decimal


class VenueState(Struct, array_like=True):
    version: int
    name: str
    mode: str
    trade_count: int
    balance: Decimal
    cash: Decimal
    realised: Decimal
    holdings: list[HoldingState]
    orders: list[SimOrder]
    trades: list[SimTrade]
    foreign: list[ForeignOrder]
    #: Sums of price * quantity that have more than 64 bits, as text, by order number.
    wide: dict[int, str] = {}


def export_state(exchange: Exchange) -> bytes:
    """Return the state of an exchange; living orders are always part of it."""
    orders = list(exchange.orders.values())
    ended = [order for order in orders if order.state not in ALIVE][-KEPT_MAX:]
    kept = [*ended, *(order for order in orders if order.state in ALIVE)]
    wide = {order.number: str(order.value) for order in kept if order.value > INT64_MAX}
    account = exchange.account
    return msgspec.msgpack.encode(
        VenueState(
            VERSION,
            exchange.name,
            exchange.mode,
            exchange.trade_count,
            account.balance,
            account.cash,
            account.realised,
            [
                HoldingState(index, item.qty, item.entry, item.fees, item.funding)
                for index, item in account.holdings.items()
            ],
            [replace(order, value=0) if order.number in wide else order for order in kept],
            exchange.trades[-KEPT_MAX:],
            list(exchange.foreign.values()),
            wide,
        )
    )


def import_state(exchange: Exchange, data: bytes) -> list[SimOrder]:
    """Put an exported state into a fresh exchange; return its orders in the order of sending.

    Raises ValueError if the bytes are damaged, of another version or of another venue.
    """
    try:
        state = msgspec.msgpack.decode(data, type=VenueState)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"venue state is damaged: {error}") from error
    if state.version != VERSION:
        raise ValueError(f"venue state has version {state.version}; this is {VERSION}")
    if state.name != exchange.name:
        raise ValueError(f"venue state belongs to {state.name!r}, not to {exchange.name!r}")
    account = exchange.account
    account.balance, account.cash = state.balance, state.cash
    account.realised = state.realised
    exchange.mode = state.mode
    exchange.trade_count = state.trade_count
    exchange.trades.extend(state.trades)
    exchange.foreign.update((other.text_id, other) for other in state.foreign)
    for item in state.holdings:
        holding = account.holdings.get(item.instrument)
        if holding is not None:
            account.give(item.instrument, item.qty, item.entry)
            holding.fees, holding.funding = item.fees or ZERO, item.funding or ZERO
    orders = sorted(
        (order for order in state.orders if order.instrument in exchange.instruments),
        key=lambda order: (order.at, order.number),
    )
    for order in orders:
        order.value = int(state.wide.get(order.number, order.value))
        exchange.orders[order.number] = order
        if order.alive and order.state != "PENDING":
            queue = order.queue
            exchange.books[order.instrument].rest(order)
            order.queue = queue
    return orders
