"""The leg's actions: what a row that was taken appends; none chooses the next state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.lane import Refusal
from machines.leg_guards import ended_whole, is_excused
from machines.leg_model import CUT_OFF, FREE, attempts_spent, rung_after, shut_by
from machines.leg_reading import heed_reason, read_soon, reread_later
from machines.messages import (
    Arm,
)
from machines.placing import place
from machines.policy.escalating import STUCK, existing_rung
from machines.policy.refusing import wants_lane_shut
from machines.table import Out
from machines.types import (
    AGGRESSIVE,
    MARKET,
    PASSIVE,
)

if TYPE_CHECKING:
    from transitions import EventData

    from machines.leg_model import Leg
    from machines.order_model import Order


def enter_passive(e: EventData) -> None:
    """Start the passive rung: fresh counters, its deadline, an attempt."""
    _enter(e.model, PASSIVE, e.args[1])


def enter_aggressive(e: EventData) -> None:
    """Start the aggressive rung: fresh counters, its deadline, an attempt."""
    _enter(e.model, AGGRESSIVE, e.args[1])


def enter_market(e: EventData) -> None:
    """Start the market rung: fresh counters, an attempt; it is bounded by attempts, not time."""
    _enter(e.model, MARKET, e.args[1])


def _enter(leg: Leg, rung: int, out: Out) -> None:
    settings = leg.settings
    timers = leg.timers
    timers.clear()
    leg.rung = rung
    leg.next_rung = FREE
    leg.held = False
    leg.retrying = False
    leg._reset()
    leg.clock_left = -1
    if rung != MARKET:
        span = settings.passive_limit if rung == PASSIVE else settings.aggressive_limit
        _run_clock(leg, span.timeout_ns, out)
    _watch(leg, rung == PASSIVE and settings.passive_limit.requotes_max > 0)
    out.tell(leg, "attempt_due")
    if rung != PASSIVE:
        out.tell(leg.close, "leg_moved", leg)


def _run_clock(leg: Leg, span_ns: int, out: Out) -> None:
    """Let the rung's time run; it stands while the pair waits together."""
    if leg.close.waits_together:
        leg.clock_left = span_ns
        return
    leg.timers["deadline"] = due = out.now + span_ns
    out.commands.append(Arm(leg.uid, "deadline", due))


def stop_clock(e: EventData) -> None:
    """The pair waits for a venue: the rung's time stands."""
    leg, out = e.model, e.args[1]
    due = leg.timers.pop("deadline", None)
    if due is not None:
        leg.clock_left = max(due - out.now, 0)


def start_clock(e: EventData) -> None:
    """The pair waits no more: what is left of the rung's time runs."""
    leg, out = e.model, e.args[1]
    if leg.clock_left >= 0:
        span, leg.clock_left = leg.clock_left, -1
        _run_clock(leg, span, out)
    if leg.state == "waiting":
        out.tell(leg, "recheck")


def go_on(e: EventData) -> None:
    """Go on at the same rung: an attempt is due at once."""
    leg, out = e.model, e.args[1]
    leg.next_rung = FREE
    out.tell(leg, "attempt_due")


def resume_after_doubt(e: EventData) -> None:
    """Go on at the same rung, after a pause when nobody had asked for the end; heed its reason."""
    if is_excused(e):
        excuse(e)
    elif e.args[0].cancel_wanted or ended_whole(e):
        heed_reason(e)
        go_on(e)
    else:
        pause(e)


def place_order(e: EventData) -> None:
    """Record and send one order for the remainder at the rung's price."""
    place(e.model, e.args[1])


def pause(e: EventData) -> None:
    """Wait `backoff_ms` after a refusal; read position or rules first where the reason asks."""
    e.model.refusals += 1
    _pause(e)


def excuse(e: EventData) -> None:
    """Take the attempt back, and wait `backoff_ms` as after any refusal; heed what it asks for.

    What could not be repaired by one more try shuts the venue's lane.
    """
    leg, order, out = e.model, e.args[0], e.args[1]
    reason = order.end_reason
    if wants_lane_shut(reason, leg.excuses):
        rules = leg.instrument
        refusal = Refusal(reason, rules.index, rules.key, order.end_text, 0)
        out.tell(leg.holding.lane, "pushed_back", refusal)
    leg.attempts = max(leg.attempts - 1, 0)
    if reason not in leg.excuses:
        leg.excused = (*leg.excuses, reason)
        leg.excused_for = leg.circumstances
    _pause(e)


def _pause(e: EventData) -> None:
    leg, out = e.model, e.args[1]
    leg.timers.pop("attempt", None)
    leg.timers["pause"] = due = out.now + leg.settings.backoff_ns
    out.commands.append(Arm(leg.uid, "pause", due))
    heed_reason(e)


def try_again(e: EventData) -> None:
    """Ask for the next attempt at once."""
    leg, out = e.model, e.args[1]
    leg.timers.pop("attempt", None)
    out.tell(leg, "attempt_due")


def time_attempt(e: EventData) -> None:
    """Give the attempt its own time from now on."""
    leg, out = e.model, e.args[1]
    settings = leg.settings
    rung = settings.aggressive_limit if leg.rung == AGGRESSIVE else settings.market
    leg.timers["attempt"] = due = out.now + rung.attempt_timeout_ns
    out.commands.append(Arm(leg.uid, "attempt", due))


def keep_order(e: EventData) -> None:
    """What rests stays for another attempt's time: its venue would take nothing in its place."""
    _keep(e, "attempt")


def keep_order_past_rung(e: EventData) -> None:
    """The rung's time is over, but what rests stays while its venue takes nothing in its place."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, rung_after(leg))
    _keep(e, "deadline")


def keep_order_below_asked_rung(e: EventData) -> None:
    """Remember the rung that was asked for; what rests stays until its venue takes orders."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, existing_rung(e.args[0], leg.settings))
    _keep(e, "deadline")


def _keep(e: EventData, tag: str) -> None:
    leg, out = e.model, e.args[1]
    leg.timers[tag] = due = out.now + leg.settings.aggressive_limit.attempt_timeout_ns
    out.commands.append(Arm(leg.uid, tag, due))


def clear_timers(e: EventData) -> None:
    """Stop the timers of the rung that is left behind."""
    e.model.timers.clear()


def withdraw_for_step(e: EventData) -> None:
    """The attempt's own time ran out: cancel, then one step further, or the next rung."""
    leg = e.model
    leg.next_rung = rung_after(leg) if attempts_spent(leg) else FREE
    leg.step += 1
    _withdraw(e)


def withdraw_for_next_rung(e: EventData) -> None:
    """The rung's time is over: cancel, then the next rung."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, rung_after(leg))
    _withdraw(e)


def withdraw_for_asked_rung(e: EventData) -> None:
    """Cancel, then the rung that was asked for."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, existing_rung(e.args[0], leg.settings))
    _withdraw(e)


def withdraw_for_requote(e: EventData) -> None:
    """Cancel the order that was left behind, then quote anew at this rung."""
    e.model.requotes += 1
    _withdraw(e)


def withdraw_repriced(e: EventData) -> None:
    """Treat a silent re-pricing as a refusal: cancel, count it, quote anew or escalate."""
    leg = e.model
    leg.refusals += 1
    if leg.refusals > leg.settings.passive_limit.post_only_rejects_max:
        leg.next_rung = max(leg.next_rung, rung_after(leg))
    _withdraw(e)


def withdraw(e: EventData) -> None:
    """Cancel the live order and await its end."""
    _withdraw(e)


def withdraw_known(e: EventData) -> None:
    """Cancel the order that is known to rest again, of an earlier close too, and await its end."""
    leg, out = e.model, e.args[1]
    order: Order = e.args[0]
    leg.timers.pop("attempt", None)
    leg.timers.pop("pause", None)
    out.tell(order, "cancel_asked")


def withdraw_and_hold(e: EventData) -> None:
    """Cancel the live order and stay without one afterwards; no time of a rung runs any more."""
    leg = e.model
    leg.held = True
    leg.timers.clear()
    _withdraw(e)


def _withdraw(e: EventData) -> None:
    leg, out = e.model, e.args[1]
    timers = leg.timers
    timers.pop("attempt", None)
    timers.pop("pause", None)
    if leg.order is not None:
        out.tell(leg.order, "cancel_asked")


def hold(e: EventData) -> None:
    """Stay without order from now on."""
    leg, out = e.model, e.args[1]
    leg.held = True
    leg.timers.clear()
    _watch(leg, False)
    out.tell(leg.close, "leg_moved", leg)


def hold_later(e: EventData) -> None:
    """Stay without order once the present one is dead; no time of a rung runs any more."""
    leg, out = e.model, e.args[1]
    leg.held = True
    leg.timers.clear()
    if leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def enter_doubt(e: EventData) -> None:
    """Place nothing until the order's fate is known; a second live order is cancelled too."""
    leg, order, out = e.model, e.args[0], e.args[1]
    for tag in ("attempt", "pause", "gate", "reread", "retry"):
        leg.timers.pop(tag, None)
    if leg.order is not None and leg.order is not order and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def remember_stuck(e: EventData) -> None:
    """The ladder stays exhausted: after the doubt the slow retry goes on where it was."""
    leg = e.model
    leg.next_rung = STUCK
    leg.retrying = True


def wish_next_rung(e: EventData) -> None:
    """Remember that the rung is over; cancel what is in doubt."""
    leg, out = e.model, e.args[1]
    leg.next_rung = max(leg.next_rung, rung_after(leg))
    if leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def wish_asked_rung(e: EventData) -> None:
    """Remember the higher rung that was asked for; cancel what is in doubt."""
    leg, out = e.model, e.args[1]
    leg.next_rung = max(leg.next_rung, existing_rung(e.args[0], leg.settings))
    if leg.next_rung > leg.rung and leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def wait(e: EventData) -> None:
    """Wait for the gate; a wide spread only for `spread_wait_s`, counted over all rungs."""
    leg, out = e.model, e.args[1]
    timers = leg.timers
    timers.pop("attempt", None)
    timers.pop("pause", None)
    leg.wait_reason = shut_by(leg, out.now)
    if leg.wait_reason == "balanced":
        # Nothing is naked and nothing is due: the sibling's own deadline ends this wait.
        timers.pop("deadline", None)
    if leg.wait_reason == "spread":
        if not leg.spread_until:
            leg.spread_until = out.now + leg.settings.spread_wait_ns
        timers["gate"] = due = max(leg.spread_until, out.now)
        out.commands.append(Arm(leg.uid, "gate", due))
    if leg.wait_reason == "venue_mode" or leg.wait_reason in CUT_OFF:
        out.tell(leg.close, "venue_moved")
    if leg.read_after:
        leg.ask_count = 0
        reread_later(leg, out)
    else:
        read_soon(e)
    _watch(leg, True)


def leave_wait(e: EventData) -> None:
    """The gate opened: an attempt is due."""
    leg, out = e.model, e.args[1]
    leg.wait_reason = ""
    leg.spread_until = 0
    leg.timers.pop("gate", None)
    leg.timers.pop("reread", None)
    _watch(leg, leg.rung == PASSIVE and leg.settings.passive_limit.requotes_max > 0)
    out.tell(leg, "attempt_due")


def renew_deadline(e: EventData) -> None:
    """Give the rung its time anew where a wait or a hold had stopped it."""
    leg, out = e.model, e.args[1]
    if "deadline" not in leg.timers and leg.clock_left < 0:
        settings = leg.settings
        rung = settings.passive_limit if leg.rung == PASSIVE else settings.aggressive_limit
        _run_clock(leg, rung.timeout_ns, out)


def waive_spread(e: EventData) -> None:
    """The wait for a narrower spread is over: it no longer binds this close."""
    e.model.close.spread_waived = True


def finish(e: EventData) -> None:
    """Nothing left to do: stay without an order until the close starts the leg again; tell it."""
    leg, out = e.model, e.args[1]
    leg.held = True
    leg.timers.clear()
    leg.retrying = False
    _watch(leg, False)
    out.tell(leg.close, "leg_moved", leg)


def give_up(e: EventData) -> None:
    """The ladder is exhausted: one market order every `stuck_retry_s`, counted from the last."""
    leg, out = e.model, e.args[1]
    leg.timers.clear()
    _watch(leg, False)
    leg.rung = MARKET
    leg.next_rung = FREE
    leg.held = False
    if not leg.retrying:
        leg.retried_at = out.now
    leg.retrying = False
    leg.timers["retry"] = due = max(leg.retried_at + leg.settings.stuck_retry_ns, out.now)
    out.commands.append(Arm(leg.uid, "retry", due))
    out.tell(leg.close, "leg_moved", leg)


def retry(e: EventData) -> None:
    """One more market order for what remains."""
    leg, out = e.model, e.args[1]
    _enter(leg, MARKET, out)
    leg.retrying = True
    leg.retried_at = out.now


def tell_close(e: EventData) -> None:
    """Pass the change on to the close."""
    leg, out = e.model, e.args[1]
    out.tell(leg.close, "leg_moved", leg)


def tell_passive_over(e: EventData) -> None:
    """Let the close decide who escalates first."""
    leg, out = e.model, e.args[1]
    out.tell(leg.close, "passive_over", leg)


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _watch(leg: Leg, wanted: bool) -> None:
    watchers = leg.book.watchers
    if wanted:
        if leg not in watchers:
            watchers.append(leg)
    elif leg in watchers:
        watchers.remove(leg)
