"""Facts and commands in the words of a trader.

Quantities are contracts of the venue, prices its quotes, as an order shows them. It must not decide
anything; what it has no word for it leaves out or shows as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.simulation.outcome import decimal_text
from engine.texts import printable
from machines.close_model import Close
from machines.core import Core
from machines.holding_model import Holding
from machines.lane import Lane
from machines.leg_model import Leg
from machines.messages import (
    Alarm,
    Arm,
    CallLost,
    Cancel,
    CancelForeign,
    CancelRefused,
    CloseRequested,
    CommandRefused,
    Connect,
    EngineStarted,
    FillReported,
    FundingPaid,
    LinkClosed,
    LinkOpened,
    LinkStale,
    ModeChanged,
    OperatorCommanded,
    OrderMissing,
    OrderPlaced,
    OrderRefused,
    OrderReported,
    OrderSent,
    Place,
    PositionDeclared,
    PositionMoved,
    QueryFailed,
    QueryOrder,
    ReadMode,
    ReadRules,
    ReadTruth,
    RulesRead,
    TimerFired,
    TopMoved,
    TruthFailed,
    TruthRead,
)
from machines.order_model import Order
from machines.policy.escalating import STUCK
from machines.session import Session
from machines.types import BUY, NS, RUNGS, Instrument

#: What the timers of a machine say when they are due.
TIMERS: dict[tuple[type, str], str] = {
    (Leg, "deadline"): "the time of leg {} on its rung is over",
    (Leg, "attempt"): "the time of the attempt of leg {} is over",
    (Leg, "pause"): "the pause of leg {} is over",
    (Leg, "gate"): "leg {} has waited long enough for a narrower spread",
    (Leg, "reread"): "the position of leg {} is due to be read again",
    (Leg, "retry"): "leg {}, which is stuck, is due to try again",
    (Order, "silent"): "nothing was heard of order {} in time",
    (Order, "cancel_silent"): "nothing was heard of the cancel of order {} in time",
    (Order, "ask"): "the venue is due to be asked about order {} again",
    (Order, "alarm"): "the fate of order {} has been in doubt for too long",
    (Close, "liveness"): "close {} is alive for longer than its ladder takes",
    (Close, "budget"): "the budget of close {} for being naked is spent",
    (Close, "ask"): "the venues are due to be asked again for close {}",
    (Close, "silent"): "close {} has had no answer of the venues for too long",
    (Close, "together"): "the pair {} has waited for a venue together for as long as it may",
    (Close, "away"): "a venue of {} has not been trusted for a while",
    (Holding, "ask"): "the position in {} is due to be read again",
    (Holding, "suspect"): "a read has contradicted the position in {} a moment ago",
    (Lane, "reopen"): "{} is due to take orders again",
    (Lane, "status"): "{} is due to be asked for its mode",
    (Session, "open"): "the link to {} did not open in time",
    (Session, "snapshot"): "{} could not be read in time",
    (Session, "ask"): "{} is due to be read again",
    (Session, "stable"): "the link to {} has been good for a while",
    (Session, "retry"): "the pause before the next connect to {} is over",
}
#: Why a leg may not place, by the gate that is shut.
GATES = {
    "halt": "the engine is halted",
    "untrusted": "its venue is not trusted",
    "venue_mode": "its venue takes no such order in its present mode",
    "shut": "its venue takes no order for a time, as it has pushed back",
    "banned": "its venue has banned us for a time",
    "unready": "its venue has refused orders for its mode, and is asked for it",
    "barred": "its venue refuses our credentials, until a person resumes it",
    "unfit": "its venue takes no such order on this instrument, until a person resumes it",
    "position_read": "its position must be read first",
    "together": "the pair waits together for a venue that cannot trade",
    "balanced": "nothing is naked, and it was only to balance",
    "book": "its book is missing, crossed or too old",
    "spread": "the spread is too wide",
}
#: Why what remains of a leg cannot be sent.
MINIMA = {
    "below_lot": "what remains is less than one lot of the venue",
    "below_minimum_base": "what remains is less than the venue's smallest quantity",
    "below_minimum_notional": "what remains is worth less than the venue's smallest order",
}
#: What a word of an order's price says beyond its rung.
_PRICED = {
    "inside": "inside the spread",
    "touch": "at or past the touch",
    "break_even": "at break-even",
    "bounded": "as a bounded limit",
}
#: How a report came.
_PATHS = {
    "ack": "in the answer",
    "cancel": "in the answer to the cancel",
    "stream": "by stream",
    "query": "by query",
    "read": "in a read of the venue",
}
#: Reasons that say no more than a status does.
_SAME = ("", "CANCELED", "CANCELLED", "EXPIRED", "FILLED", "REJECTED")
_BY = {"manual": "by hand", "adl": "by auto-deleveraging", "own": "by an order unknown to us"}


def clock(span: int) -> str:
    """Seconds with three decimals."""
    return f"{span / NS:.3f}"


def side(sign: int) -> str:
    """Buy or sell."""
    return "buy" if sign == BUY else "sell"


def quantity(units: int, rules: Instrument) -> str:
    """Units as contracts of the venue."""
    return decimal_text(rules.quantity(units))


def price(ticks: int | None, rules: Instrument) -> str:
    """Ticks as a quote of the venue."""
    return "market" if ticks is None else decimal_text(rules.price(ticks))


def rung(number: int) -> str:
    """A rung by its name."""
    return "none" if number < 0 else "stuck" if number >= STUCK else RUNGS[number]


class Words:
    """Says facts and commands of one core; times are given from `origin`."""

    def __init__(self, core: Core, origin: int) -> None:
        self.core = core
        self.origin = origin
        self._facts: dict[type, Callable[[Any], str]] = {
            EngineStarted: lambda f: (
                f"process start {f.epoch}: nothing of an earlier one is trusted"
            ),
            PositionDeclared: self._declared,
            CloseRequested: self._requested,
            OperatorCommanded: self._commanded,
            TimerFired: self._timer,
            TopMoved: lambda f: f"the book of {self.key(f.instrument)} moved",
            OrderSent: lambda f: f"{self.order(f.order)} has left for its venue",
            OrderReported: self._reported,
            OrderRefused: lambda f: f"{self.order(f.order)} is refused: {self._reason(f)}",
            CancelRefused: lambda f: (
                f"the cancel of {self.order(f.order)} is refused: {self._reason(f)}"
            ),
            CallLost: lambda f: (
                f"the call to {f.call} {self.order(f.order)} was lost, "
                f"its result unknown ({_cause(f)})"
            ),
            OrderMissing: lambda f: f"the venue does not know {self.order(f.order)}",
            QueryFailed: lambda f: f"the question about {self.order(f.order)} failed ({f.cause})",
            FillReported: self._filled,
            TruthRead: self._read,
            TruthFailed: lambda f: f"a read of {self.scope(f)} failed ({f.cause})",
            RulesRead: lambda f: f"the rules of {self.key(f.instrument)} were read again",
            LinkOpened: lambda f: f"the link to {f.venue} stands",
            LinkClosed: lambda f: f"the link to {f.venue} broke ({f.cause})",
            LinkStale: lambda f: f"the data of {f.venue} cannot be relied on ({f.cause})",
            ModeChanged: lambda f: f"{f.venue} is {f.mode.replace('_', ' ')}",
            FundingPaid: lambda f: (
                f"funding of {decimal_text(f.amount)} on {self.key(f.instrument)}"
            ),
            PositionMoved: self._moved,
            CommandRefused: lambda f: f"{f.gate} refused to send {self.order(f.order)}",
            OrderPlaced: lambda f: f"somebody asks for a plain order on {self.key(f.instrument)}",
        }
        self._commands: dict[type, Callable[[Any], str]] = {
            Place: self._place,
            Cancel: lambda c: f"cancel {self.order(c.order)}",
            QueryOrder: lambda c: f"ask {self.venue(c.instrument)} about {self.order(c.order)}",
            ReadTruth: lambda c: f"read {self.scope(c)}",
            ReadRules: lambda c: f"read the rules of {self.key(c.instrument)}",
            ReadMode: lambda c: f"ask {c.venue} for its mode",
            Connect: lambda c: f"connect to {c.venue}",
            CancelForeign: lambda c: f"cancel the orphan {c.text_id} on {self.key(c.instrument)}",
            Arm: lambda c: f"timer {c.tag} for {self.time(c.due)} s",
            Alarm: lambda c: f"ALARM {c.kind}: {c.machine}: {c.text}",
        }

    # ------------------------------------------------------------ the interface

    def fact(self, fact: Any) -> str:
        """What happened."""
        return printable(self._facts[type(fact)](fact))

    def command(self, command: Any) -> str:
        """What is to be done."""
        return printable(self._commands[type(command)](command))

    def time(self, at: int) -> str:
        """Seconds since the story begins."""
        return clock(at - self.origin)

    def key(self, instrument: int) -> str:
        """An instrument by its name."""
        return self.core.holdings[instrument].instrument.key

    def venue(self, instrument: int) -> str:
        """The venue of an instrument."""
        return self.core.holdings[instrument].instrument.venue

    def order(self, uid: int) -> str:
        """An order by its name."""
        order = self.core.env.orders.get(uid)
        return order.id if order is not None else f"order {uid}"

    def scope(self, message: Any) -> str:
        """What a read is about: one instrument, or all of a venue."""
        return str(message.venue) if message.scope < 0 else self.key(message.scope)

    # ------------------------------------------------------------ facts

    def _declared(self, fact: PositionDeclared) -> str:
        rules = self.core.holdings[fact.instrument].instrument
        entry = "" if fact.entry is None else f" at {decimal_text(fact.entry)}"
        return f"{rules.key} holds {decimal_text(rules.base(fact.qty))}{entry}"

    def _requested(self, fact: CloseRequested) -> str:
        part = "" if fact.ratio[0] == fact.ratio[1] else f" {fact.ratio[0]}/{fact.ratio[1]} of"
        urgency = f", {fact.urgency}" if fact.urgency else ""
        return f"{fact.by} asks to close{part} {fact.pair}: {fact.reason}{urgency}"

    def _commanded(self, fact: OperatorCommanded) -> str:
        about = fact.target or (self.order(fact.order) if fact.order else "")
        held = "" if fact.qty is None else f"with {decimal_text(fact.qty)} held"
        what = " ".join(part for part in (fact.command.replace("_", " "), about, held) if part)
        return f"{fact.by} commands: {what}"

    def _timer(self, fact: TimerFired) -> str:
        machine = self.core.machine(fact.machine)
        if machine is None:
            return f"timer {fact.tag} of a machine that is gone is due"
        known = TIMERS.get((type(machine), fact.tag), f"timer {fact.tag} of {{}} is due")
        return known.format(machine.id)

    def _reported(self, fact: OrderReported) -> str:
        order = self.core.env.orders.get(fact.order)
        filled = ""
        if order is not None and fact.cum is not None:
            done, whole = (quantity(each, order.instrument) for each in (fact.cum, order.qty))
            filled = f", {done} of {whole} filled"
        given = [part for part in (fact.reason, fact.text) if part.upper() not in _SAME]
        reason = f" ({': '.join(dict.fromkeys(given))})" if given else ""
        path = _PATHS.get(fact.path, fact.path)
        return f"{self.order(fact.order)} is {fact.status}{filled}, {path}{reason}"

    def _filled(self, fact: FillReported) -> str:
        rules = self.core.holdings[fact.instrument].instrument
        what = f"{quantity(fact.qty, rules)} @ {price(fact.price, rules)}"
        if not fact.order:
            by = _BY.get(fact.origin, f"by {fact.origin}")
            ours = "" if fact.origin == "own" else ", not by an order of ours"
            return f"{rules.key}: {side(fact.side)} {what} {by}{ours}"
        order = self.core.env.orders.get(fact.order)
        total = f", {quantity(order.cum, rules)} of {quantity(order.qty, rules)}" if order else ""
        role = "maker" if fact.maker else "taker"
        return f"{self.order(fact.order)} fills {what} as {role}{total}"

    def _read(self, fact: TruthRead) -> str:
        parts = []
        for row in fact.rows:
            rules = self.core.holdings[row.instrument].instrument
            held = "unknown" if row.qty is None else decimal_text(rules.base(row.qty))
            resting = f", {len(row.orders)} resting" if row.orders else ""
            parts.append(f"{rules.key} {held}{resting}")
        return f"{fact.venue} says it holds: {'; '.join(parts)}"

    def _moved(self, fact: PositionMoved) -> str:
        rules = self.core.holdings[fact.instrument].instrument
        return (
            f"{rules.key} is reported to hold {decimal_text(rules.base(fact.qty))} ({fact.origin})"
        )

    def _reason(self, fact: OrderRefused | CancelRefused) -> str:
        parts = dict.fromkeys(part for part in (fact.reason, fact.text) if part)
        again = f", orders again from {self.time(fact.retry_at)} s" if fact.retry_at else ""
        return (": ".join(parts) or "no reason given") + again

    # ------------------------------------------------------------ commands

    def _place(self, command: Place) -> str:
        rules = self.core.holdings[command.instrument].instrument
        words = [side(command.side), quantity(command.qty, rules)]
        words.append("at market" if command.price is None else f"@ {price(command.price, rules)}")
        words += ["post-only"] if command.post_only else []
        words += ["IOC"] if command.tif == "IOC" and command.price is not None else []
        words += ["reduce-only"] if command.reduce_only else []
        why = _PRICED.get(command.why)
        if command.why == "touch" and command.post_only:
            why = "held short of the touch by the bound of its slippage"
        rung = ", ".join(part for part in (command.rung, why) if part)
        return f"place {self.order(command.order)}: {' '.join(words)} ({rung})"


def _cause(fact: CallLost) -> str:
    return f"{fact.cause}: {fact.text}" if fact.text else fact.cause
