"""What the timeline of a scenario does to a simulated venue, in ticks, units and nanoseconds.

Scripted events win over the book. An action that finds no order to act on is noted in `unmatched`
for the runner to report. This module must not read files or decimals; the runner converts.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from machines.messages import FillReported, OrderReported
from machines.types import TERMINAL
from venues.numbers import MONEY_MAX, NumberRefused
from venues.sim.judge import MODES
from venues.sim.orders import ALIVE, RESTING, ForeignOrder, Origin, SimOrder, SimTrade
from venues.sim.rules import OUTCOMES, Answer
from venues.sim.selection import Selector, expand
from venues.sim.words import normal_reason, normal_status

if TYPE_CHECKING:
    from venues.sim.venue import SimVenue

KINDS = ("manual", "liquidation", "adl", "settlement")
PATHS = ("stream", "query", "none")


class Unmatched(NamedTuple):
    """An action that found no order; `order` is a number, "live" or "last_terminal"."""

    at: int
    what: str
    key: str
    order: int | str


class Script:
    """Scripted actions of one venue; each happens at the present time."""

    __slots__ = ("_venue", "unmatched")

    def __init__(self, venue: "SimVenue") -> None:
        self._venue = venue
        self.unmatched: list[Unmatched] = []

    def _find(self, instrument: int, order: int | str) -> SimOrder | None:
        """Return the n-th order of the engine, its live one or the one that ended last."""
        queue = self._venue.orders_on(instrument)
        if isinstance(order, int):
            return queue[order - 1] if 0 < order <= len(queue) else None
        if order == "live":
            return next((item for item in reversed(queue) if item.alive), None)
        if order != "last_terminal":
            raise ValueError(f"order: {order!r} is not a number, 'live' or 'last_terminal'")
        ended = [item for item in queue if item.state in TERMINAL]
        return max(ended, key=lambda item: (item.ended_at, item.nth), default=None)

    def _wanted(self, what: str, instrument: int, order: int | str) -> SimOrder | None:
        found = self._find(instrument, order)
        if found is None:
            key = self._venue.exchange.instruments[instrument].key
            self.unmatched.append(Unmatched(self._venue.now, what, key, order))
        return found

    def _price(self, order: SimOrder, price: int | None) -> int:
        if price is not None:
            return price
        book = self._venue.exchange.books[order.instrument]
        return order.limit or book.far(order.side) or book.midpoint()

    # ------------------------------------------------------------ orders

    def fill(
        self, instrument: int, qty: int, price: int | None = None, order: int | str = "live"
    ) -> None:
        """Fill an order by exactly `qty`, dead or over-filled as it may be, and report it."""
        found = self._wanted("fill", instrument, order)
        if found is not None:
            self._grow(found, qty, self._price(found, price), "", quiet=False)

    def _grow(self, order: SimOrder, qty: int, price: int, trade: str, quiet: bool) -> SimTrade:
        exchange = self._venue.exchange
        order.scripted = True
        exchange.orders[order.number] = order
        if order.state in ("SENT", "DROPPED", "PENDING"):
            self._revive(order)
        maker = order.kind == "limit" and order.tif == "GTC"
        return exchange.fill(order, qty, price, maker, trade, quiet)

    def report(
        self,
        instrument: int,
        order: int | str,
        status: str | None = None,
        cum: int | None = None,
        price: int | None = None,
        reason: str = "",
        trade: str = "",
        qty: int | None = None,
        path: str = "stream",
        effect: bool = True,
    ) -> None:
        """Script the fate of an order: change the venue's books (`effect`), then say so.

        `status` is a normalised one or a venue's own text; an unknown text changes no books.
        `trade` names one trade of `qty` (default: the growth of `cum`); a trade known already is
        only told again.
        """
        if path not in PATHS:
            raise ValueError(f"path: {path!r} is unknown; allowed: {', '.join(PATHS)}")
        found = self._wanted("report", instrument, order)
        if found is None:
            return
        state, named, text = _status(status, reason)
        growth = self._growth(found, state, cum, qty)
        told: SimTrade | None = None
        if effect:
            told = self._change(found, state, named, text, growth, price, trade)
        if path == "none":
            return
        if told is None and (trade or qty is not None):
            told = self._claimed(found, trade, growth, price)
        view = self._view(found, state, cum, price, named, text, effect)
        if path == "query":
            self._venue.reader.pending.setdefault(found.number, []).append(view)
        else:
            self._say(found, told, view, state, bool(trade))

    @staticmethod
    def _growth(order: SimOrder, state: str | None, cum: int | None, qty: int | None) -> int:
        if qty is not None:
            return qty
        if cum is None and state == "FILLED":
            cum = order.qty
        return max(0, cum - order.cum) if cum is not None else 0

    def _change(
        self,
        order: SimOrder,
        state: str | None,
        reason: str,
        text: str,
        growth: int,
        price: int | None,
        trade: str,
    ) -> SimTrade | None:
        """Make the report true in the venue's books; return the trade, if it made one."""
        exchange = self._venue.exchange
        order.scripted = True
        known = trade and any(done.trade == trade for done in exchange.trades)
        told = None
        if growth and not known:
            told = self._grow(order, growth, self._price(order, price), trade, quiet=True)
        if state in TERMINAL and (order.state in ALIVE or order.state == "SENT"):
            exchange.orders[order.number] = order
            order.arrived = True
            exchange.end(order, str(state), reason, text, quiet=True)
        elif state == "OPEN" and order.state not in RESTING:
            self._revive(order)
        return told

    def _revive(self, order: SimOrder) -> None:
        """Let an order rest that was lost, pending or dead."""
        exchange = self._venue.exchange
        order.pinned = True
        order.limit = self._price(order, None)
        exchange.register(order, "PARTIALLY_FILLED" if order.cum else "OPEN")
        exchange.books[order.instrument].remove(order)
        exchange.books[order.instrument].rest(order)

    def _claimed(self, order: SimOrder, trade: str, qty: int, price: int | None) -> SimTrade | None:
        """Return the trade that a message tells of without its happening now."""
        exchange = self._venue.exchange
        for done in exchange.trades:
            if trade and done.trade == trade:
                return done
        if not qty:
            return None
        paid = self._price(order, price)
        holding = exchange.account.holdings[order.instrument]
        maker = order.kind == "limit" and order.tif == "GTC"
        fee = holding.fee(qty, paid, maker)
        name = trade or f"{exchange.name}-said-{order.number}-{order.cum}-{qty}"
        now = self._venue.now
        return SimTrade(
            now, order.instrument, order.number, name, order.side, paid, qty, fee, maker
        )

    def _view(
        self,
        order: SimOrder,
        state: str | None,
        cum: int | None,
        price: int | None,
        reason: str,
        text: str,
        effect: bool,
    ) -> OrderReported:
        exchange = self._venue.exchange
        total = order.cum if cum is None else cum
        if state == "FILLED" and cum is None and not effect:
            total = order.qty
        status = state
        if status is None:
            status = order.state if effect else _status_of(total, order.qty)
        average = None
        if price is not None and exchange.capabilities.fill_price == "average":
            average = exchange.instruments[order.instrument].price(price)
        return OrderReported(
            self._venue.link.stream_at(),
            self._venue.now,
            order.number,
            "stream",
            status,
            total,
            average,
            reason,
            text,
        )

    def _say(
        self,
        order: SimOrder,
        told: SimTrade | None,
        view: OrderReported,
        state: str | None,
        named: bool,
    ) -> None:
        """Send the message: a trade where that is what happened, else status and cumulative."""
        exchange = self._venue.exchange
        link = self._venue.link
        ended = state is not None and state not in ("PARTIALLY_FILLED", "FILLED")
        as_trade = told is not None and (
            named or (exchange.reports.tells_trade(order) and not ended)
        )
        if as_trade and told is not None:
            link.frame(
                FillReported(
                    view.at,
                    told.at,
                    order.instrument,
                    order.number,
                    told.trade,
                    told.side,
                    told.price,
                    told.qty,
                    view.cum if exchange.reports.tells_cum else None,
                    told.fee,
                    told.maker,
                ),
                order.instrument,
                fill=True,
            )
        if not as_trade or ended:
            link.frame(view, order.instrument, fill=bool(view.cum))

    def answer(
        self,
        on: str,
        outcome: str = "accept",
        instrument: int | None = None,
        nth: int | tuple[int, ...] | None = None,
        count: int | None = None,
        for_ns: int | None = None,
        cum: int | None = None,
        status: str | None = None,
        code: str = "",
        reason: str = "",
        hold_ns: int = 0,
        effect: bool = True,
        retry_ns: int | None = None,
    ) -> None:
        """Answer the next matching requests as scripted: one by default, all with `count` 0.

        With `for_ns` it is all of them until then, whatever the count. `reason` is a normalised one
        or a venue's own text, `code` this venue's own code; a refusal whose words are in no table
        loses the call. `retry_ns` is the time that a refusal of a create or cancel states, from its
        arrival.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome: {outcome!r} is unknown; allowed: {', '.join(OUTCOMES)}")
        until = None if for_ns is None else self._venue.now + for_ns
        limit = count if until is None else None
        selector = Selector(expand(on), instrument, nth, limit, until)
        meaning, cause = self._venue.profile.dialect.verdict(reason, code)
        self._venue.rules.add_answer(
            Answer(
                selector,
                outcome,
                cum,
                status,
                meaning,
                code or reason,
                hold_ns,
                effect,
                cause,
                retry_ns,
            )
        )
        self._venue.review_path()

    # ------------------------------------------------------------ account and venue

    def external(self, instrument: int, qty: int, price: int, kind: str) -> None:
        """Change a position by `qty` signed units without an order of the engine.

        Liquidation, auto-deleveraging and settlement reduce the position whatever the sign given,
        and by no more than is held.
        """
        origin: dict[str, Origin] = {
            "manual": "manual",
            "liquidation": "liquidation",
            "adl": "adl",
            "settlement": "settlement",
        }
        if kind not in origin:
            raise ValueError(f"kind: {kind!r} is unknown; allowed: {', '.join(KINDS)}")
        held = self._venue.positions()[instrument]
        if kind != "manual":
            most = min(abs(qty), abs(held))
            qty = -most if held > 0 else most
            if not qty:
                return
        self._venue.exchange.external(instrument, qty, price, origin[kind])

    def funding(
        self,
        instrument: int,
        rate: Decimal | None = None,
        amount: Decimal | None = None,
        copies: int = 1,
    ) -> None:
        """Pay funding at a rate of the marked value, or an amount (received positive)."""
        exchange = self._venue.exchange
        if amount is None:
            assert rate is not None
            rules = exchange.instruments[instrument]
            held = exchange.account.holdings[instrument].qty
            mark = rules.price(exchange.books[instrument].midpoint())
            amount = -rules.notional(held, mark) * rate
            if abs(amount) > MONEY_MAX:
                raise NumberRefused("funding", amount, f"within ±{MONEY_MAX:.0E}")
        key = f"{exchange.instruments[instrument].key}@{self._venue.now}"
        exchange.fund(instrument, amount, key, copies)

    def set_rules(
        self,
        instrument: int,
        min_qty: int | None = None,
        min_notional: int | None = None,
        lot: int | None = None,
        tick_step: int | None = None,
    ) -> None:
        """Change trading rules: units, ticks * units; `tick_step` is the new tick in old ticks."""
        exchange = self._venue.exchange
        fields: dict[str, Any] = {"min_qty": min_qty, "min_notional": min_notional, "lot": lot}
        exchange.change_rules(
            instrument, **{name: value for name, value in fields.items() if value is not None}
        )
        if tick_step is not None:
            exchange.tick_steps[instrument] = tick_step

    def set_mode(self, mode: str) -> None:
        """Change what the venue takes."""
        if mode not in MODES:
            raise ValueError(f"mode: {mode!r} is unknown; allowed: {', '.join(MODES)}")
        self._venue.exchange.set_mode(mode)

    def foreign_order(self, instrument: int, side: int, qty: int, price: int, text_id: str) -> None:
        """Rest an order in the account that this engine did not send."""
        self._venue.exchange.foreign[text_id] = ForeignOrder(text_id, instrument, side, qty, price)


def _status(status: str | None, reason: str) -> tuple[str | None, str, str]:
    """Return normalised status, normalised reason and raw text of a report."""
    if status is None:
        return None, normal_reason(reason), reason
    state, named = normal_status(status)
    text = status if status != state else reason
    return state, normal_reason(reason) or named, text


def _status_of(cum: int, qty: int) -> str:
    if cum >= qty:
        return "FILLED"
    return "PARTIALLY_FILLED" if cum else "OPEN"
