"""The leg machine: the ladder that takes one position to flat on one venue.

Theory of operation. A leg owns a holding and closes what of it exceeds `keep` (0 unless only a part
was asked for). It knows the fills of all its orders through the holding, its rung, and at most one
order that may be alive. Time, price and refusals push it up the ladder, passive_limit to
aggressive_limit to market; nothing pushes it down. Between two orders it is `withdrawing` until the
first is proved dead, and `doubtful` while that proof is missing; it places nothing in either. A
closed gate (stale book, wide spread, venue down, halt) makes it wait, which uses up the rung's time
but none of its attempts.

It does not know the other leg. It tells the close of everything that moved, and obeys `start`,
`escalate`, `hold` and `retry_due`.

How a leg places: entering a rung (or being free again) it tells itself `attempt_due`, whose rows
decide in order: nothing left, untradeable rest, gate shut, place.

Invariants
1. At most one order can be alive or unknown (I6), and none is placed while withdrawing or doubtful.
2. An order is never larger than what remains, rounded down to the lot; the side never changes
   within a round (I7).
3. The rung never falls within a round (I8).
4. A rung is left by its deadline plus one cancel resolution, for the next rung or for `doubtful`.

Beside this file: what a leg knows (`leg_model`), the guards (`leg_guards`), the actions
(`leg_actions`) and how a remainder becomes an order (`placing`).
"""

from __future__ import annotations

from machines.leg_actions import (
    enter_aggressive,
    enter_doubt,
    enter_market,
    enter_passive,
    finish,
    give_up,
    go_on,
    hold,
    hold_later,
    ignore,
    leave_wait,
    pause,
    place_order,
    resume_after_doubt,
    resume_live,
    retry,
    tell_close,
    tell_passive_over,
    try_again,
    wait,
    waive_spread,
    wish_asked_rung,
    wish_next_rung,
    withdraw,
    withdraw_and_hold,
    withdraw_for_asked_rung,
    withdraw_for_next_rung,
    withdraw_for_requote,
    withdraw_for_step,
    withdraw_repriced,
)
from machines.leg_guards import (
    attempts_are_spent,
    ended_whole,
    gate_is_shut,
    goes_nowhere,
    goes_stuck,
    goes_to_aggressive,
    goes_to_market,
    has_sibling,
    may_leave_for_higher,
    must_withdraw,
    next_is_aggressive,
    nothing_remains,
    order_is_alive,
    order_is_too_large,
    order_may_be_renewed,
    passive_is_spent,
    passive_is_spent_for_good,
    requote_is_wanted,
    rest_is_untradeable,
    rises_to_aggressive,
    rises_to_market,
    starts_aggressive,
    starts_passive,
    still_in_doubt,
    waits_for_aggressive,
    waits_for_market,
    waits_for_passive,
    was_repriced,
)
from machines.leg_model import ENDED, Leg
from machines.table import Row, State, Table

STATES = (
    State("idle", "no order and none due", unbounded="the close starts it"),
    State("passive_limit", "resting post-only at or inside its own side", "deadline: timeout_s"),
    State("aggressive_limit", "limit orders stepping to and past the touch", "deadline: timeout_s"),
    State("market", "bounded market orders for the rest", "attempt: attempt_timeout_s, attempts_max"),
    State("withdrawing", "its order is being cancelled; nothing may be placed",
        unbounded="the order's own cancel_timeout_s turns this into doubtful"),
    State("doubtful", "an order of this leg may or may not fill; nothing may be placed",
        unbounded="only the venue's answer ends it; the order asks and alarms"),
    State("waiting", "a gate is shut: stale book, wide spread, venue down, halt",
        "deadline: timeout_s; gate: spread_wait_s"),
    State("done", "everything asked for is closed", terminal=True),
    State("dust", "what is left cannot be traded at this venue", terminal=True),
    State("stuck", "the ladder is exhausted; a person is called", "retry: stuck_retry_s"),
)  # fmt: skip
_PA = ("passive_limit", "aggressive_limit")
_AM = ("aggressive_limit", "market")
_R = ("passive_limit", "aggressive_limit", "market")
_BETWEEN = ("withdrawing", "doubtful")
_ALL = ("idle", *_R, *_BETWEEN, "waiting", *ENDED, "stuck")
ROWS = (
    # trigger           source              dest                guard                 actions
    # -- started by the close; also for a new round after reconciling
    Row("start", ("idle", "done", "dust", "stuck"), "done",     nothing_remains,      (finish,),
        "nothing to close on this leg", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "dust",     rest_is_untradeable,  (finish,),
        "what is held is too small for this venue", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "passive_limit", starts_passive,  (enter_passive,),
        "the first rung that the urgency asks for", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "aggressive_limit", starts_aggressive, (enter_aggressive,),
        "the first rung that the urgency asks for", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "market",   None,                 (enter_market,),
        "the first rung that the urgency asks for", late=True),
    Row("start", (*_R, *_BETWEEN, "waiting"), None,             None,                 (ignore,)),
    Row("exhaust", ("done", "dust"),        "stuck",            None,                 (give_up,),
        "the rounds after reconciling are used up", late=True),
    Row("exhaust", ("idle", *_R, *_BETWEEN, "waiting", "stuck"), None, None,          (ignore,)),
    # -- an attempt is due
    Row("attempt_due",  _R,                 "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("attempt_due",  _R,                 "dust",             rest_is_untradeable,  (finish,),
        "what remains is too small for this venue"),
    Row("attempt_due",  _R,                 "waiting",          gate_is_shut,         (wait,),
        "a gate is shut: halt, trust, mode, position read, book or spread"),
    Row("attempt_due",  _R,                 None,               order_is_alive,       (ignore,)),
    Row("attempt_due",  _R,                 None,               None,                 (place_order,)),
    Row("attempt_due",  ("idle", *_BETWEEN, "waiting", *ENDED, "stuck"), None, None, (ignore,),
        "something happened between the wish and its turn"),
    # -- the order rests or fills
    Row("order_live",   "passive_limit",    "withdrawing",      was_repriced,         (withdraw_repriced,)),
    Row("order_live",   _R,                 None,               None,                 (ignore,)),
    Row("order_live",   "doubtful",         "withdrawing",      must_withdraw,        (withdraw,),
        "known again, but unwanted: cancel it once more"),
    Row("order_live",   "doubtful",         "market",           goes_to_market,       (resume_live,)),
    Row("order_live",   "doubtful",         "aggressive_limit", goes_to_aggressive,   (resume_live,)),
    Row("order_live",   "doubtful",         "passive_limit",    None,                 (resume_live,)),
    Row("order_live",   ("idle", "withdrawing", "waiting", *ENDED, "stuck"), None, None, (ignore,)),
    Row("order_filling", _R,                "withdrawing",      order_is_too_large,   (withdraw,),
        "a late fill of an earlier order: the live one would fill too much"),
    Row("order_filling", _R,                "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", _R,                None,               None,                 (tell_close,)),
    Row("order_filling", "waiting",         "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", "waiting",         None,               None,                 (tell_close,)),
    Row("order_filling", "stuck",           "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", ("idle", *_BETWEEN, *ENDED, "stuck"), None, None,           (tell_close,)),
    # -- the order ended
    Row("order_ended",  _R,                 "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("order_ended",  "passive_limit",    "aggressive_limit", passive_is_spent,     (enter_aggressive,),
        "refused too often on this rung"),
    Row("order_ended",  "passive_limit",    "market",           passive_is_spent_for_good, (enter_market,),
        "refused too often on this rung"),
    Row("order_ended",  "aggressive_limit", "market",           attempts_are_spent,   (enter_market,),
        "every attempt of the rung is used up; no pause at a change of rung"),
    Row("order_ended",  "market",           "stuck",            attempts_are_spent,   (give_up,),
        "every market attempt of the rung is used up"),
    Row("order_ended",  _R,                 None,               ended_whole,          (try_again,)),
    Row("order_ended",  _R,                 None,               None,                 (pause,)),
    Row("order_ended",  _BETWEEN,           "doubtful",         still_in_doubt,       (ignore,)),
    Row("order_ended",  _BETWEEN,           "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("order_ended",  _BETWEEN,           "idle",             goes_nowhere,         (hold,),
        "the close holds its legs back"),
    Row("order_ended",  _BETWEEN,           "stuck",            goes_stuck,           (give_up,),
        "every market attempt of the rung is used up"),
    Row("order_ended",  "withdrawing",      "market",           goes_to_market,       (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "withdrawing",      "aggressive_limit", goes_to_aggressive,   (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "withdrawing",      "passive_limit",    None,                 (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "doubtful",         "market",           goes_to_market,       (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  "doubtful",         "aggressive_limit", goes_to_aggressive,   (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  "doubtful",         "passive_limit",    None,                 (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  ("idle", "waiting", *ENDED, "stuck"), None, None,            (tell_close,)),
    # -- the order is in doubt
    Row("order_doubted", (*_R, *_BETWEEN, "idle", "waiting", "stuck"), "doubtful", None, (enter_doubt,)),
    Row("order_doubted", ENDED,            "doubtful",         None,                 (enter_doubt,),
        "an order reported dead was seen alive", late=True),
    # -- time
    Row("deadline",     "passive_limit",    None,               has_sibling,          (tell_passive_over,),
        "both legs escalate together, the lagging one first: the close says when"),
    Row("deadline",     "passive_limit",    "withdrawing",      order_is_alive,       (withdraw_for_next_rung,),
        "the rung's time is over"),
    Row("deadline",     "passive_limit",    "aggressive_limit", next_is_aggressive,   (enter_aggressive,),
        "the rung's time is over"),
    Row("deadline",     "passive_limit",    "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("deadline",     "aggressive_limit", "withdrawing",      order_is_alive,       (withdraw_for_next_rung,),
        "the rung's time is over"),
    Row("deadline",     "aggressive_limit", "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("deadline",     _BETWEEN,           None,               None,                 (wish_next_rung,)),
    Row("deadline",     "waiting",          "aggressive_limit", next_is_aggressive,   (enter_aggressive,),
        "the rung's time is over"),
    Row("deadline",     "waiting",          "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("attempt",      _AM,                "withdrawing",      order_may_be_renewed, (withdraw_for_step,),
        "the attempt's own time ran out"),
    Row("attempt",      _AM,                None,               None,                 (ignore,),
        "a rest below the minimum is not cancelled for a better price"),
    Row("pause",        _R,                 None,               None,                 (try_again,)),
    Row("gate",         "waiting",          "aggressive_limit", next_is_aggressive,   (waive_spread, enter_aggressive),
        "no longer waits for a narrower spread"),
    Row("gate",         "waiting",          "market",           None,                 (waive_spread, enter_market),
        "no longer waits for a narrower spread"),
    Row("retry",        "stuck",            "market",           None,                 (retry,),
        "one more market order for what remains"),
    Row("retry_asked",  "stuck",            "market",           None,                 (retry,),
        "one more market order for what remains"),
    Row("retry_asked",  ("idle", *_R, *_BETWEEN, "waiting", *ENDED), None, None,     (ignore,)),
    # -- the close asks for a higher rung
    Row("escalate",     _PA,                "withdrawing",      may_leave_for_higher, (withdraw_for_asked_rung,),
        "the close asks for a higher rung"),
    Row("escalate",     "passive_limit",    "aggressive_limit", rises_to_aggressive,  (enter_aggressive,),
        "the close asks for a higher rung"),
    Row("escalate",     _PA,                "market",           rises_to_market,      (enter_market,),
        "the close asks for a higher rung"),
    Row("escalate",     _PA,                None,               None,                 (ignore,),
        "already there, or its rest could not be placed again"),
    Row("escalate",     "waiting",          "aggressive_limit", rises_to_aggressive,  (enter_aggressive,),
        "the close asks for a higher rung"),
    Row("escalate",     "waiting",          "market",           rises_to_market,      (enter_market,),
        "the close asks for a higher rung"),
    Row("escalate",     "waiting",          None,               None,                 (ignore,)),
    Row("escalate",     _BETWEEN,           None,               None,                 (wish_asked_rung,)),
    Row("escalate",     ("idle", "market", *ENDED, "stuck"), None, None,             (ignore,)),
    # -- the book, the venue, the operator
    Row("recheck",   "passive_limit",    "withdrawing",      requote_is_wanted,    (withdraw_for_requote,),
        "the price moved away from the resting order"),
    Row("recheck",   "waiting",          "market",           waits_for_market,     (leave_wait,),
        "the gate is open again"),
    Row("recheck",   "waiting",          "aggressive_limit", waits_for_aggressive, (leave_wait,),
        "the gate is open again"),
    Row("recheck",   "waiting",          "passive_limit",    waits_for_passive,    (leave_wait,),
        "the gate is open again"),
    Row("recheck",   _ALL,               None,               None,                 (ignore,)),
    Row("halt",         _R,                 "withdrawing",      order_is_alive,       (withdraw,)),
    Row("halt",         ("idle", *_R, *_BETWEEN, "waiting", *ENDED, "stuck"), None, None, (ignore,)),
    Row("hold",         _R,                 "withdrawing",      order_is_alive,       (withdraw_and_hold,),
        "the close holds its legs back"),
    Row("hold",         (*_R, "waiting", "stuck"), "idle",      None,                 (hold,),
        "the close holds its legs back"),
    Row("hold",         _BETWEEN,           None,               None,                 (hold_later,)),
    Row("hold",         ("idle", *ENDED),  None,               None,                 (ignore,),
        "the close holds its legs back"),
)  # fmt: skip
TABLE = Table("leg", STATES, ROWS, "idle", Leg)
