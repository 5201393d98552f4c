"""The close's guards and what they read: pure predicates over legs and truth reads.

None changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.holding_model import is_known, verdict_of
from machines.leg_model import ENDED, is_cut_off, outage_since
from machines.policy.escalating import existing_rung, first_rung
from machines.policy.gating import below_minimum, floor_to_lot
from machines.types import (
    AGGRESSIVE,
    BUY,
    MARKET,
    PASSIVE,
    SELL,
)

if TYPE_CHECKING:
    from transitions import EventData

    from machines.close_model import Close
    from machines.leg_model import Leg


def is_known_at_start(leg: Leg) -> bool:
    """What the leg holds is known well enough to begin, by a read that is young enough.

    What an operator adopts is what two rounds show, though nothing explains it.
    """
    close, holding = leg.close, leg.holding
    if is_known(holding, close.wanted_at):
        return True
    if not close.adopting or holding.read_sent_at < close.wanted_at:
        return False
    return verdict_of(holding) in ("explained", "foreign", "turned")


def is_settled(leg: Leg) -> bool:
    """Nothing tradeable left on the leg, as far as we believe."""
    holding = leg.holding
    rest = leg.rest
    if rest == 0:
        return True
    price = leg.book.touch(BUY if rest < 0 else SELL)
    size = floor_to_lot(abs(rest), holding.instrument)
    return (
        below_minimum(size, price, holding.instrument, holding.instrument.reduce_only_exempt) != ""
    )


def is_proved(leg: Leg) -> bool:
    """Two reads agree on what the leg holds, and none since nor a gap of its venue says otherwise.

    What moved in a gap was not told: a venue that has lost our trust is read again.
    """
    session = leg.holding.session
    agreed = leg.close.agreed[leg.number] >= 2 and leg.holding.state == "settled"
    return agreed and session.trusted and leg.agreed_at >= session.opened_at


def truth_is_foreign(e: EventData) -> bool:
    """More is held than is ours to close, or orders rest that are not ours.

    What an operator has told the close to adopt is not foreign while it prepares.
    """
    close = e.model
    if close.adopting:
        return False
    for leg in close.legs:  # noqa: SIM110 - asked on every read; a generator costs thrice as much
        if leg.holding.foreign or leg.holding.unowned:
            return True
    return False


def truth_is_missing(e: EventData) -> bool:
    """An own order may still fill, or what a leg holds is not known by a read young enough."""
    for leg in e.model.legs:
        if not leg.holding.session.trusted or leg.holding.orders or not is_known_at_start(leg):
            return True
    return False


def truth_is_asked_for(e: EventData) -> bool:
    """Something is missing, and the question for it is under way or waits for its pause."""
    return "ask" in e.model.timers and truth_is_missing(e)


def nothing_to_close(e: EventData) -> bool:
    """Every leg is explicitly flat at its venue already, and no order of this close made it so."""
    close = e.model
    for leg in close.legs:
        held = leg.holding.read_qty if close.adopting else leg.holding.qty
        if held or any(order.cum for order in leg.orders):
            return False
    return True


def others_have_closed_it(e: EventData) -> bool:
    """Reads agree that nothing is held on any leg, and no order of ours can fill any more."""
    for leg in e.model.legs:
        holding = leg.holding
        if holding.qty or holding.orders or not is_known(holding, 0):
            return False
    return True


def all_is_explained(e: EventData) -> bool:
    """What froze it was the venue's own doing, all of it, and nobody else has done anything."""
    close = e.model
    if close.meddled:
        return False
    return not any(
        leg.holding.foreign
        or leg.holding.unowned
        or leg.holding.unexplained
        or leg.holding.announced_at
        for leg in close.legs
    )


def starts_passive(e: EventData) -> bool:
    """Neither the urgency nor an earlier rung asks for more than passive_limit, which is in use."""
    return starting_rung(e.model) == PASSIVE


def starts_aggressive(e: EventData) -> bool:
    """Of the urgency's first rung and the furthest reached, the higher is aggressive_limit."""
    return starting_rung(e.model) == AGGRESSIVE


def starting_rung(close: Close) -> int:
    """Where the legs start: as the urgency asks, but never below where the close has been."""
    return existing_rung(max(first_rung(close.urgency), close.reached), close.settings)


def was_withdrawn(e: EventData) -> bool:
    """The close was withdrawn, nothing has filled, and no order is left."""
    close = e.model
    return close.withdrawing and _legs_rest(close) and _untouched(close)


def withdrawal_failed(e: EventData) -> bool:
    """Something filled while the close was being withdrawn; it goes on."""
    close = e.model
    return close.withdrawing and _legs_rest(close) and not _untouched(close)


def _legs_rest(close: Close) -> bool:
    return all(leg.state == "idle" or leg.ended for leg in close.legs)


def _untouched(close: Close) -> bool:
    return all(leg.holding.qty == leg.start_qty for leg in close.legs)


def all_legs_ended(e: EventData) -> bool:
    """Every leg is done or dust."""
    for leg in e.model.legs:  # noqa: SIM110 - asked on every row; a generator costs thrice as much
        if leg.state not in ENDED:
            return False
    return True


def a_leg_came_back(e: EventData) -> bool:
    """A leg stands idle though nothing is being withdrawn: its end was taken back."""
    close = e.model
    if close.withdrawing:
        return False
    for leg in close.legs:  # noqa: SIM110 - as above
        if leg.state == "idle":
            return True
    return False


def a_leg_is_stuck(e: EventData) -> bool:
    """A leg's ladder is exhausted and no other leg is still on its ladder."""
    stuck = False
    for leg in e.model.legs:
        if leg.state == "stuck":
            stuck = True
        elif leg.state not in ENDED:
            return False
    return stuck


def a_stuck_leg_is_untold(e: EventData) -> bool:
    """A leg's ladder is exhausted, and nobody has been told of it."""
    close = e.model
    if "stuck" in close.alarmed:
        return False
    for leg in close.legs:  # noqa: SIM110 - as above
        if leg.state == "stuck":
            return True
    return False


def furthest_is_market(e: EventData) -> bool:
    """The furthest leg is on market."""
    return _furthest(e.model) == MARKET


def furthest_is_aggressive(e: EventData) -> bool:
    """The furthest leg is on aggressive_limit."""
    return _furthest(e.model) == AGGRESSIVE


def _furthest(close: Close) -> int:
    furthest = PASSIVE
    for leg in close.legs:
        if leg.rung > furthest and leg.state not in ENDED:
            furthest = leg.rung
    return furthest


def may_be_withdrawn(e: EventData) -> bool:
    """Urgency normal, first rung, nothing filled on any leg."""
    close = e.model
    return close.urgency == "normal" and _untouched(close) and not close.withdrawing


def must_hold_together(e: EventData) -> bool:
    """Not in a hurry, hedged, and one leg cannot trade: the other would only make it naked."""
    close: Close = e.model
    if close.urgency != "normal" or close.waits_together or close.parted or close.withdrawing:
        return False
    if len(close.legs) < 2 or _hedges_nothing(close):
        return False
    now: int = e.args[1].now
    return any(is_cut_off(leg, now) for leg in close.legs) and now < waits_until(close, now)


def waits_on(e: EventData) -> bool:
    """The pair waits together, and a leg still cannot trade: which one may have changed."""
    close: Close = e.model
    now: int = e.args[1].now
    return close.waits_together and any(is_cut_off(leg, now) for leg in close.legs)


def waits_until(close: Close, now: int) -> int:
    """Until when the pair waits for the leg that has been away for longest; ns."""
    since = [outage_since(leg) for leg in close.legs if is_cut_off(leg, now)]
    return min(since) + close.settings.hold_together_ns


def waits_in_vain(e: EventData) -> bool:
    """The pair waits together, but a leg has ended or was liquidated: there is no hedge to keep."""
    close: Close = e.model
    return close.waits_together and _hedges_nothing(close)


def _hedges_nothing(close: Close) -> bool:
    return any(
        leg.ended or leg.liquidated or (leg.state == "idle" and is_settled(leg))
        for leg in close.legs
    )


def venues_are_back(e: EventData) -> bool:
    """Every venue is trusted, and every leg can trade on its rung."""
    now: int = e.args[1].now
    return all(leg.holding.session.trusted and not is_cut_off(leg, now) for leg in e.model.legs)


def is_a_kill(e: EventData) -> bool:
    """Somebody asks for everything to be closed now."""
    _urgency, reason = e.args[0]
    killed: bool = reason == "KILL"
    return killed


def read_is_unusable(e: EventData) -> bool:
    """The read leaves what is held in question, is older than a fill, or of a venue not trusted."""
    holding = e.args[0].holding
    if not is_known(holding, e.model.wanted_at):
        return True
    sent, taken = holding.read_sent_at, holding.read_taken_at
    old: bool = sent < holding.last_fill_at or taken < holding.last_fill_venue_at
    return old


def may_be_dropped(e: EventData) -> bool:
    """The close never started, and its urgency is normal."""
    close: Close = e.model
    return close.urgency == "normal" and not close.started_at


def evidence_is_incomplete(e: EventData) -> bool:
    """Two equal reads of every trusted venue are not there yet, or an own order may still fill."""
    close: Close = e.model
    for leg in close.legs:  # noqa: SIM110 - as above
        if leg.holding.orders or not is_proved(leg):
            return True
    return False


def reads_left_just_now(e: EventData) -> bool:
    """The reads were asked for at this very instant: they see whatever moved."""
    close: Close = e.model
    now: int = e.args[1].now
    return close.wanted_at == now


def was_written_off(e: EventData) -> bool:
    """An operator took over what was left."""
    written_off: bool = e.model.written_off
    return written_off


def nothing_filled_since(e: EventData) -> bool:
    """No order of a close has filled anything on these instruments since this close ended."""
    close: Close = e.model
    return all(leg.holding.filled == leg.filled_at_end for leg in close.legs)


def rest_is_tradeable(e: EventData) -> bool:
    """The venues agree that something is left which can be traded, and rounds are left."""
    close = e.model
    return _has_rest(close) and close.rounds < close.settings.residual_rounds_max


def rest_exceeds_rounds(e: EventData) -> bool:
    """Something tradeable is left after `residual_rounds_max` rounds."""
    return _has_rest(e.model)


def _has_rest(close: Close) -> bool:
    for leg in close.legs:  # noqa: SIM110 - as above
        if leg.rest and not is_settled(leg):
            return True
    return False
