"""The leg's guards: pure predicates, one per condition of a row; none changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.leg_model import (
    attempts_spent,
    exceeds_lag,
    rung_after,
    shut_by,
    takes_orders,
    untradeable,
    wants_requote,
)
from machines.policy.escalating import STUCK, existing_rung
from machines.policy.refusing import spends_attempt
from machines.types import (
    AGGRESSIVE,
    MARKET,
    PASSIVE,
)

if TYPE_CHECKING:
    from transitions import EventData

    from machines.leg_model import Leg
    from machines.order_model import Order


def nothing_remains(e: EventData) -> bool:
    """Everything that was asked for is closed, and no order of the leg can still fill."""
    return e.model.remaining == 0 and not e.model.busy


def rest_is_untradeable(e: EventData) -> bool:
    """What remains is below a lot or a minimum of the venue, and no order carries it."""
    return not e.model.busy and untradeable(e.model) != ""


def gate_is_shut(e: EventData) -> bool:
    """A gate (halt, trust, venue mode, position read, book, spread) forbids placing now."""
    return shut_by(e.model, e.args[1].now) != ""


def starts_passive(e: EventData) -> bool:
    """The lowest rung in use, from the one asked for on, is passive_limit."""
    return _start_rung(e) == PASSIVE


def starts_aggressive(e: EventData) -> bool:
    """The lowest rung in use, from the one asked for on, is aggressive_limit."""
    return _start_rung(e) == AGGRESSIVE


def _start_rung(e: EventData) -> int:
    leg = e.model
    resting = leg.venue.capabilities.reduce_only != "ioc_only"
    return existing_rung(e.args[0], leg.settings, resting_allowed=resting)


def passive_is_spent(e: EventData) -> bool:
    """Post-only rejections and other refusals exceed `post_only_rejects_max`; aggressive exists."""
    return _refused_out(e) and rung_after(e.model) == AGGRESSIVE


def passive_is_spent_for_good(e: EventData) -> bool:
    """Refusals exceed `post_only_rejects_max` and there is no aggressive rung."""
    return _refused_out(e)


def _refused_out(e: EventData) -> bool:
    leg: Leg = e.model
    if ended_whole(e) or e.args[0].cancel_wanted or is_excused(e):
        return False
    return leg.refusals >= leg.settings.passive_limit.post_only_rejects_max


def attempts_are_spent(e: EventData) -> bool:
    """Every attempt of this rung has been sent; a retry of a stuck leg has one."""
    return attempts_spent(e.model) and not ended_whole(e) and not is_excused(e)


def is_excused(e: EventData) -> bool:
    """Refused for a reason that asks to wait, to repair or to read first: no attempt is spent."""
    leg: Leg = e.model
    order: Order = e.args[0]
    if not order.end_reason or order.cancel_wanted or order.state == "filled":
        return False
    return not spends_attempt(order.end_reason, leg.excuses)


def ended_whole(e: EventData) -> bool:
    """The order filled all it was sent for; what remains was never in it."""
    order: Order = e.args[0]
    return order.cum >= order.qty


def goes_nowhere(e: EventData) -> bool:
    """The close holds its legs back (withdrawn, frozen, quarantined): stay without order."""
    leg: Leg = e.model
    return leg.held


def goes_stuck(e: EventData) -> bool:
    """The ladder is exhausted."""
    leg: Leg = e.model
    return leg.next_rung == STUCK


def climbs_to_market(e: EventData) -> bool:
    """Market was decided on while the order was being ended, and the leg is below it."""
    leg: Leg = e.model
    return leg.next_rung == MARKET > leg.rung


def climbs_to_aggressive(e: EventData) -> bool:
    """Aggressive_limit was decided on while the order was being ended, and the leg is below it."""
    leg: Leg = e.model
    return leg.next_rung == AGGRESSIVE > leg.rung


def is_on_market(e: EventData) -> bool:
    """The leg stands on market."""
    leg: Leg = e.model
    return leg.rung == MARKET


def is_on_aggressive(e: EventData) -> bool:
    """The leg stands on aggressive_limit."""
    leg: Leg = e.model
    return leg.rung == AGGRESSIVE


def still_in_doubt(e: EventData) -> bool:
    """Another order of ours on this position may still fill."""
    for order in e.model.holding.orders:  # noqa: SIM110 - a generator costs thrice as much
        if order.alive:
            return True
    return False


def must_withdraw(e: EventData) -> bool:
    """The order is known again but unwanted: to be cancelled, of an earlier process, too large.

    Too large is what would fill more than the leg lags while the pair waits together.
    """
    leg: Leg = e.model
    order: Order = e.args[0]
    stale = order.uid >> 40 != leg.env.epoch
    if leg.close.waits_together and exceeds_lag(leg, e.args[1].now):
        return True
    return stale or order.cancel_wanted or leg.held or leg.next_rung > leg.rung or leg.env.halted


def was_repriced(e: EventData) -> bool:
    """The venue silently booked another price than the post-only order asked for."""
    order: Order = e.args[0]
    return order.post_only and order.booked is not None and order.booked != order.price


def order_is_alive(e: EventData) -> bool:
    """The leg has an order that may still fill."""
    leg: Leg = e.model
    return leg.busy


def order_is_too_large(e: EventData) -> bool:
    """A late or foreign fill left less to do than the live order could fill."""
    leg: Leg = e.model
    return leg.order is not None and leg.order.open_qty > leg.remaining


def order_exceeds_lag(e: EventData) -> bool:
    """The leg's venue can trade, and its order could fill more than it lags the other leg."""
    return exceeds_lag(e.model, e.args[1].now)


def order_may_be_renewed(e: EventData) -> bool:
    """The leg has a live order, and its rest could be placed again."""
    leg: Leg = e.model
    return leg.busy and (leg.rung == MARKET or untradeable(leg) == "")


def order_is_kept(e: EventData) -> bool:
    """An order rests, and the venue would take none in its place: mode, trust or lane."""
    leg: Leg = e.model
    return leg.busy and not takes_orders(leg)


def order_is_kept_below(e: EventData) -> bool:
    """The rung asked for is higher, but the venue would take no order of it now."""
    leg: Leg = e.model
    return order_is_kept(e) and existing_rung(e.args[0], leg.settings) > leg.rung


def may_climb_now(e: EventData) -> bool:
    """An order was kept below the rung that was wished for, and its venue takes orders again."""
    leg: Leg = e.model
    return leg.is_kept_below and takes_orders(leg)


def may_leave_for_higher(e: EventData) -> bool:
    """The live order is below the rung asked for, and out of time or replaceable by another."""
    leg: Leg = e.model
    if not leg.busy or existing_rung(e.args[0], leg.settings) <= leg.rung:
        return False
    return "deadline" not in leg.timers or untradeable(leg) == ""


def rises_to_aggressive(e: EventData) -> bool:
    """No live order, and the rung asked for is aggressive_limit."""
    leg: Leg = e.model
    target = existing_rung(e.args[0], leg.settings)
    return not leg.busy and target > leg.rung and target == AGGRESSIVE


def rises_to_market(e: EventData) -> bool:
    """No live order, and the rung asked for is market."""
    leg: Leg = e.model
    return not leg.busy and existing_rung(e.args[0], leg.settings) == MARKET > leg.rung


def next_is_aggressive(e: EventData) -> bool:
    """The rung after this one is aggressive_limit."""
    return rung_after(e.model) == AGGRESSIVE


def has_sibling(e: EventData) -> bool:
    """The close has two legs."""
    return e.model.sibling is not None


def requote_is_wanted(e: EventData) -> bool:
    """The reference price left the order behind, re-quotes are left, the rest could be placed."""
    leg: Leg = e.model
    return wants_requote(leg, e.args[1].now) and untradeable(leg) == "" and takes_orders(leg)


def waits_for_market(e: EventData) -> bool:
    """The gate is open again and the leg stands on market."""
    return e.model.rung == MARKET and not gate_is_shut(e)


def waits_for_aggressive(e: EventData) -> bool:
    """The gate is open again and the leg stands on aggressive_limit."""
    return e.model.rung == AGGRESSIVE and not gate_is_shut(e)


def waits_for_passive(e: EventData) -> bool:
    """The gate is open again and the leg stands on passive_limit."""
    return e.model.rung == PASSIVE and not gate_is_shut(e)


def venue_is_banned(e: EventData) -> bool:
    """The venue has banned us: every request would lengthen that."""
    leg: Leg = e.model
    return leg.holding.lane.banned_until > 0


def read_is_overdue(e: EventData) -> bool:
    """The position could not be read for `alarm_after_s`, and nobody has been told of it."""
    leg: Leg = e.model
    if "venue_degraded" in leg.close.alarmed:
        return False
    now: int = e.args[1].now
    since = leg.read_after or leg.holding.doubted_at
    return now >= since + leg.settings.alarm_after_ns
