"""What a close knows, and its arithmetic over facts: exposure, break-even, realised result.

Money is `Decimal` in quote currency. It decides nothing by itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from machines.leg_model import Leg
from machines.messages import (
    Arm,
)
from machines.policy import pricing
from machines.policy.gating import below_minimum, floor_to_lot
from machines.table import Out
from machines.types import (
    NS,
    PairSettings,
    Urgency,
)

if TYPE_CHECKING:
    from machines.env import Env
    from machines.holding_model import Holding
    from machines.leg_model import Leg


ZERO = Decimal(0)
BILLION = Decimal(NS)
_LIVENESS = "liveness"
#: Of the bound B: 10 s for what was missed to be read, and three pauses of 5 s between questions.
_READS_AND_PAUSES_NS = 25 * NS


class Close:
    """One close of a pair or of a single position."""

    __slots__ = (
        "adopting", "agreed", "alarmed", "ask_count", "dwell", "dwelling", "dwelling_since",
        "ended_at", "entry_imbalance", "env", "foreign_text", "id", "legs", "meddled", "naked",
        "naked_at", "naked_base_ns", "naked_max", "naked_since", "naked_usd_ns", "number",
        "outcome", "parted", "ratio", "reason", "requested_at", "retired", "rounds", "settings",
        "spread_waived", "started_at", "state", "timers", "uid", "urgency", "usd_rate", "wanted_at",
        "withdrawing", "written_off",
    )  # fmt: skip

    def __init__(
        self,
        pair: PairSettings,
        number: int,
        holdings: list[Holding],
        env: Env,
        reason: str,
        urgency: Urgency,
        ratio: tuple[int, int],
        now: int,
    ) -> None:
        self.id = pair.name
        self.number = number
        self.settings = pair.close
        self.env = env
        self.uid = env.enlist(self)
        self.state = self.dwelling = "preparing"
        self.dwelling_since = now
        self.dwell: dict[str, int] = {}
        self.reason = reason
        self.urgency: Urgency = urgency
        self.ratio = ratio
        self.requested_at = now
        self.started_at = 0
        self.ended_at = 0
        self.outcome = ""
        self.timers: dict[str, int] = {}
        self.spread_waived = False
        self.withdrawing = False
        self.adopting = False
        self.written_off = False
        #: Frozen for what somebody else is known to have done: only a person decides.
        self.meddled = False
        #: It has waited for a venue for as long as it may, and that venue is not back yet.
        self.parted = False
        self.rounds = 0
        self.wanted_at = now - pair.close.truth_max_age_ns
        self.ask_count = 0
        self.agreed: list[int] = [0] * len(holdings)
        self.retired = False
        self.alarmed: set[str] = set()
        self.foreign_text = ""
        self.naked = ZERO
        self.naked_at = now
        self.naked_since = now
        self.naked_base_ns = ZERO
        self.naked_usd_ns = ZERO
        self.naked_max = ZERO
        self.usd_rate = ZERO
        self.entry_imbalance = ZERO
        self.legs = tuple(
            Leg(self, number, holding, env) for number, holding in enumerate(holdings)
        )
        #: When it is late to be alive still: the bound B of reliability/invariants.md, section 3.
        self.timers[_LIVENESS] = now + self.liveness_ns
        if len(self.legs) == 2:
            self.legs[0].sibling, self.legs[1].sibling = self.legs[1], self.legs[0]
        for leg in self.legs:
            leg.holding.owner = leg.holding.latest = leg

    def note_state(self, now: int) -> None:
        """Account the time spent in the state that was just left."""
        spent = self.dwell.get(self.dwelling, 0)
        self.dwell[self.dwelling] = spent + now - self.dwelling_since
        self.dwelling = self.state
        self.dwelling_since = now

    @property
    def liveness_ns(self) -> int:
        """How long the ladder takes at the most where every venue answers, for the slower venue."""
        settings = self.settings
        rungs = settings.passive_limit.timeout_ns + settings.aggressive_limit.timeout_ns
        rungs += settings.market.attempts_max * settings.market.attempt_timeout_ns
        waits = settings.spread_wait_ns + settings.stuck_retry_ns + settings.hold_together_ns
        answers = 2 * max(leg.venue.answer_bound_ns for leg in self.legs)
        return rungs + 3 * settings.cancel_timeout_ns + waits + answers + _READS_AND_PAUSES_NS

    def clear_timers(self) -> None:
        """Stop what runs; but whoever lives for too long is told of in every state."""
        due = self.timers.get(_LIVENESS)
        self.timers.clear()
        if due is not None:
            self.timers[_LIVENESS] = due

    @property
    def reached(self) -> int:
        """The furthest rung that a leg of this close has stood on."""
        return max(leg.rung for leg in self.legs)

    @property
    def is_part(self) -> bool:
        """Whether only a part of what is held is to be closed."""
        return self.ratio[0] != self.ratio[1]

    def level(self) -> None:
        """Keep a pair even where somebody took more of a leg than its part.

        What is missing of one leg below what was to stay is closed of the other as well.
        """
        if not self.is_part or len(self.legs) < 2 or not self.started_at:
            return
        for leg in self.legs:
            qty, sibling = leg.holding.qty, leg.sibling
            missing = abs(leg.keep) - abs(qty) if leg.keep * qty >= 0 else abs(leg.keep)
            if sibling is None or missing <= 0:
                continue
            leg.keep = qty if leg.keep * qty > 0 else 0
            per_unit = base_per_unit(sibling)
            if not per_unit:
                continue
            lot = sibling.instrument.lot
            less = int(missing * base_per_unit(leg) / per_unit) // lot * lot
            stays = max(abs(sibling.keep) - less, 0)
            sibling.keep = stays if sibling.keep > 0 else -stays

    @property
    def waits_together(self) -> bool:
        """Whether the pair waits together for a venue that cannot trade: its time is running."""
        return "together" in self.timers

    # ------------------------------------------------------------ exposure

    def note_exposure(self, out: Out, *, starting: bool = False) -> None:
        """Account the naked quantity since the last change and arm the budget's timer.

        Naked is the net base quantity of two legs; a single position has nothing to be naked of.
        The budget is counted since the pair was last balanced within one lot.
        """
        if len(self.legs) < 2:
            return
        now = out.now
        elapsed = now - self.naked_at
        if elapsed and self.naked:
            self.naked_base_ns += self.naked * elapsed
            self.naked_usd_ns += self.usd_rate * elapsed
        self.naked_at = now
        first, second = self.legs
        net = base_rest(first) + base_rest(second)
        naked = abs(net)
        if naked and not self.naked:
            self.naked_since = now
        balanced = not naked or naked <= max(map(_lot_base, self.legs))
        if balanced:
            self.naked_usd_ns = ZERO
            self.alarmed.discard("naked")
        self.naked = naked
        if naked > self.naked_max:
            self.naked_max = naked
        if balanced or (self.state in ("preparing", "reconciled") and not starting):
            self.timers.pop("budget", None)
            self.usd_rate = ZERO
            return
        self.usd_rate = naked * mid_base(first)
        left = self.settings.naked_budget_usd_s * BILLION - self.naked_usd_ns
        if self.usd_rate and left > 0 and "naked" not in self.alarmed:
            self.timers["budget"] = due = now + int(left / self.usd_rate) + 1
            out.commands.append(Arm(self.uid, "budget", due))

    def lagging(self) -> Leg | None:
        """The leg with more left to do in base units, None when they are even."""
        if len(self.legs) < 2:
            return None
        first, second = (abs(base_rest(leg)) for leg in self.legs)
        if first == second:
            return None
        return self.legs[0] if first > second else self.legs[1]

    def lag_of(self, leg: Leg) -> int:
        """By how many units a leg lags its sibling, as far as that could be sent; else 0."""
        sibling = leg.sibling
        per_unit = base_per_unit(leg)
        if sibling is None or not per_unit:
            return leg.remaining
        behind = abs(base_rest(leg)) - abs(base_rest(sibling))
        size = floor_to_lot(int(behind / per_unit), leg.instrument) if behind > 0 else 0
        touch, exempt = leg.book.touch(leg.side), leg.instrument.reduce_only_exempt
        return 0 if below_minimum(size, touch, leg.instrument, exempt) else size

    def behind(self, leg: Leg) -> int:
        """By how many units the fills of a leg lag those of its sibling in this close; else 0."""
        sibling = leg.sibling
        per_unit = base_per_unit(leg)
        if sibling is None or not per_unit:
            return leg.remaining
        lag = _done_base(sibling) - _done_base(leg)
        size = floor_to_lot(int(lag / per_unit), leg.instrument) if lag > 0 else 0
        touch, exempt = leg.book.touch(leg.side), leg.instrument.reduce_only_exempt
        return 0 if below_minimum(size, touch, leg.instrument, exempt) else size

    def break_even_base(self, leg: Leg) -> Decimal | None:
        """Price per base unit at which the pair's realised result is zero, None if unknown.

        With both entries known it is solved over both legs' fills and fees; otherwise it is the
        sibling's average fill adjusted by both fees.
        """
        sibling = leg.sibling
        if sibling is None or not sibling.ended:
            return None
        average = _average_base(sibling)
        if average is None:
            return None
        own, other = leg.holding.entry, sibling.holding.entry
        fee = leg.instrument.taker_fee_bps
        if own is None or other is None:
            sibling_fee = _paid_bps(sibling)
            return pricing.break_even_from_sibling(leg.side, average, sibling_fee, fee)
        realised = ZERO
        for each in self.legs:
            realised += _realised(each)
        instrument = leg.instrument
        if instrument.type == "inverse":
            value = instrument.base(leg.remaining)
            return pricing.break_even_inverse(leg.side, own, value, fee, realised)
        entry = instrument.base_price(own)
        rest = instrument.base(leg.remaining)
        return pricing.break_even_from_entries(leg.side, entry, rest, fee, realised)


def shown(quantity: Decimal) -> Decimal:
    """A base quantity for people: what a division has left beyond the eighth digit is rounded."""
    exponent = quantity.as_tuple().exponent
    return round(quantity, 8) if isinstance(exponent, int) and exponent < -8 else quantity


def base_per_unit(leg: Leg) -> Decimal:
    """Base quantity of one unit; for an inverse contract at the present mid."""
    instrument = leg.instrument
    if instrument.type == "inverse":
        mid = mid_base(leg)
        return instrument.base(1) / mid if mid else ZERO
    return instrument.base(1)


def _done_base(leg: Leg) -> Decimal:
    """Base quantity of its target that the leg has closed."""
    return (abs(leg.start_qty - leg.keep) - abs(leg.rest)) * base_per_unit(leg)


def _lot_base(leg: Leg) -> Decimal:
    return leg.instrument.lot * base_per_unit(leg)


def base_rest(leg: Leg) -> Decimal:
    return leg.rest * base_per_unit(leg)


def mid_base(leg: Leg) -> Decimal:
    book, instrument = leg.book, leg.instrument
    mid = Decimal(book.bid + book.ask) / 2 if book.bid and book.ask else Decimal(book.mark)
    return instrument.base_price(mid * instrument.tick)


def _average_base(leg: Leg) -> Decimal | None:
    """Average fill price of the leg per base unit; None before a fill or while unknown."""
    if leg.taken_priced != leg.taken_units:
        return None
    value, units = abs(leg.taken_value), abs(leg.taken_units)
    for order in leg.orders:
        if order.cum and order.traded != order.cum:
            return None
        value += order.value
        units += order.traded
    if not units:
        return None
    return leg.instrument.base_price(Decimal(value) / units * leg.instrument.tick)


def _paid_bps(leg: Leg) -> Decimal:
    """Fee rate the leg really paid, in bps of its traded value."""
    fees, notional = leg.taken_fees, ZERO
    instrument = leg.instrument
    if leg.taken_priced:
        notional = instrument.notional(abs(leg.taken_priced), _taken_price(leg))
    for order in leg.orders:
        if order.traded:
            fees += order.fees
            price = Decimal(order.value) / order.traded * instrument.tick
            notional += instrument.notional(order.traded, price)
    return fees * 10_000 / notional if notional else ZERO


def _realised(leg: Leg) -> Decimal:
    """What the leg's fills earned against its entry, less the fees paid, in quote currency."""
    entry = leg.holding.entry or ZERO
    instrument = leg.instrument
    total = -leg.taken_fees
    if leg.taken_priced:
        total += instrument.result(-leg.taken_priced, entry, _taken_price(leg))
    for order in leg.orders:
        if order.traded:
            price = Decimal(order.value) / order.traded * instrument.tick
            cost = order.entry or entry
            total += instrument.result(-order.side * order.traded, cost, price) - order.fees
    return total


def _taken_price(leg: Leg) -> Decimal:
    """Average price of what the venue closed by itself, in its own quote."""
    return Decimal(leg.taken_value) / leg.taken_priced * leg.instrument.tick
