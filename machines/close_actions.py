"""The close's actions: what a row that was taken appends; none chooses the next state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.close_guards import (
    is_known_at_start,
    is_proved,
    is_settled,
    starting_rung,
    waits_until,
)
from machines.close_model import base_rest, mid_base, shown
from machines.close_reading import ask_truth
from machines.holding_model import trouble_of
from machines.holding_moves import UNEXPLAINED
from machines.joint import apply_joint
from machines.leg_model import ON_RUNG, exceeds_lag, is_cut_off, outage_since, untradeable
from machines.messages import (
    Alarm,
    Arm,
)
from machines.part import kept, problem
from machines.policy.escalating import first_rung
from machines.table import Out
from machines.types import (
    AGGRESSIVE,
    MARKET,
    NS,
    PASSIVE,
    URGENCY_RANK,
)

if TYPE_CHECKING:
    from transitions import EventData

    from machines.close_model import Close
    from machines.leg_model import Leg


def fix_targets(e: EventData) -> None:
    """Fix what each leg has to close, as its venue confirmed it, and start the legs."""
    close, out = e.model, e.args[1]
    close.clear_timers()
    close.ask_count = 0
    again = close.started_at > 0
    close.started_at = out.now
    close.withdrawing = False
    for leg in close.legs:
        if close.adopting:
            _adopt(leg, out)
    close.adopting = False
    refused = "" if again or not close.is_part else _part_problem(close)
    for leg in close.legs:
        if refused:
            leg.fix_target(leg.holding.qty)
        else:
            # What stays of a part was fixed once; adopting does not take the part again.
            leg.fix_target(leg.keep if again else kept(leg.holding, close.ratio))
    if refused:
        out.commands.append(Alarm(out.now, "dust", close.id, f"{refused}; nothing is closed"))
    rung = starting_rung(close)
    close.parted = False
    close.naked_at = out.now
    if len(close.legs) == 2:
        close.entry_imbalance = abs(base_rest(close.legs[0]) + base_rest(close.legs[1]))
        # Before the legs start: a venue may be away already.
        out.tell(close, "venue_moved")
    for leg in close.legs:
        out.tell(leg, "start", max(rung, AGGRESSIVE) if _is_alone(leg) else rung)
    if any(leg.liquidated for leg in close.legs):
        # The joint table sends the other leg to market.
        out.tell(close, "leg_moved", close.legs[0])
    close.note_exposure(out, starting=True)


def _part_problem(close: Close) -> str:
    return problem((leg.holding for leg in close.legs), close.ratio)


def _adopt(leg: Leg, out: Out) -> None:
    """Make ours whatever the venue shows: an operator said so."""
    holding = leg.holding
    if holding.read_qty != holding.qty or holding.unowned:
        holding.entry = holding.read_entry or holding.entry
    holding.accept(holding.read_qty or 0)
    holding.declared_at = max(holding.declared_at, holding.read_taken_at)
    out.tell(holding, "adopted")


def _is_alone(leg: Leg) -> bool:
    """Whether the other leg has nothing to close, so that this one is naked from the first moment.

    What the venue took of the other leg has a joint rule of its own.
    """
    sibling = leg.sibling
    return sibling is not None and is_settled(sibling) and not sibling.liquidated


def end_external(e: EventData) -> None:
    """Both venues are flat already: end without an order."""
    close, out = e.model, e.args[1]
    close.outcome = "external"
    for leg in close.legs:
        if close.adopting:
            _adopt(leg, out)
        leg.fix_target(0)
    _end(close, out)


def end_closed_by_others(e: EventData) -> None:
    """Somebody else has closed what was frozen: nothing is left to decide."""
    e.model.outcome = "external"
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
                    abs(rest), mid_base(leg) * leg.instrument.multiplier
                )
                why = untradeable(leg).replace("_", " ")
                text = f"{leg.id} {base:f} worth {value:.2f} cannot be traded: {why}"
                out.commands.append(Alarm(out.now, "dust", close.id, text))
        holding.dust = rest
    close.outcome = "dust" if dusty else "partial" if close.is_part else "flat"
    _end(close, out)


def _end(close: Close, out: Out) -> None:
    """Let the positions go; a leg that has not ended rests from now on, without timer or retry."""
    close.timers.clear()
    close.ended_at = out.now
    close.withdrawing = False
    for leg in close.legs:
        leg.filled_at_end = leg.holding.filled
        if leg.holding.owner is leg:
            leg.holding.owner = None
        if leg.state != "idle" and not leg.ended:
            out.tell(leg, "hold")
    close.note_exposure(out)


def follow_legs(e: EventData) -> None:
    """Account the exposure and apply the joint table until nothing changes."""
    close, out = e.model, e.args[1]
    close.level()
    close.note_exposure(out)
    if len(close.legs) == 2 and not close.withdrawing:
        apply_joint(close, out)
        for leg in close.legs:
            if leg.state == "waiting" and (leg.balancing or close.waits_together):
                out.tell(leg, "recheck")
            elif close.waits_together and leg.state in ON_RUNG and exceeds_lag(leg, out.now):
                out.tell(leg, "stand_by")


def hold_together(e: EventData) -> None:
    """Keep the hedge while a venue cannot trade, `hold_together_s` for each outage: tell a person.

    Told anew whenever who can trade has changed: an order that was fine beside a venue that was
    away may be the one that un-hedges the pair now.
    """
    close, out = e.model, e.args[1]
    due = waits_until(close, out.now)
    if close.timers.get("together") != due:
        _arm(close, out, "together", due)
    untold = []
    for leg in close.legs:
        if is_cut_off(leg, out.now) and leg.outage_told != outage_since(leg):
            leg.outage_told = outage_since(leg)
            untold.append(leg.id)
    if untold:
        seconds = max(due - out.now, 0) // NS
        text = f"{', '.join(untold)} cannot trade; both legs wait for it, for {seconds} s at most"
        out.commands.append(Alarm(out.now, "venue_degraded", close.id, text))
    for leg in close.legs:
        out.tell(leg, "stand_by")
    watch_venues(e)


def watch_venues(e: EventData) -> None:
    """Look again when a venue that is not trusted has been away for `alarm_after_s`."""
    close, out = e.model, e.args[1]
    for leg in close.legs:
        session = leg.holding.session
        if not session.trusted and len(close.legs) > 1:
            due = session.untrusted_since + close.settings.alarm_after_ns
            if due > out.now:
                _arm(close, out, "away", due)


def come_back(e: EventData) -> None:
    """Every venue can trade: nobody waits any more, and the next outage counts anew."""
    e.model.parted = False
    come_apart(e)


def part(e: EventData) -> None:
    """The pair has waited for as long as it may: each leg goes on by itself."""
    e.model.parted = True
    for leg in e.model.legs:
        e.args[1].tell(leg, "carry_on")


def come_apart(e: EventData) -> None:
    """The pair waits together no more: what is left of the rungs' times runs on."""
    close, out = e.model, e.args[1]
    close.timers.pop("away", None)
    if close.timers.pop("together", None) is not None:
        for leg in close.legs:
            out.tell(leg, "carry_on")


def start_idle_legs(e: EventData) -> None:
    """Start what stands idle where the close is: its first row says whether anything is left."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    for leg in close.legs:
        if leg.state == "idle":
            out.tell(leg, "start", close.reached)


def start_round(e: EventData) -> None:
    """Back to the ladder, at market, for exactly what the venues say is left."""
    close, out = e.model, e.args[1]
    close.rounds += 1
    close.clear_timers()
    for leg in close.legs:
        leg.aim()
        if leg.state == "idle" or not is_settled(leg):
            out.tell(leg, "start", MARKET)


def give_up_rounds(e: EventData) -> None:
    """Rounds are used up: leave the rest to the slow retries and call a person."""
    close, out = e.model, e.args[1]
    close.clear_timers()
    for leg in close.legs:
        leg.aim()
        if leg.state == "idle" or not is_settled(leg):
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
    close.clear_timers()
    close.meddled = e.args[0] != UNEXPLAINED
    parts = []
    for leg in close.legs:
        out.tell(leg, "hold")
        holding = leg.holding
        if holding.foreign or holding.unowned:
            base = leg.instrument.base
            read = holding.read_qty
            shown = "unknown" if read is None else f"{base(read):f}"
            parts.append(f"{leg.id}: venue {shown}, known {base(holding.owned):f}")
    _alarm(close, out, "foreign_exposure", "; ".join(parts) or close.foreign_text)


def note_meddling(e: EventData) -> None:
    """Somebody else has done something while it is frozen: no explanation thaws it any more."""
    if e.args[0] != UNEXPLAINED:
        e.model.meddled = True


def thaw(e: EventData) -> None:
    """The venue did what nothing explained: prepare anew and go on, as after a liquidation."""
    close, out = e.model, e.args[1]
    close.alarmed.discard("foreign_exposure")
    ask_truth(e)
    close.wanted_at = out.now


def quarantine(e: EventData) -> None:
    """A bug of ours: create nothing more, cancel what rests, keep applying evidence."""
    close, out = e.model, e.args[1]
    close.clear_timers()
    for leg in close.legs:
        for order in leg.orders:
            if order.alive:
                out.tell(order, "cancel_asked")
    for leg in close.legs:
        out.tell(leg, "hold")


def resume_frozen(e: EventData) -> None:
    """The operator adopts what the venues say: read them anew and close all of it.

    The legs stay held until everything is known and the close starts them.
    """
    close, out = e.model, e.args[1]
    close.adopting = True
    close.alarmed.discard("foreign_exposure")
    ask_truth(e)
    close.wanted_at = out.now


def write_off(e: EventData) -> None:
    """The operator takes the rest over: end without touching it, and let the legs rest."""
    close, out = e.model, e.args[1]
    close.outcome = "external"
    close.written_off = True
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


def note_urgency(e: EventData) -> None:
    """Keep the higher urgency for the start, or for what follows; the legs are not touched."""
    close = e.model
    urgency, _reason = e.args[0]
    if URGENCY_RANK[urgency] > URGENCY_RANK[close.urgency]:
        close.urgency = urgency


def raise_urgency(e: EventData) -> None:
    """A second request: higher urgency moves each leg that is below its first rung.

    Asked for while it is being withdrawn, the close goes on: the last word counts.
    """
    close, request, out = e.model, e.args[0], e.args[1]
    urgency, _reason = request
    higher = URGENCY_RANK[urgency] > URGENCY_RANK[close.urgency]
    if not higher and not close.withdrawing:
        return
    if higher:
        close.urgency = urgency
        come_apart(e)
    rung = first_rung(close.urgency)
    for leg in close.legs:
        if close.withdrawing and not leg.ended:
            leg.held = False
        out.tell(leg, "start" if leg.state == "idle" else "escalate", rung)
        if leg.state == "waiting":
            out.tell(leg, "recheck")
    close.withdrawing = False


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
    """A venue has been silent for `alarm_after_s`: say which, once.

    Of one that is not trusted, its session has told already, and of an order in doubt, that order.
    """
    close, out = e.model, e.args[1]
    for leg in close.legs:
        found = is_known_at_start(leg) if close.state == "preparing" else is_proved(leg)
        if not found and leg.holding.session.trusted and not leg.holding.orders:
            text = f"{leg.venue.name}: {trouble_of(leg.holding, close.wanted_at)}"
            _alarm(close, out, "venue_degraded", text)


def raise_liveness(e: EventData) -> None:
    """It should have ended by now: say where it stands, once."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    seconds = close.liveness_ns // NS
    text = f"not ended after {seconds} s, {close.state}; {_naked_text(close)}"
    _alarm(close, out, "liveness", text)


def retry_stuck(e: EventData) -> None:
    """An operator asks for another try, now."""
    close, out = e.model, e.args[1]
    for leg in close.legs:
        out.tell(leg, "retry_asked")


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _arm(close: Close, out: Out, tag: str, due: int) -> None:
    close.timers[tag] = due
    out.commands.append(Arm(close.uid, tag, due))


def _alarm(close: Close, out: Out, kind: str, text: str) -> None:
    if kind not in close.alarmed:
        close.alarmed.add(kind)
        since = close.naked_since if kind in ("naked", "stuck") else 0
        out.commands.append(Alarm(out.now, kind, close.id, text, since))


def _naked_text(close: Close) -> str:
    legs = ", ".join(
        f"{leg.id} {leg.instrument.base(leg.rest):f}" for leg in close.legs if leg.rest
    )
    return f"open: {legs or 'nothing'}; naked {shown(close.naked):f}"
