"""The core's half that takes what venues say: order evidence, trades, truth reads.

Evidence is joined into knowledge first, then fires rows. It must not decide anything: every
reaction is a row of a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from machines.errors import InvariantBroken
from machines.messages import (
    Alarm,
    CallLost,
    CancelForeign,
    CancelRefused,
    FillReported,
    InstrumentTruth,
    OpenOrder,
    OrderMissing,
    OrderRefused,
    OrderReported,
    OrderSent,
    PositionMoved,
    QueryFailed,
    ReadTruth,
    TradeRow,
    TruthFailed,
    TruthRead,
)
from machines.order import TABLE as ORDER
from machines.order_model import join_fill, join_missing, join_report, trigger_of
from machines.order_moves import credit
from machines.session import TABLE as SESSION

if TYPE_CHECKING:
    from machines.close_model import Close
    from machines.env import Env
    from machines.holding import Holding
    from machines.order_model import Order
    from machines.session import Session
    from machines.table import Out

#: Trade ids remembered per instrument for external fills and funding.
TRADES_MAX = 4096
#: Codes that nobody knows of which each is announced once, all venues together.
CODES_MAX = 1024
_EXTERNAL = ("liquidation", "adl", "settlement")
_UNPROVED = ("pending", "sent", "unknown")


class Evidence:
    """Handlers of the facts that a venue port delivers; mixed into `Core`."""

    env: Env
    recording: bool
    holdings: list[Holding]
    sessions: dict[str, Session]

    if TYPE_CHECKING:  # what the core provides

        def touch(self, close: Close) -> None: ...
        def recheck_venue(self, venue: str, out: Out) -> None: ...

    def evidence_handlers(self) -> dict[type, Any]:
        """Which method takes which fact."""
        return {
            OrderSent: self._sent,
            OrderReported: self._reported,
            OrderRefused: self._refused,
            CancelRefused: self._cancel_refused,
            CallLost: self._call_lost,
            OrderMissing: self._missing,
            QueryFailed: self._query_failed,
            FillReported: self._fill,
            TruthRead: self._truth,
            TruthFailed: self._truth_failed,
            PositionMoved: self._position_moved,
        }

    # ------------------------------------------------------------ orders

    def _order(self, uid: int, out: Out) -> Order | None:
        order = self.env.orders.get(uid)
        if order is None:
            text = f"evidence about order {uid}, which no machine owns"
            out.commands.append(Alarm(out.now, "orphan_order", "core", text))
        elif self.recording and order.leg is not None:
            self.touch(order.leg.close)
        return order

    def _sent(self, fact: OrderSent, out: Out) -> None:
        order = self.env.orders.get(fact.order)
        if order is not None:
            ORDER.fire(order, "sent", fact, out)

    def _reported(self, fact: OrderReported, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is None:
            return
        order.grown = grown = join_report(order, fact)
        if grown:
            credit(order, grown, fact.at, fact.venue_at, out)
        trigger = trigger_of(order, fact)
        if trigger == "unrecognised" and self._is_new_code(order.venue.name, fact.text):
            out.commands.append(Alarm(fact.at, "unmapped_code", order.venue.name, fact.text))
        ORDER.fire(order, trigger, fact, out)

    def _is_new_code(self, venue: str, text: str) -> bool:
        """Remember a code that nobody knows; False if it was announced, or if too many were."""
        known = self.env.alarmed
        if not text or (venue, text) in known or len(known) >= CODES_MAX:
            return False
        known.add((venue, text))
        return True

    def _fill(self, fact: FillReported, out: Out) -> None:
        if not fact.order:
            self._external_fill(fact, out)
            return
        order = self._order(fact.order, out)
        if order is None:
            return
        order.grown = grown = join_fill(order, fact)
        if grown:
            credit(order, grown, fact.at, fact.venue_at, out)
        ORDER.fire(order, "filled" if order.cum >= order.qty else "grew", fact, out)

    def _refused(self, fact: OrderRefused, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, "refused", fact, out)

    def _cancel_refused(self, fact: CancelRefused, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, "cancel_refused", fact, out)

    def _call_lost(self, fact: CallLost, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, f"{fact.call}_lost", fact, out)

    def _missing(self, fact: OrderMissing, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            join_missing(order, fact)
            ORDER.fire(order, "missing", fact, out)

    def _query_failed(self, fact: QueryFailed, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, "query_failed", fact, out)

    # ------------------------------------------------------------ what we did not order

    def is_new_trade(self, holding: Holding, key: str) -> bool:
        """Remember an external trade or payment; False if it was known."""
        if holding.trades is None:
            holding.trades = set()
        if key in holding.trades:
            return False
        if len(holding.trades) >= TRADES_MAX:
            raise InvariantBroken("I20", f"{holding.instrument.key}: too many external trades")
        holding.trades.add(key)
        return True

    def _external_fill(self, fact: FillReported, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        if not self.is_new_trade(holding, fact.trade):
            return
        self._external(holding, fact.side * fact.qty, fact.origin, fact.at, fact.venue_at, out)

    def _position_moved(self, fact: PositionMoved, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        change = fact.qty - holding.qty
        if change and fact.origin in _EXTERNAL:
            self._external(holding, change, fact.origin, fact.at, fact.venue_at, out)
        elif change and holding.owner is not None:
            # A position frame may precede or trail the fills; only a read settles it.
            name = holding.venue.name
            out.commands.append(ReadTruth(fact.at, name, fact.instrument))
        elif change:
            holding.foreign_at = fact.at

    def _external(
        self, holding: Holding, change: int, origin: str, at: int, venue_at: int, out: Out
    ) -> None:
        """Book a change that the engine did not order, or freeze on a stranger's."""
        leg = holding.owner
        key = holding.instrument.key
        if origin not in _EXTERNAL:
            holding.foreign_at = at
            base = holding.instrument.base(change)
            text = f"{base:f} traded by somebody else ({origin})"
            out.commands.append(Alarm(at, "foreign_exposure", key, text))
            if leg is not None:
                leg.close.foreign_text = text
                leg.close.alarmed.add("foreign_exposure")
                out.tell(leg.close, "foreign")
            return
        holding.qty += change
        holding.last_fill_at = at
        holding.last_fill_venue_at = max(holding.last_fill_venue_at, venue_at)
        if origin != "settlement":
            text = f"{holding.instrument.base(change):f} by {origin}"
            out.commands.append(Alarm(at, "leg_liquidated", key, text))
        if leg is not None:
            self.touch(leg.close)
            leg.liquidated = leg.liquidated or origin != "settlement"
            leg.close.note_exposure(out)
            out.tell(leg, "order_filling", None)

    # ------------------------------------------------------------ truth

    def _truth(self, fact: TruthRead, out: Out) -> None:
        session = self.sessions[fact.venue]
        after_gap = fact.scope < 0 and not session.trusted
        for row in fact.rows:
            holding = self.holdings[row.instrument]
            if fact.sent_at < holding.read_sent_at:
                continue
            for trade in row.trades:
                self._trade(trade, row.instrument, fact.at, out)
            listed = {each.order for each in row.orders}
            usable = True
            for each in row.orders:
                usable = self._listed(each, row, fact, out) and usable
            self._store(holding, row, fact, usable=usable)
            self._unlisted(holding, row, fact, listed, after_gap=after_gap, out=out)
            if holding.owner is not None:
                leg = holding.owner
                self.touch(leg.close)
                out.tell(leg.close, "truth", leg)
                if leg.read_after or not holding.read_agreed:
                    out.tell(leg, "position_read", fact)
                if leg.state == "waiting":
                    out.tell(leg, "recheck")
        if fact.scope < 0:
            SESSION.fire(session, "truth", fact, out)
            if after_gap and session.trusted:
                self.recheck_venue(fact.venue, out)

    def _store(
        self, holding: Holding, row: InstrumentTruth, fact: TruthRead, *, usable: bool
    ) -> None:
        qty = row.qty
        if qty is None and holding.venue.capabilities.position == "unavailable":
            # Such a venue shows no positions: complete orders and trades are all its truth.
            qty = holding.qty
        complete = usable and qty is not None and row.orders_complete and row.trades_complete
        same = complete and holding.read_ok and qty == holding.read_qty
        holding.read_equal = holding.read_equal + 1 if same else int(complete)
        holding.read_at = fact.at
        holding.read_sent_at = fact.sent_at
        holding.read_taken_at = fact.taken_at
        holding.read_qty = qty
        holding.read_entry = row.entry
        holding.read_ok = complete
        holding.read_agreed = complete and qty == holding.qty
        holding.foreign = bool(row.orders) and any(not each.order for each in row.orders)

    def _trade(self, trade: TradeRow, instrument: int, at: int, out: Out) -> None:
        order = self.env.orders.get(trade.order)
        if order is None or (order.trades is not None and trade.trade in order.trades):
            return
        fill = FillReported(
            at,
            trade.venue_at,
            instrument,
            trade.order,
            trade.trade,
            trade.side,
            trade.price,
            trade.qty,
            None,
            trade.fee,
            trade.maker,
        )
        self._fill(fill, out)

    def _listed(self, row: OpenOrder, truth: InstrumentTruth, fact: TruthRead, out: Out) -> bool:
        """An order in the list of open orders: a read can raise knowledge, never lower it.

        False if the list cannot be used: it shows an order that is dead, and may be older than the
        death. Past the venue's read lag it is evidence that the order lives.
        """
        if not row.order:
            return True
        order = self.env.orders.get(row.order)
        if order is None:
            text = f"own order {row.order} without a journaled intent"
            out.commands.append(Alarm(fact.at, "orphan_order", "core", text))
            out.commands.append(CancelForeign(fact.at, truth.instrument, row.text_id))
            return True
        revived = not order.alive
        if revived and fact.taken_at <= order.died_at + order.venue.read_lag_ns:
            return False
        if revived or order.state in _UNPROVED or row.cum > order.cum:
            report = OrderReported(
                fact.at, fact.taken_at, row.order, "read", "OPEN", row.cum, price=row.price
            )
            self._reported(report, out)
        return not revived

    def _unlisted(
        self,
        holding: Holding,
        row: InstrumentTruth,
        fact: TruthRead,
        listed: set[int],
        *,
        after_gap: bool,
        out: Out,
    ) -> None:
        """Orders that a complete read does not show: proof of absence, or a reason to ask."""
        if not (row.orders_complete and row.trades_complete):
            return
        for order in holding.orders:
            if not order.alive or order.uid in listed:
                continue
            if order.state == "unknown":
                countable = fact.sent_at >= order.sent_at + order.venue.absent_after_ns
                if countable and order.missing_first and not order.read_after:
                    order.read_after = True
                    out.tell(order, "untraced", fact)
            elif after_gap:
                out.tell(order, "unlisted", fact)

    def _truth_failed(self, fact: TruthFailed, out: Out) -> None:
        """A failed read says nothing; whoever asked has a timer of its own to ask again."""
        if fact.scope < 0:
            SESSION.fire(self.sessions[fact.venue], "truth_failed", fact, out)
