"""The close machine: one or two legs taken to flat together, without being naked longer than needed.

Theory of operation. The close fixes the targets from what the venues say (`preparing`), starts its
legs, and from then on is at the rung of its furthest leg. Everything a leg does arrives as
`leg_moved`; the coupling of the legs is the table `JOINT`, keyed by what both legs are doing and
applied until nothing changes. When both legs have ended it asks the venues again (`reconciling`)
and believes only two equal reads taken after the last fill. It ends `reconciled` and nowhere else;
a fill that arrives later opens it again.

It knows no venue, no socket and no clock; money and exposure come from facts.

Invariants
1. A close only goes forward: (round, state) never falls (I8); only `reconciling` may return to
   `market`, and that is a new round, of which there are `residual_rounds_max`.
2. It ends only with no order alive on any leg and venue evidence for every leg (I9).
3. It never trades on the opening side of a leg, whatever the other leg did.
4. Exposure past the budget is always visible: an escalation and an alarm (I10).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from machines.holding import Holding
from machines.leg import Leg, untradeable
from machines.messages import Alarm, Arm, ReadTruth
from machines.policy import pricing
from machines.policy.escalating import existing_rung, first_rung
from machines.policy.gating import below_minimum, floor_to_lot
from machines.policy.reconciling import Judgement, ask_again_after, judge_read
from machines.table import Out, Row, State, Table
from machines.types import (
    AGGRESSIVE,
    MARKET,
    NS,
    PASSIVE,
    URGENCY_RANK,
    PairSettings,
    Urgency,
)

if TYPE_CHECKING:
    from transitions import EventData

    from machines.env import Env

ZERO = Decimal(0)
_ENDED = ("done", "dust")
BILLION = Decimal(NS)


class Close:
    """One close of a pair or of a single position."""

    __slots__ = (
        "adopting", "agreed", "alarmed", "ask_count", "dwell", "dwelling", "dwelling_since",
        "ended_at", "entry_imbalance", "env", "foreign_text", "id", "legs", "naked", "naked_at",
        "naked_base_ns", "naked_max", "naked_since", "naked_usd_ns", "number", "outcome", "ratio",
        "reason", "requested_at", "retired", "rounds", "settings", "spread_waived", "started_at",
        "state", "timers", "uid", "urgency", "usd_rate", "wanted_at", "withdrawing", "written_off",
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
        if len(self.legs) == 2:
            self.legs[0].sibling, self.legs[1].sibling = self.legs[1], self.legs[0]
        for leg in self.legs:
            leg.holding.owner = leg

    def note_state(self, now: int) -> None:
        """Account the time spent in the state that was just left."""
        spent = self.dwell.get(self.dwelling, 0)
        self.dwell[self.dwelling] = spent + now - self.dwelling_since
        self.dwelling = self.state
        self.dwelling_since = now

    # ------------------------------------------------------------ exposure

    def note_exposure(self, out: Out) -> None:
        """Account the naked quantity since the last change and arm the budget's timer.

        Naked is the net base quantity of two legs; a single position has nothing to be naked of.
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
        net = _base_rest(first) + _base_rest(second)
        naked = abs(net)
        if naked and not self.naked:
            self.naked_since = now
        self.naked = naked
        if naked > self.naked_max:
            self.naked_max = naked
        if not naked or self.state in ("preparing", "reconciled"):
            self.timers.pop("budget", None)
            self.usd_rate = ZERO
            return
        self.usd_rate = naked * _mid_base(first)
        left = self.settings.naked_budget_usd_s * BILLION - self.naked_usd_ns
        if self.usd_rate and left > 0 and "naked" not in self.alarmed:
            self.timers["budget"] = due = now + int(left / self.usd_rate) + 1
            out.commands.append(Arm(self.uid, "budget", due))

    def lagging(self) -> Leg | None:
        """The leg with more left to do in base units, None when they are even."""
        if len(self.legs) < 2:
            return None
        first, second = (abs(_base_rest(leg)) for leg in self.legs)
        if first == second:
            return None
        return self.legs[0] if first > second else self.legs[1]

    def lag_of(self, leg: Leg) -> int:
        """By how many units a leg lags its sibling, as far as that could be sent; else 0."""
        sibling = leg.sibling
        per_unit = base_per_unit(leg)
        if sibling is None or not per_unit:
            return leg.remaining
        behind = abs(_base_rest(leg)) - abs(_base_rest(sibling))
        size = floor_to_lot(int(behind / per_unit), leg.instrument) if behind > 0 else 0
        book, exempt = leg.book, leg.instrument.reduce_only_exempt
        return 0 if below_minimum(size, book.bid or book.mark, leg.instrument, exempt) else size

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
        entry = leg.instrument.base_price(own)
        rest = leg.remaining * base_per_unit(leg)
        return pricing.break_even_from_entries(leg.side, entry, rest, fee, realised)


# ---------------------------------------------------------------- arithmetic over facts


def base_per_unit(leg: Leg) -> Decimal:
    """Base quantity of one unit; for an inverse contract at the present mid."""
    instrument = leg.instrument
    if instrument.type == "inverse":
        mid = _mid_base(leg)
        return instrument.base(1) / mid if mid else ZERO
    return instrument.base(1)


def _base_rest(leg: Leg) -> Decimal:
    return leg.rest * base_per_unit(leg)


def _mid_base(leg: Leg) -> Decimal:
    book, instrument = leg.book, leg.instrument
    mid = Decimal(book.bid + book.ask) / 2 if book.bid and book.ask else Decimal(book.mark)
    return instrument.base_price(mid * instrument.tick)


def _average_base(leg: Leg) -> Decimal | None:
    """Average fill price of the leg per base unit; None before a fill or while unknown."""
    value, units = 0, 0
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
    fees = notional = ZERO
    instrument = leg.instrument
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
    total = ZERO
    for order in leg.orders:
        if order.traded:
            price = Decimal(order.value) / order.traded * instrument.tick
            total += instrument.result(-order.side * order.traded, entry, price) - order.fees
    return total


# ---------------------------------------------------------------- reads


def judge(leg: Leg, since: int) -> Judgement:
    """What the newest read of the leg's instrument says, if it was asked at or after `since`."""
    holding = leg.holding
    if holding.read_sent_at < since or not holding.read_at:
        return Judgement("unknown")
    verdict = judge_read(
        believed=holding.qty,
        read_qty=holding.read_qty,
        complete=holding.read_ok,
        sent_at=holding.read_sent_at,
        taken_at=holding.read_taken_at,
        last_fill_at=holding.last_fill_at,
        last_fill_venue_at=holding.last_fill_venue_at,
        read_lag_ns=leg.venue.read_lag_ns,
    )
    if verdict.kind in ("smaller", "larger") and holding.read_equal < 2:
        return Judgement("unknown")
    return verdict


def judge_at_start(leg: Leg, since: int) -> Judgement:
    """As `judge`, but a young read that agreed when it came still counts after fills of our own."""
    holding = leg.holding
    if holding.read_agreed and holding.read_ok and holding.read_sent_at >= since:
        return Judgement("agrees", holding.qty)
    return judge(leg, since)


def _ask(close: Close, out: Out, leg: Leg) -> None:
    out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))


def _is_settled(leg: Leg) -> bool:
    """Nothing tradeable left on the leg, as far as we believe."""
    holding = leg.holding
    rest = leg.rest
    if rest == 0:
        return True
    book = leg.book
    price = (book.ask if rest < 0 else book.bid) or book.mark
    size = floor_to_lot(abs(rest), holding.instrument)
    return (
        below_minimum(size, price, holding.instrument, holding.instrument.reduce_only_exempt) != ""
    )


# ---------------------------------------------------------------- guards: preparing


def truth_is_foreign(e: EventData) -> bool:
    """A venue holds more than we know of, the other side, or orders that are not ours.

    What an operator has told the close to adopt is not foreign while it prepares.
    """
    close = e.model
    if close.adopting:
        return False
    look = judge_at_start if close.state == "preparing" else judge
    for leg in close.legs:
        if leg.holding.foreign or look(leg, close.wanted_at).kind == "larger":
            return True
    return False


def truth_is_missing(e: EventData) -> bool:
    """Not every leg has a complete, usable read that is young enough."""
    close = e.model
    for leg in close.legs:
        if not leg.holding.session.trusted:
            return True
        if judge_at_start(leg, close.wanted_at).kind in ("unknown", "stale"):
            return True
    return False


def nothing_to_close(e: EventData) -> bool:
    """Every leg is explicitly flat at its venue already."""
    close = e.model
    return all(judge_at_start(leg, close.wanted_at).qty == 0 for leg in close.legs)


def starts_passive(e: EventData) -> bool:
    """The urgency's first rung is passive_limit, and it exists."""
    return _first(e.model) == PASSIVE


def starts_aggressive(e: EventData) -> bool:
    """The urgency's first rung is aggressive_limit, and it exists."""
    return _first(e.model) == AGGRESSIVE


def _first(close: Close) -> int:
    return existing_rung(first_rung(close.urgency), close.settings)


# ---------------------------------------------------------------- guards: the ladder


def was_withdrawn(e: EventData) -> bool:
    """The close was withdrawn, nothing has filled, and no order is left."""
    close = e.model
    if not close.withdrawing:
        return False
    return all(leg.state == "idle" for leg in close.legs) and _untouched(close)


def withdrawal_failed(e: EventData) -> bool:
    """Something filled while the close was being withdrawn; it goes on."""
    close = e.model
    if not close.withdrawing or _untouched(close):
        return False
    return all(leg.state == "idle" or leg.ended for leg in close.legs)


def _untouched(close: Close) -> bool:
    return all(leg.holding.qty == leg.start_qty for leg in close.legs)


def all_legs_ended(e: EventData) -> bool:
    """Every leg is done or dust."""
    for leg in e.model.legs:  # noqa: SIM110 - asked on every row; a generator costs thrice as much
        if leg.state not in _ENDED:
            return False
    return True


def a_leg_is_stuck(e: EventData) -> bool:
    """A leg's ladder is exhausted and no other leg is still on its ladder."""
    stuck = False
    for leg in e.model.legs:
        if leg.state == "stuck":
            stuck = True
        elif leg.state not in _ENDED:
            return False
    return stuck


def furthest_is_market(e: EventData) -> bool:
    """The furthest leg is on market."""
    return _furthest(e.model) == MARKET


def furthest_is_aggressive(e: EventData) -> bool:
    """The furthest leg is on aggressive_limit."""
    return _furthest(e.model) == AGGRESSIVE


def _furthest(close: Close) -> int:
    furthest = PASSIVE
    for leg in close.legs:
        if leg.rung > furthest and leg.state not in _ENDED:
            furthest = leg.rung
    return furthest


def may_be_withdrawn(e: EventData) -> bool:
    """Urgency normal, first rung, nothing filled on any leg."""
    close = e.model
    return close.urgency == "normal" and _untouched(close) and not close.withdrawing


# ---------------------------------------------------------------- guards: reconciling


def evidence_is_incomplete(e: EventData) -> bool:
    """Two equal reads of every leg are not there yet, or an order of a leg may still fill."""
    close: Close = e.model
    return min(close.agreed) < 2 or any(order.alive for leg in close.legs for order in leg.orders)


def reads_left_just_now(e: EventData) -> bool:
    """The reads were asked for at this very instant: they see whatever moved."""
    close: Close = e.model
    now: int = e.args[1].now
    return close.wanted_at == now


def was_written_off(e: EventData) -> bool:
    """An operator took over what was left."""
    written_off: bool = e.model.written_off
    return written_off


def rest_is_tradeable(e: EventData) -> bool:
    """The venues agree that something is left which can be traded, and rounds are left."""
    close = e.model
    return _has_rest(close) and close.rounds < close.settings.residual_rounds_max


def rest_exceeds_rounds(e: EventData) -> bool:
    """Something tradeable is left after `residual_rounds_max` rounds."""
    return _has_rest(e.model)


def _has_rest(close: Close) -> bool:
    for leg in close.legs:  # noqa: SIM110 - as above
        if leg.rest and not _is_settled(leg):
            return True
    return False


# ---------------------------------------------------------------- actions


def ask_truth(e: EventData) -> None:
    """Begin to prepare: what is young enough counts, the rest is asked for."""
    close, out = e.model, e.args[1]
    close.wanted_at = out.now - close.settings.truth_max_age_ns
    close.ask_count = 0
    close.timers.clear()
    out.tell(close, "truth")


def ask_missing_truth(e: EventData) -> None:
    """Ask for what is missing or stale: at once the first time, then with back-off."""
    close, out = e.model, e.args[1]
    if close.state == "preparing" and not close.ask_count:
        close.timers["silent"] = due = out.now + close.settings.alarm_after_ns
        out.commands.append(Arm(close.uid, "silent", due))
        repeat_reads(e)
    if "ask" not in close.timers:
        close.timers["ask"] = due = out.now + ask_again_after(close.ask_count)
        close.ask_count += 1
        out.commands.append(Arm(close.uid, "ask", due))


def repeat_reads(e: EventData) -> None:
    """The pause is over: read every leg whose truth is still missing."""
    close, out = e.model, e.args[1]
    for leg, count in zip(close.legs, close.agreed, strict=True):
        if close.state == "reconciling":
            wanted = count < 2
        else:
            wanted = judge_at_start(leg, close.wanted_at).kind in ("unknown", "stale")
        if wanted:
            _ask(close, out, leg)


def fix_targets(e: EventData) -> None:
    """Fix what each leg has to close, as its venue confirmed it, and start the legs."""
    close, out = e.model, e.args[1]
    close.timers.clear()
    close.ask_count = 0
    close.started_at = out.now
    close.adopting = False
    numerator, denominator = close.ratio
    for leg in close.legs:
        holding = leg.holding
        verdict = judge_at_start(leg, close.wanted_at)
        if verdict.kind != "agrees":
            holding.qty = verdict.qty
            holding.entry = holding.read_entry or holding.entry
        keep = 0
        if numerator != denominator:
            part = Fraction(abs(holding.qty) * numerator, denominator)
            lots = int(part) // holding.instrument.lot * holding.instrument.lot
            keep = (abs(holding.qty) - lots) * (1 if holding.qty > 0 else -1)
        leg.fix_target(keep)
    rung = first_rung(close.urgency)
    close.naked_at = out.now
    if len(close.legs) == 2:
        close.entry_imbalance = abs(_base_rest(close.legs[0]) + _base_rest(close.legs[1]))
    for leg in close.legs:
        out.tell(leg, "start", rung)
    close.note_exposure(out)


def end_external(e: EventData) -> None:
    """Both venues are flat already: end without an order."""
    e.model.outcome = "external"
    for leg in e.model.legs:
        leg.holding.qty = 0
        leg.fix_target(0)
    _end(e.model, e.args[1])


def end_withdrawn(e: EventData) -> None:
    """The position is held again, untouched."""
    e.model.outcome = "withdrawn"
    _end(e.model, e.args[1])


def end_reconciled(e: EventData) -> None:
    """Two equal reads per leg: name the outcome and book what cannot be traded as dust."""
    close, out = e.model, e.args[1]
    dusty = False
    for leg in close.legs:
        holding = leg.holding
        rest = leg.rest
        if rest:
            dusty = True
            if holding.dust != rest:
                base = leg.instrument.base(rest)
                value = leg.instrument.notional(
                    abs(rest), _mid_base(leg) * leg.instrument.multiplier
                )
                text = f"{leg.id} {base:f} ({value:.2f}): {untradeable(leg)}"
                out.commands.append(Alarm(out.now, "dust", close.id, text))
        holding.dust = rest
    if close.outcome not in ("external", "withdrawn") or dusty:
        partial = close.ratio[0] != close.ratio[1]
        close.outcome = "dust" if dusty else "partial" if partial else "flat"
    _end(close, out)


def _end(close: Close, out: Out) -> None:
    close.timers.clear()
    close.ended_at = out.now
    close.withdrawing = False
    for leg in close.legs:
        if leg.holding.owner is leg:
            leg.holding.owner = None
    close.note_exposure(out)


def follow_legs(e: EventData) -> None:
    """Account the exposure and apply the joint table until nothing changes."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    if len(close.legs) == 2 and not close.withdrawing:
        apply_joint(close, out)
        for leg in close.legs:
            if leg.balancing and leg.state == "waiting":
                out.tell(leg, "recheck")


def begin_reconciling(e: EventData) -> None:
    """Every leg has ended: ask the venues for what is left."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _read_afresh(close, out)


def begin_again(e: EventData) -> None:
    """A fill arrived after the end: own the positions again and ask the venues."""
    close, out = e.model, e.args[1]
    close.ended_at = 0
    for leg in close.legs:
        if leg.holding.owner is None:
            leg.holding.owner = leg
    close.note_exposure(out)
    _read_afresh(close, out)


def _read_afresh(close: Close, out: Out) -> None:
    close.wanted_at = out.now
    close.ask_count = 0
    close.timers.pop("ask", None)
    close.agreed = [0] * len(close.legs)
    close.timers["silent"] = due = out.now + close.settings.alarm_after_ns
    out.commands.append(Arm(close.uid, "silent", due))
    for leg in close.legs:
        _ask(close, out, leg)


def account(e: EventData) -> None:
    """Account the exposure; nothing else follows."""
    e.model.note_exposure(e.args[1])


def restart_reads(e: EventData) -> None:
    """Something moved while the venues were being read: the reads count for nothing."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _read_afresh(close, out)


def count_read(e: EventData) -> None:
    """Count an agreeing read, adopt a confirmed smaller position, or ask again.

    A read of a venue that is not trusted counts for nothing: its view may lack orders and trades.
    """
    close, leg, out = e.model, e.args[0], e.args[1]
    holding = leg.holding
    verdict = judge(leg, close.wanted_at) if holding.session.trusted else Judgement("unknown")
    number = leg.number
    if verdict.kind == "smaller":
        holding.qty = verdict.qty
        close.agreed[number] = 2
        close.note_exposure(out)
    elif verdict.kind == "agrees":
        close.agreed[number] += 1
        if close.agreed[number] < 2:
            _ask(close, out, leg)
    else:
        ask_missing_truth(e)
        return
    if min(close.agreed) >= 2:
        out.tell(close, "evidence")


def start_round(e: EventData) -> None:
    """Back to the ladder, at market, for exactly what the venues say is left."""
    close, out = e.model, e.args[1]
    close.rounds += 1
    close.timers.clear()
    for leg in close.legs:
        leg.aim()
        if not _is_settled(leg):
            out.tell(leg, "start", MARKET)


def give_up_rounds(e: EventData) -> None:
    """Rounds are used up: leave the rest to the slow retries and call a person."""
    close, out = e.model, e.args[1]
    close.timers.clear()
    for leg in close.legs:
        leg.aim()
        if not _is_settled(leg):
            out.tell(leg, "exhaust")
    _alarm(close, out, "stuck", _naked_text(close))


def raise_stuck(e: EventData) -> None:
    """Say how much is naked and since when; the close stays alive."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _alarm(close, out, "stuck", _naked_text(close))


def freeze(e: EventData) -> None:
    """Foreign activity: hold the legs back and let an operator decide."""
    close, out = e.model, e.args[1]
    close.timers.clear()
    parts = []
    for leg in close.legs:
        out.tell(leg, "hold")
        if leg.holding.foreign or judge(leg, close.wanted_at).kind == "larger":
            base = leg.instrument.base
            read = leg.holding.read_qty
            shown = "unknown" if read is None else f"{base(read):f}"
            parts.append(f"{leg.id}: venue {shown}, known {base(leg.holding.qty):f}")
    _alarm(close, out, "foreign_exposure", "; ".join(parts) or close.foreign_text)


def quarantine(e: EventData) -> None:
    """A bug of ours: create nothing more, cancel what rests, keep applying evidence."""
    close, out = e.model, e.args[1]
    close.timers.clear()
    for leg in close.legs:
        out.tell(leg, "hold")
        for order in leg.orders:
            if order.alive:
                out.tell(order, "cancel_asked")


def cancel_revived(e: EventData) -> None:
    """Nothing is placed by a quarantined close; what turns out to be alive is cancelled."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)


def resume_frozen(e: EventData) -> None:
    """The operator adopts what the venues say: read them anew and close all of it."""
    close, out = e.model, e.args[1]
    close.adopting = True
    close.alarmed.discard("foreign_exposure")
    for leg in close.legs:
        leg.held = False
    ask_truth(e)
    close.wanted_at = out.now


def write_off(e: EventData) -> None:
    """The operator takes the rest over: end without touching it, and let the legs rest."""
    close, out = e.model, e.args[1]
    close.outcome = "external"
    close.written_off = True
    for leg in close.legs:
        out.tell(leg, "hold")
    _end(close, out)


def begin_withdrawal(e: EventData) -> None:
    """Cancel everything and await it; the position is held again."""
    close, out = e.model, e.args[1]
    close.withdrawing = True
    for leg in close.legs:
        out.tell(leg, "hold")


def abandon_withdrawal(e: EventData) -> None:
    """Something filled first: finish what was begun."""
    close, out = e.model, e.args[1]
    close.withdrawing = False
    for leg in close.legs:
        if leg.state == "idle":
            out.tell(leg, "start", AGGRESSIVE)


def raise_urgency(e: EventData) -> None:
    """A second request: higher urgency moves each leg that is below its first rung."""
    close, request, out = e.model, e.args[0], e.args[1]
    urgency, reason = request
    if URGENCY_RANK[urgency] <= URGENCY_RANK[close.urgency]:
        return
    close.urgency = urgency
    close.reason = reason
    if close.withdrawing:
        close.withdrawing = False
    rung = first_rung(urgency)
    for leg in close.legs:
        if leg.held and not leg.ended:
            leg.held = False
        out.tell(leg, "start" if leg.state == "idle" and close.started_at else "escalate", rung)


def escalate_in_order(e: EventData) -> None:
    """The passive time is over: every leg still passive escalates, the lagging one first."""
    close, out = e.model, e.args[1]
    due = [
        leg
        for leg in close.legs
        if leg.rung == PASSIVE and not leg.ended and leg.timers.get("deadline", out.now) <= out.now
    ]
    lagging = close.lagging()
    if lagging in due:
        due.remove(lagging)
        due.insert(0, lagging)
    for leg in due:
        out.tell(leg, "escalate", AGGRESSIVE)


def spend_budget(e: EventData) -> None:
    """The exposure budget is spent: alarm, and the lagging leg goes one rung up."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _alarm(close, out, "naked", _naked_text(close))
    leg = close.lagging()
    if leg is None or leg.sibling is None or leg.ended:
        return
    leg.balancing = True
    out.tell(leg, "escalate", min(leg.rung + 1, MARKET))


def call_person(e: EventData) -> None:
    """A venue has been silent for `alarm_after_s`: say which, once."""
    close, out = e.model, e.args[1]
    for leg in close.legs:
        if close.state == "preparing":
            missing = judge_at_start(leg, close.wanted_at).kind in ("unknown", "stale")
        else:
            missing = close.agreed[leg.number] < 2
        if missing:
            _alarm(close, out, "venue_degraded", f"{leg.venue.name}: no usable read of {leg.id}")


def retry_stuck(e: EventData) -> None:
    """An operator asks for another try, now."""
    close, out = e.model, e.args[1]
    for leg in close.legs:
        out.tell(leg, "retry_asked")


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _alarm(close: Close, out: Out, kind: str, text: str) -> None:
    if kind not in close.alarmed:
        close.alarmed.add(kind)
        since = close.naked_since if kind in ("naked", "stuck") else 0
        out.commands.append(Alarm(out.now, kind, close.id, text, since))


def _naked_text(close: Close) -> str:
    legs = ", ".join(
        f"{leg.id} {leg.instrument.base(leg.rest):f}" for leg in close.legs if leg.rest
    )
    return f"open: {legs or 'nothing'}; naked {close.naked:f}"


# ---------------------------------------------------------------- the two legs together


class Joint(NamedTuple):
    """A joint rule: what leg `a` and leg `b` are doing, and the rung that `b` must reach."""

    a: str
    b: str
    rung: int
    why: str


def phase(leg: Leg) -> str:
    """What a leg is doing, in the words of the joint table.

    A leg that had nothing to close when it started is `absent`: its sibling closes alone.
    """
    if leg.liquidated:
        return "liquidated"
    if leg.ended:
        return "ended" if leg.start_qty != leg.keep else "absent"
    if leg.state == "stuck":
        return "market"
    return ("passive", "aggressive", "market", "market")[max(leg.rung, leg.next_rung)]


JOINT = (
    Joint("ended", "passive", AGGRESSIVE, "one leg is closed: the other hedges at once"),
    Joint("liquidated", "passive", MARKET, "the venue closed one leg: the other goes to market"),
    Joint("liquidated", "aggressive", MARKET, "the venue closed one leg: the other goes to market"),
)
_JOINT: dict[tuple[str, str], int] = {(row.a, row.b): row.rung for row in JOINT}


def apply_joint(close: Close, out: Out) -> None:
    """Tell each leg the rung that the joint table asks of it; idempotent, so a fixpoint."""
    first, second = close.legs
    for leg, other in ((first, second), (second, first)):
        rung = _JOINT.get((phase(other), phase(leg)))
        if rung is not None and leg.state != "idle":
            out.tell(leg, "escalate", rung)


# ---------------------------------------------------------------- table

STATES = (
    State("preparing", "reading positions and orders; targets not fixed yet",
        "ask: 0.25 s to 5 s; silent: alarm_after_s"),
    State("passive_limit", "no leg is beyond its passive rung", unbounded="the legs' own deadlines"),
    State("aggressive_limit", "the furthest leg is on aggressive_limit",
        unbounded="the legs' own deadlines"),
    State("market", "the furthest leg is on market", unbounded="the legs' own attempts"),
    State("reconciling", "every leg has ended; two equal reads of the venues are awaited",
        "ask: 0.25 s to 5 s; silent: alarm_after_s"),
    State("reconciled", "ended: flat, dust, partial, external or withdrawn", terminal=True),
    State("stuck", "a leg's ladder is exhausted; retried, a person is called",
        unbounded="each stuck leg retries every stuck_retry_s"),
    State("frozen", "foreign activity; an operator decides", unbounded="only an operator ends it"),
    State("quarantined", "our own bug; nothing is created", unbounded="only an operator ends it"),
)  # fmt: skip

_LADDER = ("passive_limit", "aggressive_limit", "market")
_RUN = (*_LADDER, "stuck")
_LIVE = ("preparing", *_RUN, "reconciling")
_ALL = (*_LIVE, "reconciled", "frozen", "quarantined")

ROWS = (
    # trigger           source              dest                guard                   actions
    # -- preparing
    Row("truth",        "preparing",        None,               truth_is_missing,       (ask_missing_truth,),
        "a missing snapshot is unknown, never zero"),
    Row("truth",        "preparing",        "frozen",           truth_is_foreign,       (freeze,),
        "foreign activity: an operator decides"),
    Row("truth",        "preparing",        "reconciled",       nothing_to_close,       (end_external,),
        "the venues are flat already"),
    Row("truth",        "preparing",        "passive_limit",    starts_passive,         (fix_targets,),
        "both venues are known: targets are fixed, the legs start"),
    Row("truth",        "preparing",        "aggressive_limit", starts_aggressive,      (fix_targets,),
        "both venues are known: targets are fixed, the legs start"),
    Row("truth",        "preparing",        "market",           None,                   (fix_targets,),
        "both venues are known: targets are fixed, the legs start"),
    Row("truth",        (*_RUN, "reconciled", "frozen", "quarantined"), None, None,     (ignore,)),
    Row("leg_moved",    ("preparing", "frozen"), None,          None,                   (ignore,)),
    # -- the ladder
    Row("leg_moved",    "passive_limit",    "reconciled",       was_withdrawn,          (end_withdrawn,)),
    Row("leg_moved",    "passive_limit",    "aggressive_limit", withdrawal_failed,      (abandon_withdrawal,)),
    Row("leg_moved",    _RUN,               "reconciling",      all_legs_ended,         (begin_reconciling,),
        "every leg has ended: the venues are asked for what is left"),
    Row("leg_moved",    "stuck",            None,               a_leg_is_stuck,         (follow_legs,)),
    Row("leg_moved",    _LADDER,            "stuck",            a_leg_is_stuck,         (raise_stuck,),
        "alive and retried, never reported as finished"),
    Row("leg_moved",    ("passive_limit", "aggressive_limit", "stuck"), "market", furthest_is_market, (follow_legs,),
        "the furthest leg went there"),
    Row("leg_moved",    "passive_limit",    "aggressive_limit", furthest_is_aggressive, (follow_legs,),
        "the furthest leg went there"),
    Row("leg_moved",    _RUN,               None,               None,                   (follow_legs,)),
    Row("passive_over", _LADDER,            None,               None,                   (escalate_in_order,)),
    Row("passive_over", ("preparing", "reconciling", "reconciled", "stuck", "frozen", "quarantined"), None, None, (ignore,)),
    Row("budget",       _RUN,               None,               None,                   (spend_budget,)),
    Row("budget",       ("preparing", "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,)),
    # -- asked again
    Row("asked_again",  ("preparing", *_RUN), None,             None,                   (raise_urgency,),
        "one owner per position: a second request can only raise the urgency"),
    Row("asked_again",  ("reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,)),
    Row("withdraw",     "passive_limit",    None,               may_be_withdrawn,       (begin_withdrawal,)),
    Row("withdraw",     "preparing",        "reconciled",       None,                   (end_withdrawn,)),
    Row("withdraw",     (*_RUN, "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        "later than the first rung, or after a fill, a close cannot be withdrawn"),
    # -- reconciling
    Row("truth",        "reconciling",      "frozen",           truth_is_foreign,       (freeze,),
        "foreign activity: an operator decides"),
    Row("truth",        "reconciling",      None,               None,                   (count_read,)),
    Row("evidence",     "reconciling",      None,               evidence_is_incomplete, (ignore,)),
    Row("evidence",     "reconciling",      "market",           rest_is_tradeable,      (start_round,),
        "the venues agree that something tradeable is left"),
    Row("evidence",     "reconciling",      "stuck",            rest_exceeds_rounds,    (give_up_rounds,),
        "the rounds are used up and something is left"),
    Row("evidence",     "reconciling",      "reconciled",       None,                   (end_reconciled,),
        "two equal reads of every venue confirm it"),
    Row("evidence",     ("preparing", *_RUN, "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        "one read of both legs says it twice; the first has settled it"),
    Row("leg_moved",    "reconciling",      None,               reads_left_just_now,    (account,),
        "asking twice in one instant would pass for two reads"),
    Row("leg_moved",    "reconciling",      None,               None,                   (restart_reads,),
        "a fill or a revived order while the venues were being read"),
    Row("leg_moved",    "reconciled",       None,               was_written_off,        (ignore,),
        "what an operator has taken over is not ours to close"),
    Row("leg_moved",    "reconciled",       "reconciling",      None,                   (begin_again,),
        "a fill after the end opens it again", late=True),
    Row("ask",          ("preparing", "reconciling"), None,     None,                   (repeat_reads,)),
    Row("silent",       ("preparing", "reconciling"), None,     None,                   (call_person,)),
    # -- people and bugs
    Row("retry_asked",  ("stuck", "market"), None,              None,                   (retry_stuck,)),
    Row("retry_asked",  ("preparing", "passive_limit", "aggressive_limit", "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,)),
    Row("foreign",      _LIVE,              "frozen",           None,                   (freeze,)),
    Row("foreign",      ("reconciled", "frozen", "quarantined"), None, None,            (ignore,)),
    Row("adopt",        "frozen",           "preparing",        None,                   (resume_frozen,)),
    Row("adopt",        (*_LIVE, "reconciled", "quarantined"), None, None,              (ignore,)),
    Row("write_off",    ("frozen", "stuck", "quarantined"), "reconciled", None,         (write_off,)),
    Row("write_off",    ("preparing", *_LADDER, "reconciling", "reconciled"), None, None, (ignore,)),
    Row("break",        _LIVE,              "quarantined",      None,                   (quarantine,)),
    Row("break",        ("reconciled", "frozen"), "quarantined", None,                  (quarantine,), late=True),
    Row("break",        "quarantined",      None,               None,                   (ignore,)),
    Row("leg_moved",    "quarantined",      None,               None,                   (cancel_revived,)),
    Row("release",      "quarantined",      "preparing",        None,                   (resume_frozen,)),
    Row("release",      (*_LIVE, "reconciled", "frozen"), None, None,                   (ignore,)),
    # -- a new process
    Row("restarted",    "preparing",        None,               None,                   (ask_truth,)),
    Row("restarted",    "reconciling",      None,               None,                   (restart_reads,)),
    Row("restarted",    (*_RUN, "reconciled", "frozen", "quarantined"), None, None,     (ignore,)),
)  # fmt: skip

TABLE = Table("close", STATES, ROWS, "preparing", Close)
