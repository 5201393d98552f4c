"""The core's half that takes what people ask: closes, operators' commands, single orders.

It must not decide anything: every reaction is a row of a table; what cannot be done is answered in
words.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from machines.close_model import Close
from machines.env import STOP
from machines.messages import (
    Alarm,
    Arm,
    CloseRequested,
    CommandRefused,
    OperatorCommanded,
    OrderPlaced,
)
from machines.order_model import DOUBTS
from machines.part import problem
from machines.placing import command_for, enlist
from machines.policy.escalating import urgency_of
from machines.types import URGENCY_RANK

if TYPE_CHECKING:
    from machines.env import Env
    from machines.holding_model import Holding
    from machines.lane import Lane
    from machines.order_model import Order
    from machines.table import Out
    from machines.types import PairSettings, Urgency


#: What resuming a venue amounts to, by what its lane was.
RESUMED = {
    "barred": "orders are tried again with the present credentials",
    "unready": "orders are tried again whatever the mode was",
    "unfit": "the instruments that took no order are tried again",
    "shut": "pushed back by the venue for a time; that time stays",
    "banned": "banned by the venue for a time; that time stays",
}


#: The answer to who wants orders of an engine that cancels its own, for it ends right after.
STOPPING = "the engine is stopping and nothing was done; say it again after the next start"

#: How the answer begins to who asks for a part that cannot be traded.
NOTHING = "nothing is closed"


class Requests:
    """Handlers of the facts that people cause; mixed into `Core`."""

    env: Env
    holdings: list[Holding]
    pairs: Mapping[str, PairSettings]
    closes: dict[str, Close]
    following: dict[str, tuple[Urgency, CloseRequested]]
    lanes: dict[str, Lane]
    close_count: int

    if TYPE_CHECKING:  # what the core and its other half provide

        def touch(self, close: Close) -> None: ...
        def recheck(self, out: Out, closes: list[Close]) -> None: ...
        def recheck_venue(self, venue: str, out: Out) -> None: ...
        def drain(self, out: Out) -> None: ...
        def remember_single(self, order: Order) -> None: ...

    def request_handlers(self) -> dict[type, Any]:
        """Which method takes which fact."""
        return {
            CloseRequested: self._close_requested,
            OperatorCommanded: self._commanded,
            OrderPlaced: self._order_placed,
            CommandRefused: self._command_refused,
        }

    def _close_requested(self, fact: CloseRequested, out: Out) -> None:
        pair = self.pairs.get(fact.pair)
        if pair is None:
            out.answer = f"unknown pair {fact.pair!r}; known: {', '.join(sorted(self.pairs))}"
            return
        try:
            urgency = urgency_of(fact.reason, fact.urgency, pair.close)
        except KeyError as error:
            out.answer = f"unknown reason or urgency {error.args[0]!r}"
            return
        close = self.closes.get(fact.pair)
        if close is not None and close.state != "reconciled":
            self._asked_again(close, urgency, fact, out)
        else:
            self._begin(pair, urgency, fact, out)

    def _begin(self, pair: PairSettings, urgency: Urgency, fact: CloseRequested, out: Out) -> None:
        holdings = [self.holdings[index] for index in pair.legs]
        if fact.is_part and (refused := problem(holdings, fact.ratio)):
            out.answer = f"{NOTHING}: {refused}; ask for another part of {fact.pair}, or the whole"
            return
        self.close_count += 1
        close = Close(
            pair, self.close_count, holdings, self.env, fact.reason, urgency, fact.ratio, out.now
        )
        self.closes[fact.pair] = close
        out.commands.append(Arm(close.uid, "liveness", close.timers["liveness"]))
        self.touch(close)
        out.answer = f"closing {fact.pair}"
        out.tell(close, "truth")

    def _asked_again(self, close: Close, urgency: Urgency, fact: CloseRequested, out: Out) -> None:
        """Raise the urgency of the close that lives; the whole after a part waits for its end."""
        self.touch(close)
        before = close.urgency
        out.tell(close, "asked_again", (urgency, fact.reason))
        self.drain(out)
        raised = "raised to " + urgency if close.urgency != before else "unchanged"
        out.answer = f"already closing {fact.pair}; urgency {raised}"
        if fact.is_part or not close.is_part or close.state == "reconciled":
            return
        waiting = self.following.get(fact.pair)
        if waiting is None or URGENCY_RANK[urgency] >= URGENCY_RANK[waiting[0]]:
            self.following[fact.pair] = (urgency, fact)
        numerator, denominator = close.ratio
        out.answer = (
            f"already closing {numerator}/{denominator} of {fact.pair}; "
            f"urgency {raised}; the rest is closed after it"
        )

    def follow(self, close: Close, out: Out) -> None:
        """Close the rest after a part, if the whole was asked for meanwhile.

        Not after a close that a person has withdrawn, or that somebody else has ended.
        """
        wanted = self.following.pop(close.id, None)
        if wanted is not None and close.outcome in ("partial", "dust"):
            self._begin(self.pairs[close.id], *wanted, out)

    def _commanded(self, fact: OperatorCommanded, out: Out) -> None:
        command = fact.command
        alive = [close for close in self.closes.values() if close.state != "reconciled"]
        for close in alive:
            self.touch(close)
        out.answer = command
        if command == "halt":
            # A person's word outlives the halt of an engine that parks: the next start keeps it.
            if not self.env.halted or self.env.halted_by == STOP:
                self.env.halted_by = fact.by
            self.env.halted = True
            out.answer = "halted: nothing is created, what rests is being cancelled"
            for close in alive:
                for leg in close.legs:
                    out.tell(leg, "halt")
        elif command in ("resume", "kill") and self.env.halted_by == STOP:
            out.answer = STOPPING
        elif command == "resume" and fact.target:
            self._resume_venue(fact, out)
        elif command == "resume":
            self.env.halted = False
            out.answer = "resumed"
            self.recheck(out, alive)
        elif command == "kill":
            self.env.halted = False
            self._kill(fact, out)
        elif command == "settle":
            self._settle(fact, out)
        else:
            self._command_closes(fact, alive, out)

    def _kill(self, fact: OperatorCommanded, out: Out) -> None:
        for name, pair in self.pairs.items():
            close = self.closes.get(name)
            held = any(self.holdings[index].qty for index in pair.legs)
            if held or (close is not None and close.state != "reconciled"):
                self._close_requested(CloseRequested(fact.at, name, "KILL", by=fact.by), out)
                self.drain(out)
        self.recheck(out, list(self.closes.values()))
        out.answer = "kill: closing everything"

    def _resume_venue(self, fact: OperatorCommanded, out: Out) -> None:
        """Lift what a venue's refusals have barred; the operator's own halt stays."""
        lane = self.lanes.get(fact.target)
        if lane is None:
            known = ", ".join(sorted(self.lanes))
            out.answer = f"unknown venue {fact.target!r}; known: {known}"
            return
        was = lane.state if lane.state in ("barred", "unready") or not lane.barred else "unfit"
        out.tell(lane, "resumed", fact)
        self.drain(out)
        out.answer = f"{fact.target}: {RESUMED.get(was, 'nothing was barred there')}"
        self.recheck_venue(fact.target, out)

    def _settle(self, fact: OperatorCommanded, out: Out) -> None:
        """Settle an order in doubt, named by its number or by the instrument it stands on."""
        order = self.env.orders.get(fact.order) or self._in_doubt(fact.target)
        if order is None:
            out.answer = f"no order {fact.order or fact.target!r} is in doubt"
            return
        if order.state not in DOUBTS:
            out.answer = f"{order.id} is {order.state}, not in doubt; nothing was changed"
        elif fact.cum is not None and fact.cum > order.qty:
            size = order.instrument.quantity(order.qty)
            out.answer = f"{order.id} is of {size:f}, more cannot have filled; nothing was changed"
            return
        out.tell(order, "settled", fact)

    def _in_doubt(self, instrument: str) -> Order | None:
        for order in self.env.orders.values():
            if order.state in DOUBTS and order.instrument.key == instrument:
                return order
        return None

    def _command_closes(self, fact: OperatorCommanded, alive: list[Close], out: Out) -> None:
        triggers = {
            "retry": "retry_asked",
            "adopt": "adopt",
            "write_off": "write_off",
            "release": "release",
            "cancel": "withdraw",
        }
        trigger = triggers.get(fact.command)
        if fact.command == "cancel" and not fact.target:
            order = self.env.orders.get(fact.order)
            if order is None:
                out.answer = "cancel needs a pair to withdraw or an order to cancel"
            else:
                out.tell(order, "cancel_asked")
            return
        chosen = [close for close in alive if not fact.target or close.id == fact.target]
        if trigger is None:
            out.answer = f"unknown command {fact.command!r}; nothing was done"
            return
        if not chosen:
            out.answer = f"no close of {fact.target or 'any pair'} is alive"
        elif fact.qty is not None:
            refused = self._count(fact, chosen, out)
            if refused:
                out.answer = refused
                return
        for close in chosen:
            out.tell(close, trigger, fact)

    def _count(self, fact: OperatorCommanded, chosen: list[Close], out: Out) -> str:
        """Take a person's word for what is held where the venue shows no positions.

        Returns why that cannot be done, and has changed nothing then.
        """
        if len(chosen) != 1 or chosen[0].state != "frozen" or fact.qty is None:
            return "a quantity is adopted for one frozen close, named by its pair; nothing was done"
        counts: dict[int, int] = {}
        sizes: set[Decimal] = set()
        for leg in chosen[0].legs:
            holding = leg.holding
            if holding.venue.capabilities.position != "unavailable":
                continue
            step = holding.instrument.base(1)
            count = int(fact.qty / step)
            if count * step != fact.qty:
                return f"{leg.id}: {fact.qty:f} is no multiple of {step:f}; nothing was done"
            known = holding.qty + holding.announced
            side = -leg.side if not known else 1 if known > 0 else -1
            counts[leg.instrument.index] = side * count
            sizes.add(abs(holding.instrument.base(known)))
        if not counts:
            return f"{chosen[0].id}: its venues show what is held; adopt it without a quantity"
        if len(sizes) > 1:
            # A leg that nobody doubts must not be recounted to what was said of its sibling.
            both = " and ".join(f"{size:f}" for size in sorted(sizes))
            return f"{chosen[0].id}: its legs are known to hold {both}; adopt it without a quantity"
        for leg in chosen[0].legs:
            if leg.instrument.index in counts:
                out.tell(leg.holding, "counted", counts[leg.instrument.index])
        return ""

    def _order_placed(self, fact: OrderPlaced, out: Out) -> None:
        """Send one plain order that belongs to no ladder; none beside a close that is alive."""
        holding = self.holdings[fact.instrument]
        if holding.owner is not None:
            out.answer = f"{holding.instrument.key} is being closed; no order is placed beside that"
            return
        tif = "IOC" if fact.price is None else "GTC"
        terms = (fact.side, fact.qty, fact.price, fact.at, tif, False, "single", fact.by, 1)
        order = enlist(self.env, holding, None, *terms)
        self.remember_single(order)
        out.commands.append(command_for(order, 0, reduce_only=False, now=fact.at))

    def _command_refused(self, fact: CommandRefused, out: Out) -> None:
        order = self.env.orders.get(fact.order)
        if order is not None:
            text = f"{fact.gate} refused the send of {order.id}"
            out.commands.append(Alarm(fact.at, "gate_refused", order.id, text))
            out.tell(order, "refused", fact)
