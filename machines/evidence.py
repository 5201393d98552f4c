"""The core's half that takes what venues say: order evidence, trades, truth reads.

Evidence is joined into knowledge first, then fires rows. It must not decide anything: every
reaction is a row of a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from machines.holding import TABLE as HOLDING
from machines.holding_model import is_known, verdict_of
from machines.lane import TABLE as LANE
from machines.lane import Refusal
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
    TradeRow,
    TruthFailed,
    TruthRead,
)
from machines.order import TABLE as ORDER
from machines.order_model import (
    DOUBTS,
    join_fill,
    join_lack,
    join_missing,
    join_report,
    note_sign,
    trigger_of,
)
from machines.order_moves import credit
from machines.policy.reconciling import CONTRADICTING
from machines.policy.refusing import LANE_TRIGGERS
from machines.session import TABLE as SESSION

if TYPE_CHECKING:
    from machines.close_model import Close
    from machines.env import Env
    from machines.holding_model import Holding
    from machines.order_model import Order
    from machines.session import Session
    from machines.table import Out

#: Codes that nobody knows of which each is announced once, all venues together.
CODES_MAX = 1024
#: What a venue does to a position by itself.
EXTERNAL = ("liquidation", "adl", "settlement")
_UNPROVED = ("pending", "sent", "unknown")


class Evidence:
    """Handlers of the facts that a venue port delivers; mixed into `Core`."""

    env: Env
    recording: bool
    holdings: list[Holding]
    sessions: dict[str, Session]

    if TYPE_CHECKING:  # what the core provides

        def touch(self, close: Close) -> None: ...
        def drain(self, out: Out) -> None: ...
        def tell_venue_moved(self, venue: str, out: Out) -> None: ...
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

    def _reported(self, fact: OrderReported, out: Out, known_at: int = 0) -> None:
        """Evidence about an order; `known_at` as in `_fill`."""
        order = self._order(fact.order, out)
        if order is None:
            return
        order.grown = grown = join_report(order, fact)
        if grown:
            credit(order, grown, known_at or fact.at, fact.venue_at, out)
        trigger = trigger_of(order, fact)
        if trigger == "unrecognised":
            self._note_code(order, fact.text, out)
        ORDER.fire(order, trigger, fact, out)
        if fact.reason:
            self._tell_lane(order, fact, 0, out)
        elif fact.path == "ack":
            lane = order.holding.lane
            if lane.strikes or lane.bans:
                LANE.fire(lane, "order_taken", fact, out)

    def _is_new_code(self, venue: str, text: str) -> bool:
        """Remember a code that nobody knows; False if it was announced, or if too many were."""
        known = self.env.alarmed
        if not text or (venue, text) in known or len(known) >= CODES_MAX:
            return False
        known.add((venue, text))
        return True

    def _fill(self, fact: FillReported, out: Out, known_at: int = 0) -> None:
        """A trade; `known_at` is when the read was sent that told of it, else it is told now."""
        if not fact.order:
            self._external_fill(fact, out)
            return
        order = self._order(fact.order, out)
        if order is None:
            return
        order.grown = grown = join_fill(order, fact)
        if grown:
            credit(order, grown, known_at or fact.at, fact.venue_at, out)
        ORDER.fire(order, "filled" if order.cum >= order.qty else "grew", fact, out)

    def _refused(self, fact: OrderRefused, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, "refused", fact, out)
            self._tell_lane(order, fact, fact.retry_at, out)

    def _cancel_refused(self, fact: CancelRefused, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is not None:
            ORDER.fire(order, "cancel_refused", fact, out)
            self._tell_lane(order, fact, fact.retry_at, out)

    def _tell_lane(
        self,
        order: Order,
        fact: OrderRefused | CancelRefused | OrderReported,
        retry_at: int,
        out: Out,
    ) -> None:
        """A refusal for a reason that concerns the venue, or the instrument, as a whole."""
        trigger = LANE_TRIGGERS.get(fact.reason)
        if trigger is not None:
            rules = order.instrument
            refusal = Refusal(fact.reason, rules.index, rules.key, fact.text, retry_at)
            LANE.fire(order.holding.lane, trigger, refusal, out)
            self.tell_venue_moved(order.venue.name, out)

    def _call_lost(self, fact: CallLost, out: Out) -> None:
        order = self._order(fact.order, out)
        if order is None:
            return
        self._note_code(order, fact.text, out)
        ORDER.fire(order, f"{fact.call}_lost", fact, out)

    def _note_code(self, order: Order, text: str, out: Out) -> None:
        """Tell a person of a code or status that no table knows, once for each."""
        if self._is_new_code(order.venue.name, text):
            out.commands.append(Alarm(out.now, "unmapped_code", order.venue.name, text))

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

    def _external_fill(self, fact: FillReported, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        if holding.remember(fact.trade):
            self._external(holding, fact, out)

    def _position_moved(self, fact: PositionMoved, out: Out) -> None:
        holding = self.holdings[fact.instrument]
        if fact.qty != holding.qty:
            self._external(holding, fact, out)

    def _external(self, holding: Holding, fact: FillReported | PositionMoved, out: Out) -> None:
        """What we did not order: the venue's own doing, a stranger's, or a bare position."""
        if holding.owner is not None:
            self.touch(holding.owner.close)
        own_doing = fact.origin in EXTERNAL
        other = "strange" if isinstance(fact, FillReported) else "moved"
        HOLDING.fire(holding, "taken" if own_doing else other, fact, out)

    # ------------------------------------------------------------ truth

    def _truth(self, fact: TruthRead, out: Out) -> None:
        session = self.sessions[fact.venue]
        after_gap = fact.scope < 0 and not session.trusted
        heard: list[Holding] = []
        for row in fact.rows:
            holding = self.holdings[row.instrument]
            if fact.sent_at < holding.read_sent_at:
                continue
            for trade in row.trades:
                self._trade(trade, holding, fact, out)
            listed = {each.order for each in row.orders}
            usable = True
            for each in row.orders:
                usable = self._listed(each, row, fact, out) and usable
            self._store(holding, row, fact, usable=usable)
            self._unlisted(holding, row, fact, listed, after_gap=after_gap, out=out)
            heard.append(holding)
        if fact.scope < 0:
            SESSION.fire(session, "truth", fact, out)
        for holding in heard:
            HOLDING.fire(holding, "read", fact, out)
        # A close that has to freeze does so before its legs hear that they might go on.
        self.drain(out)
        for holding in heard:
            self._pass_on(holding, fact, out)
        if after_gap and session.trusted:
            self.recheck_venue(fact.venue, out)

    def _pass_on(self, holding: Holding, fact: TruthRead, out: Out) -> None:
        """Tell those who close the position that it was read, and whether belief has changed."""
        leg = holding.owner
        if leg is None:
            return
        self.touch(leg.close)
        out.tell(leg.close, "truth", leg)
        if leg.read_after and is_known(holding, leg.read_after):
            out.tell(leg, "position_read", fact)
        if leg.state == "waiting":
            out.tell(leg, "recheck")
        if holding.believed_at == fact.at:
            out.tell(leg, "order_filling")

    def _store(
        self, holding: Holding, row: InstrumentTruth, fact: TruthRead, *, usable: bool
    ) -> None:
        qty = row.qty
        if qty is None and holding.venue.capabilities.position == "unavailable":
            # Such a venue shows no positions: complete orders and trades are all its truth.
            qty = holding.qty + holding.announced + holding.listed_units
        complete = usable and qty is not None and row.orders_complete and row.trades_complete
        same = complete and holding.read_ok and qty == holding.read_qty
        holding.read_equal = holding.read_equal + 1 if same else int(complete)
        holding.read_at = fact.at
        holding.read_sent_at = fact.sent_at
        holding.read_taken_at = fact.taken_at
        holding.read_qty = qty
        holding.read_entry = row.entry
        holding.read_ok = complete
        # The same size on the other side is what a venue shows that has lost the sign.
        known = holding.qty + holding.announced + holding.listed_units
        if qty != -known and verdict_of(holding) in CONTRADICTING:
            holding.contradicted_qty, holding.contradicted_at = qty, fact.taken_at
        holding.read_agreed = complete and qty == holding.qty and not holding.announced_at
        holding.foreign = bool(row.orders) and any(not each.order for each in row.orders)

    def _trade(self, trade: TradeRow, holding: Holding, fact: TruthRead, out: Out) -> None:
        """A trade of a read: of an order of ours, or what the venue says that it did by itself."""
        if trade.origin in EXTERNAL:
            if holding.has_shown(trade):
                HOLDING.fire(holding, "taken", trade, out)
            else:
                holding.list(trade)
            return
        order = self.env.orders.get(trade.order)
        if order is None or (order.trades is not None and trade.trade in order.trades):
            return
        fill = FillReported(
            fact.at,
            trade.venue_at,
            holding.instrument.index,
            trade.order,
            trade.trade,
            trade.side,
            trade.price,
            trade.qty,
            None,
            trade.fee,
            trade.maker,
        )
        self._fill(fill, out, fact.sent_at)

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
        note_sign(order, fact.taken_at)
        if revived or order.state in _UNPROVED or row.cum > order.cum:
            report = OrderReported(
                fact.at, fact.taken_at, row.order, "read", "OPEN", row.cum, price=row.price
            )
            self._reported(report, out, fact.sent_at)
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
            if order.state in DOUBTS:
                join_lack(order, fact.sent_at, agrees=holding.read_agreed)
                out.tell(order, "lacked", fact)
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
