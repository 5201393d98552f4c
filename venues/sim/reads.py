"""What a simulated venue answers to queries and reads, up to date, lagging or wrong on purpose.

This module must not change orders, positions or books; a read only looks.
"""

from collections.abc import Sequence

from machines.messages import InstrumentTruth, OpenOrder, OrderMissing, OrderReported, TradeRow
from machines.types import MS, NS
from venues.sim.exchange import Exchange
from venues.sim.faults import Decision
from venues.sim.orders import RESTING, SimOrder
from venues.sim.rules import PLAIN, Fate

#: Trades further back than this come once only, in the first read that can hold them.
OVERLAP_NS = 60 * NS
#: Origins of trades that the fills endpoint leaves out.
UNLISTED = ("manual", "settlement")
#: Most trades per instrument in one read; the rest follows in the next, which then says so.
TRADES_MAX = 500

View = tuple[str, int]


class Reader:
    """Views of one exchange for one engine; remembers which trades it has shown."""

    __slots__ = ("_exchange", "_shown", "pending")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._shown: dict[int, int] = {}
        #: Scripted views by order number, oldest first: each answers one query.
        self.pending: dict[int, list[OrderReported]] = {}

    def forget_shown(self) -> None:
        """Start over: a new connection may belong to an engine that knows nothing."""
        self._shown.clear()

    # ------------------------------------------------------------ one order

    def query(
        self, number: int, now: int, sent_at: int, at: int, lag_ns: int
    ) -> OrderReported | OrderMissing:
        """Answer a lookup by own id, to arrive at `at`; `lag_ns` comes on top of the profile's."""
        scripted = self.pending.get(number)
        if scripted:
            view = scripted.pop(0)
            return OrderReported(
                at,
                now,
                number,
                "query",
                view.status,
                view.cum,
                view.average,
                view.reason,
                view.text,
            )
        lookup = self._exchange.capabilities.lookup
        if lookup == "lagging":
            lag_ns += self._exchange.profile.traits.lookup_lag_ns
        order = self._exchange.orders.get(number)
        seen = None if order is None or lookup == "none" else self._seen(order, now, lag_ns)
        if order is None or seen is None or (lookup == "open_only" and seen[0] not in RESTING):
            return OrderMissing(at, number, sent_at, lookup)
        if not lag_ns:
            return self._exchange.reports.view(order, at, "query")
        return OrderReported(at, now, number, "query", seen[0], seen[1])

    @staticmethod
    def _seen(order: SimOrder, now: int, lag_ns: int) -> View | None:
        return order.seen_at(now - lag_ns) if lag_ns else (order.state, order.cum)

    # ------------------------------------------------------------ truth

    def truth(self, scope: int, now: int, fates: "TruthFates") -> tuple[InstrumentTruth, ...]:
        """Return one row per instrument of the venue, or the one of `scope`."""
        if scope >= 0:
            return (self._row(scope, now, fates),)
        return tuple([self._row(index, now, fates) for index in self._exchange.instruments])

    def _row(self, index: int, now: int, fates: "TruthFates") -> InstrumentTruth:
        qty = self._position(index, now, fates.positions)
        holding = self._exchange.account.holdings[index]
        orders_known = not _hides(fates.open_orders, index)
        trades_known = not _hides(fates.fills, index)
        trades: tuple[TradeRow, ...] = ()
        complete = False
        if trades_known:
            trades, complete = self._trades(index, now, fates.fills.lag_ns)
        return InstrumentTruth(
            index,
            qty,
            holding.entry if qty else None,
            self._open(index, now, fates.open_orders.lag_ns) if orders_known else (),
            trades,
            orders_known,
            complete,
        )

    def _position(self, index: int, now: int, fate: Fate) -> int | None:
        holding = self._exchange.account.holdings[index]
        if self._exchange.capabilities.position == "unavailable" or _hides(fate, index):
            return None
        qty = holding.qty_at(now - fate.lag_ns) if fate.lag_ns else holding.qty
        for decision in fate.decisions:
            if decision.kind == "position_read_bad" and _touches(decision, index):
                mode = decision.parameters["mode"]
                if mode in ("none", "alias"):
                    # Under another symbol the position cannot be found: unknown, not zero.
                    return None
                if mode == "stale":
                    qty = holding.qty_at(now - decision.parameters["lag_ms"] * MS)
                elif mode == "unsigned":
                    qty = abs(qty)
        return qty

    def _open(self, index: int, now: int, lag_ns: int) -> tuple[OpenOrder, ...]:
        rows = []
        candidates: Sequence[SimOrder] = (
            list(self._exchange.orders.values()) if lag_ns else self._exchange.books[index].resting
        )
        for order in candidates:
            seen = self._seen(order, now, lag_ns)
            if order.instrument == index and seen is not None and seen[0] in RESTING:
                rows.append(
                    OpenOrder(
                        order.number, order.side, order.qty, seen[1], order.limit, text_of(order)
                    )
                )
        for other in self._exchange.foreign.values():
            if other.instrument == index:
                rows.append(OpenOrder(0, other.side, other.qty, 0, other.price, other.text_id))
        return tuple(rows)

    def _trades(self, index: int, now: int, lag_ns: int) -> tuple[tuple[TradeRow, ...], bool]:
        """Return the trades that are new or within the overlap, and whether these are all.

        They are those of own orders, and what the venue took from the account by itself; other
        people's are not told, and a settlement is an entry of the ledger, not a trade.
        """
        rows: list[TradeRow] = []
        position = first = self._shown.get(index, 0)
        trades = self._exchange.trades
        while first > 0 and trades[first - 1].at >= now - OVERLAP_NS:
            first -= 1
        complete = True
        for number in range(first, len(trades)):
            trade = trades[number]
            if lag_ns and trade.at > now - lag_ns:
                break
            if trade.instrument == index and trade.origin not in UNLISTED:
                if len(rows) == TRADES_MAX:
                    complete = False
                    break
                rows.append(
                    TradeRow(
                        trade.order,
                        trade.trade,
                        trade.at,
                        trade.side,
                        trade.price,
                        trade.qty,
                        trade.fee,
                        trade.maker,
                        trade.origin,
                    )
                )
            position = max(position, number + 1)
        self._shown[index] = position
        return tuple(rows), complete


class TruthFates:
    """The fates of the three requests that one truth read makes.

    `mute`: one request stays unanswered, which leaves the read unfinished. `hold_ns` is the delay
    of the slowest.
    """

    __slots__ = ("fills", "hold_ns", "mute", "open_orders", "positions")

    def __init__(self, positions: Fate, open_orders: Fate, fills: Fate) -> None:
        self.positions = positions
        self.open_orders = open_orders
        self.fills = fills
        self.mute = positions.mute or open_orders.mute or fills.mute
        self.hold_ns = max(positions.hold_ns, open_orders.hold_ns, fills.hold_ns)

    def failure(self, scope: int) -> str:
        """Return why the read fails as a whole, if it does."""
        fate = self.positions
        for decision in fate.decisions:
            if decision.kind == "position_read_bad" and decision.parameters["mode"] == "error":
                return "error"
        if fate.cause and (fate.answer is None or _whole(fate, scope)):
            return fate.cause
        if fate.answer is not None and fate.answer.outcome == "reject" and _whole(fate, scope):
            return fate.answer.text or "rejected"
        return ""


#: The fates of a read that meets no rule; shared, never changed.
PLAIN_READ = TruthFates(PLAIN, PLAIN, PLAIN)


def _whole(fate: Fate, scope: int) -> bool:
    """Return whether a scripted answer concerns all that was asked for."""
    assert fate.answer is not None
    return fate.answer.selector.instrument in (None, scope)


def _touches(decision: Decision, index: int) -> bool:
    return decision.instrument in (None, index)


def _hides(fate: Fate, index: int) -> bool:
    """Return whether a failed or empty answer leaves this instrument unknown."""
    answer = fate.answer
    if answer is not None and answer.outcome in ("error", "reject", "not_found"):
        return answer.selector.instrument in (None, index)
    return bool(fate.cause)


def text_of(order: SimOrder) -> str:
    """Return the venue's text id of an order of this engine."""
    return f"o{order.number}"
