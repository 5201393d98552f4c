"""The close's guards and what they read: pure predicates over legs and truth reads.

None changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.leg_model import ENDED, judge
from machines.policy.escalating import existing_rung, first_rung
from machines.policy.gating import below_minimum, floor_to_lot
from machines.policy.reconciling import Judgement
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


def judge_at_start(leg: Leg, since: int) -> Judgement:
    """As `judge`, but a young read that agreed when it came still counts after fills of our own."""
    holding = leg.holding
    young = holding.read_sent_at >= since and not holding.foreign_at
    if holding.read_agreed and holding.read_ok and young:
        return Judgement("agrees", holding.qty)
    return judge(leg, since)


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
    """Two reads agree on what the leg holds, and no gap of its venue has been since.

    What moved in a gap was not told: a venue that has lost our trust is read again.
    """
    session = leg.holding.session
    agreed = leg.close.agreed[leg.number] >= 2
    return agreed and session.trusted and leg.agreed_at >= session.opened_at


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
    """An own order may still fill, or not every leg has a usable read that is young enough."""
    close = e.model
    for leg in close.legs:
        if not leg.holding.session.trusted or leg.holding.orders:
            return True
        if judge_at_start(leg, close.wanted_at).kind in ("unknown", "stale"):
            return True
    return False


def truth_is_asked_for(e: EventData) -> bool:
    """Something is missing, and the question for it is under way or waits for its pause."""
    return "ask" in e.model.timers and truth_is_missing(e)


def nothing_to_close(e: EventData) -> bool:
    """Every leg is explicitly flat at its venue already, and no order of this close made it so."""
    close = e.model
    for leg in close.legs:
        if judge_at_start(leg, close.wanted_at).qty or any(order.cum for order in leg.orders):
            return False
    return True


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


def is_a_kill(e: EventData) -> bool:
    """Somebody asks for everything to be closed now."""
    _urgency, reason = e.args[0]
    killed: bool = reason == "KILL"
    return killed


def read_is_unusable(e: EventData) -> bool:
    """The read is incomplete, stale, or of a venue not trusted, whose view may lack something."""
    leg: Leg = e.args[0]
    if not leg.holding.session.trusted:
        return True
    return judge(leg, e.model.wanted_at).kind not in ("agrees", "smaller")


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
