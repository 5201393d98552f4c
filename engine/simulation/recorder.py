"""Turns what a simulated engine does into the rows of its outcome and trace.

Reads facts, transitions and commands as they pass; it must not judge them.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from engine.report import CloseReport, LegReport, close_report
from engine.simulation.outcome import (
    AlarmRow,
    CloseOutcome,
    FillRow,
    LegOutcome,
    NoteRow,
    OrderRow,
    Outcome,
    Row,
    TransitionRow,
    decimal_text,
    seconds_text,
)
from machines.core import Core
from machines.messages import (
    Alarm,
    Cancel,
    Command,
    Fact,
    FillReported,
    InstrumentTruth,
    OperatorCommanded,
    OrderReported,
    Place,
    TruthRead,
)
from machines.table import Transition
from machines.types import BUY, Instrument
from venues.ids import account_number, encode

#: Trace lines leave out rows that change no state, except these triggers.
_TOLD = frozenset({"asked_again", "budget", "withdraw"})


class Recorder:
    """Collects rows from `begin()` on; what came before belongs to boot."""

    def __init__(self, outcome: Outcome, instruments: list[Instrument]) -> None:
        self.outcome = outcome
        self.instruments = instruments
        self.origin = 0
        self.active = False
        self.rows: dict[int, OrderRow] = {}
        self.by_key = {each.key: each for each in instruments}
        #: Highest cumulative fill that was told of an order, in units.
        self.counts: dict[int, int] = {}
        #: The same as far as trades of reads amount to it.
        self.listed: dict[int, int] = {}
        self.trades: set[tuple[int, str]] = set()

    def begin(self) -> None:
        """Time 0: record from now on."""
        self.active = True

    def _add(self, row: Row) -> None:
        if self.active:
            self.outcome.record(row)

    def note(self, row: NoteRow) -> None:
        """Anything else worth a line."""
        self._add(row)

    def stepped(self, fact: Fact, trace: list[Transition]) -> None:
        """One step ran: what it told of fills, then its transitions."""
        at = fact.at - self.origin
        if isinstance(fact, FillReported):
            self._trade(fact, at)
            self._cumulative(fact.order, fact.cum, "stream", at, told=False)
        elif isinstance(fact, OrderReported):
            self._cumulative(fact.order, fact.cum, fact.path, at, told=True)
        elif isinstance(fact, TruthRead):
            for row in fact.rows:
                self._read(row, fact.at)
        elif isinstance(fact, OperatorCommanded) and _has_settled(trace):
            self._cumulative(fact.order, fact.cum, fact.by, at, told=True)
        for each in trace:
            if each.source != each.dest or each.trigger in _TOLD:
                row_at = each.at - self.origin
                self._add(
                    TransitionRow(
                        row_at, each.machine, each.id, each.trigger, each.source, each.dest
                    )
                )

    def _read(self, row: InstrumentTruth, at: int) -> None:
        """Fills that a read is the first to tell: its trades, then what orders have filled."""
        for trade in row.trades:
            if trade.order in self.rows and (row.instrument, trade.trade) not in self.trades:
                told = FillReported(
                    at, trade.venue_at, row.instrument, trade.order, trade.trade, trade.side,
                    trade.price, trade.qty, None, trade.fee, trade.maker, trade.origin,
                )  # fmt: skip
                self._trade(told, at - self.origin)
                listed = self.listed[trade.order] = self.listed.get(trade.order, 0) + trade.qty
                self.counts[trade.order] = max(self.counts.get(trade.order, 0), listed)
        for order in row.orders:
            if order.cum > self.counts.get(order.order, 0):
                self._cumulative(order.order, order.cum, "read", at - self.origin, told=True)

    def _trade(self, fact: FillReported, at: int) -> None:
        """One trade as it was told; a second time it is a note, since it moves nothing."""
        instrument = self.instruments[fact.instrument]
        row = self.rows.get(fact.order)
        name = row.id if row is not None else ""
        trade = (fact.instrument, fact.trade)
        if trade in self.trades:
            quantity = decimal_text(instrument.quantity(fact.qty))
            self._add(NoteRow(at, "fill", name or instrument.key, f"known trade of {quantity}"))
            return
        self.trades.add(trade)
        self._add(
            FillRow(
                at,
                instrument.key,
                name,
                "buy" if fact.side == BUY else "sell",
                instrument.quantity(fact.qty),
                instrument.price(fact.price),
                fact.maker,
                fact.trade,
            )
        )

    def _cumulative(self, order: int, cum: int | None, path: str, at: int, *, told: bool) -> None:
        """Note a cumulative that no trade explains: fills told by it alone, and old counts."""
        row = self.rows.get(order)
        if row is None or cum is None:
            return
        known = self.counts.get(order, 0)
        self.counts[order] = max(known, cum)
        if told and cum != known:
            quantity = self.by_key[row.key].quantity(cum)
            word = "cumulative" if cum > known else "old cumulative"
            text = f"{word} {decimal_text(quantity)} by {path}"
            self._add(NoteRow(at, "fill", row.id, text))

    def alarm(self, alarm: Alarm, now: int) -> None:
        """An alarm is durable."""
        text = f"{alarm.machine}: {alarm.text}"
        if alarm.since:
            text += f" (since {seconds_text(alarm.since - self.origin)} s)"
        self._add(AlarmRow(alarm.at - self.origin, alarm.kind, text))

    def sent(self, command: Command, now: int, core: Core) -> None:
        """A command left the engine."""
        at = now - self.origin
        if isinstance(command, Place):
            row = self._order_row(command, at, core)
            self.rows[command.order] = row
            self._add(row)
        elif isinstance(command, Cancel):
            row_of = self.rows.get(command.order)
            key = self.instruments[command.instrument].key
            self._add(NoteRow(at, "order", row_of.id if row_of is not None else key, "cancel sent"))

    def _order_row(self, command: Place, at: int, core: Core) -> OrderRow:
        instrument = self.instruments[command.instrument]
        order = core.env.orders[command.order]
        width = order.venue.capabilities.id_width
        account = account_number("main", instrument.venue, "main")
        market = command.price is None
        kind = "market" if market else "ioc" if command.tif == "IOC" else "limit"
        return OrderRow(
            at,
            instrument.venue,
            instrument.symbol,
            "buy" if command.side == BUY else "sell",
            instrument.quantity(command.qty),
            None if command.price is None else instrument.price(command.price),
            kind,
            command.post_only,
            command.reduce_only,
            command.rung,
            encode(account, command.order, command.leg, command.attempt, width),
            why=command.why,
            id=order.id,
        )

    def snapshot(self, core: Core, now: int) -> Outcome:
        """The outcome so far, with the present state of every order and close."""
        for uid, row in self.rows.items():
            order = core.env.orders.get(uid)
            if order is not None:
                row.state = order.state
                row.filled = order.instrument.quantity(order.cum)
        outcome = replace(
            self.outcome,
            failed=list(self.outcome.failed),
            closes={
                name: _close_outcome(close_report(close, now))
                for name, close in core.closes.items()
            },
            positions={},
            believed={},
        )
        outcome.ended_at = now - self.origin
        return outcome


def _has_settled(trace: list[Transition]) -> bool:
    """Whether an order was in doubt, and a person has said how much of it has filled."""
    return any(each.trigger == "settled" and each.source != each.dest for each in trace)


def _close_outcome(report: CloseReport) -> CloseOutcome:
    duration = report.ended_at - report.started_at if report.ended_at else None
    return CloseOutcome(
        report.state,
        report.outcome,
        report.reason,
        duration,
        report.orders,
        report.naked_base_s,
        report.price_pnl,
        {leg.key: leg.residual for leg in report.legs},
        {leg.key: _leg_outcome(leg) for leg in report.legs},
    )


def _leg_outcome(leg: LegReport) -> LegOutcome:
    filled: Decimal | None = leg.filled
    return LegOutcome(
        filled, leg.average, leg.fees, leg.price_pnl, leg.slippage_bps, leg.funding, leg.maker
    )
