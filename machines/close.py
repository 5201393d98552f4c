"""The close machine: one or two legs taken to flat together, without being naked longer than needed.

Theory of operation. The close fixes the targets from what the venues say (`preparing`), once no own
order on its positions can fill any more, starts its legs, and from then on is at the rung of its
furthest leg. Everything a leg does arrives as `leg_moved`; the coupling of the legs is the table
`JOINT`, keyed by what both legs are doing and applied until nothing changes. When both legs have
ended it asks the venues again (`reconciling`) and believes only two equal reads taken after the last
fill. It ends `reconciled` and nowhere else; a fill that arrives later opens it again, and no other
word does. Legs stay held, without an order, until it starts them; so they do while it is `frozen`
and prepares anew after that.

It knows no venue, no socket and no clock; money and exposure come from facts.

Invariants
1. A close only goes forward: (round, state) never falls (I8); only `reconciling` may return to
   `market`, and that is a new round, of which there are `residual_rounds_max`.
2. It ends only with no order alive on any leg and venue evidence for every leg (I9).
3. It never trades on the opening side of a leg, whatever the other leg did.
4. Exposure past the budget is always visible: an escalation and an alarm (I10).

Beside this file: what a close knows (`close_model`), the guards (`close_guards`), the actions
(`close_actions`, those about reads in `close_reading`) and the two legs together (`joint`).
"""

from __future__ import annotations

from machines.close_actions import (
    abandon_withdrawal,
    begin_withdrawal,
    call_person,
    end_external,
    end_reconciled,
    end_withdrawn,
    escalate_in_order,
    fix_targets,
    follow_legs,
    freeze,
    give_up_rounds,
    ignore,
    note_urgency,
    quarantine,
    raise_stuck,
    raise_urgency,
    resume_frozen,
    retry_stuck,
    spend_budget,
    start_idle_legs,
    start_round,
    write_off,
)
from machines.close_guards import (
    a_leg_came_back,
    a_leg_is_stuck,
    a_stuck_leg_is_untold,
    all_legs_ended,
    evidence_is_incomplete,
    furthest_is_aggressive,
    furthest_is_market,
    is_a_kill,
    may_be_dropped,
    may_be_withdrawn,
    nothing_filled_since,
    nothing_to_close,
    read_is_unusable,
    reads_left_just_now,
    rest_exceeds_rounds,
    rest_is_tradeable,
    starts_aggressive,
    starts_passive,
    truth_is_asked_for,
    truth_is_foreign,
    truth_is_missing,
    was_withdrawn,
    was_written_off,
    withdrawal_failed,
)
from machines.close_model import Close
from machines.close_reading import (
    account,
    ask_anew,
    ask_missing_reads,
    ask_missing_truth,
    ask_truth,
    begin_again,
    begin_reconciling,
    count_read,
    look_again,
    restart_reads,
)
from machines.table import Row, State, Table

STATES = (
    State("preparing", "reading positions, awaiting the end of own orders; targets not fixed yet",
        "ask: 0.25 s to 5 s; silent: alarm_after_s", group="alive"),
    State("passive_limit", "no leg is beyond its passive rung", "budget: naked_budget_usd_s",
        unbounded="the legs' own deadlines", group="alive / run / ladder"),
    State("aggressive_limit", "the furthest leg is on aggressive_limit", "budget: naked_budget_usd_s",
        unbounded="the legs' own deadlines", group="alive / run / ladder"),
    State("market", "the furthest leg is on market", "budget: naked_budget_usd_s",
        unbounded="the legs' own attempts", group="alive / run / ladder"),
    State("reconciling", "every leg has ended; two equal reads of the venues are awaited",
        "ask: 0.25 s to 5 s; silent: alarm_after_s", group="alive"),
    State("reconciled", "ended: flat, dust, partial, external or withdrawn", terminal=True),
    State("stuck", "a leg's ladder is exhausted; retried, a person is called",
        "budget: naked_budget_usd_s",
        unbounded="each stuck leg retries every stuck_retry_s", group="alive / run"),
    State("frozen", "foreign activity; an operator decides", unbounded="only an operator ends it",
        group="held back"),
    State("quarantined", "our own bug; nothing is created", unbounded="only an operator ends it",
        group="held back"),
)  # fmt: skip
_LADDER = ("passive_limit", "aggressive_limit", "market")
_RUN = (*_LADDER, "stuck")
_LIVE = ("preparing", *_RUN, "reconciling")
_ALL = (*_LIVE, "reconciled", "frozen", "quarantined")
# Why simulations do not take some rows.
_POISON = "fault poison_event: only a bug of ours leads there"
_QUARANTINED = f"quarantined: {_POISON}"
_UNADDRESSED = "reconciled: what people ask is about closes that are alive"
ROWS = (
    # trigger           source              dest                guard                   actions
    # -- preparing
    Row("truth",        "preparing",        None,               truth_is_asked_for,     (ignore,),
        "a missing snapshot is unknown, never zero; the timer asks again"),
    Row("truth",        "preparing",        None,               truth_is_missing,       (ask_missing_truth,),
        "a missing snapshot is unknown, never zero",
        bound="paced: 0.25 s, doubling to 5 s, until the venue answers"),
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
    Row("truth",        (*_RUN, "reconciled", "frozen", "quarantined"), None, None,     (ignore,),
        untaken=_QUARANTINED),
    Row("leg_moved",    "preparing",        None,               None,                   (ask_anew, look_again),
        "an own order that was awaited is dead, or has filled",
        bound="caller: one per report of an order"),
    Row("leg_moved",    "frozen",           None,               None,                   (ignore,)),
    # -- the ladder
    Row("leg_moved",    "passive_limit",    "reconciled",       was_withdrawn,          (end_withdrawn,)),
    Row("leg_moved",    _LADDER,            "reconciling",      all_legs_ended,         (begin_reconciling,),
        "every leg has ended: the venues are asked for what is left"),
    Row("leg_moved",    "stuck",            "reconciling",      all_legs_ended,         (begin_reconciling,),
        "every leg has ended: the venues are asked for what is left",
        bound="caller: one per retry of a stuck leg, each stuck_retry_s after the one before"),
    Row("leg_moved",    "passive_limit",    "aggressive_limit", withdrawal_failed,      (abandon_withdrawal,)),
    Row("leg_moved",    _RUN,               None,               a_leg_came_back,        (start_idle_legs,),
        "an ended leg whose order was seen alive is free again: whatever is left of it goes on",
        bound="caller: one per order that was reported dead and seen alive"),
    Row("leg_moved",    "stuck",            None,               a_leg_is_stuck,         (follow_legs,),
        bound="rung: a leg that is asked for a rung it has stays"),
    Row("leg_moved",    _LADDER,            "stuck",            a_leg_is_stuck,         (raise_stuck,),
        "alive and retried, never reported as finished",
        untaken="passive_limit, aggressive_limit: a leg is stuck after market, where its close has followed it"),
    Row("leg_moved",    "market",           None,               a_stuck_leg_is_untold,  (raise_stuck, follow_legs),
        "one ladder is exhausted while the other leg is still on its own",
        bound="caller: a person is told once"),
    Row("leg_moved",    ("passive_limit", "aggressive_limit", "stuck"), "market", furthest_is_market, (follow_legs,),
        "the furthest leg went there",
        bound="rung: it never falls; a stuck leg retries every stuck_retry_s"),
    Row("leg_moved",    "passive_limit",    "aggressive_limit", furthest_is_aggressive, (follow_legs,),
        "the furthest leg went there"),
    Row("leg_moved",    _RUN,               None,               None,                   (follow_legs,),
        bound="rung: a leg that is asked for a rung it has stays",
        untaken="stuck: it stays, goes to market, ends or comes back, each by a row of its own"),
    Row("passive_over", _LADDER,            None,               None,                   (escalate_in_order,),
        bound="rung: it never falls"),
    Row("passive_over", ("preparing", "reconciling", "reconciled", "stuck", "frozen", "quarantined"), None, None, (ignore,),
        untaken="preparing, reconciling, reconciled, stuck, frozen, quarantined: "
        "a leg on its passive rung keeps its close on the ladder"),
    Row("budget",       _RUN,               None,               None,                   (spend_budget,),
        bound="naked_budget_usd_s"),
    Row("budget",       ("preparing", "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        untaken=f"preparing: no budget runs before the legs start; {_QUARANTINED}"),
    # -- asked again
    Row("asked_again",  ("market", "stuck"), None,              is_a_kill,              (raise_urgency, retry_stuck),
        "everything is to be closed now: what is stuck tries at once",
        bound="person: one per request"),
    Row("asked_again",  _RUN,               None,               None,                   (raise_urgency,),
        "one owner per position: a second request can only raise the urgency"),
    Row("asked_again",  ("preparing", "reconciling", "frozen", "quarantined"), None, None, (note_urgency,),
        "nothing is sent by it; when the legs are started, they start no lower",
        untaken=_QUARANTINED),
    Row("asked_again",  "reconciled",       None,               None,                   (ignore,),
        untaken="a request after the end makes a new close"),
    Row("withdraw",     "passive_limit",    None,               may_be_withdrawn,       (begin_withdrawal,)),
    Row("withdraw",     "preparing",        "reconciled",       may_be_dropped,         (end_withdrawn,)),
    Row("withdraw",     ("preparing", *_RUN, "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        "later than the first rung, or after a fill, a close cannot be withdrawn",
        untaken=f"{_UNADDRESSED}; {_QUARANTINED}"),
    # -- reconciling
    Row("truth",        "reconciling",      "frozen",           truth_is_foreign,       (freeze,),
        "foreign activity: an operator decides"),
    Row("truth",        "reconciling",      None,               read_is_unusable,       (ignore,),
        "it counts for nothing; the timer asks again"),
    Row("truth",        "reconciling",      None,               None,                   (count_read,),
        bound="venue: one per read; two equal ones end it"),
    Row("evidence",     "reconciling",      None,               evidence_is_incomplete, (ignore,)),
    Row("evidence",     "reconciling",      "market",           rest_is_tradeable,      (start_round,),
        "the venues agree that something tradeable is left"),
    Row("evidence",     "reconciling",      "stuck",            rest_exceeds_rounds,    (give_up_rounds,),
        "the rounds are used up and something is left"),
    Row("evidence",     "reconciling",      "reconciled",       None,                   (end_reconciled,),
        "two equal reads of every venue confirm it"),
    Row("evidence",     ("preparing", *_RUN, "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        "one read of both legs says it twice; the first has settled it",
        untaken="preparing, passive_limit, aggressive_limit, frozen, quarantined: "
        "a second word of one step meets the close where the first one led"),
    Row("leg_moved",    "reconciling",      None,               reads_left_just_now,    (account,),
        "asking twice in one instant would pass for two reads"),
    Row("leg_moved",    "reconciling",      None,               None,                   (restart_reads,),
        "a fill or a revived order while the venues were being read",
        bound="fills: what remains only shrinks"),
    Row("leg_moved",    "reconciled",       None,               was_written_off,        (ignore,),
        "what an operator has taken over is not ours to close"),
    Row("leg_moved",    "reconciled",       None,               nothing_filled_since,   (ignore,),
        "a word about a dead order, or a leg that comes to rest: what has ended stays so"),
    Row("leg_moved",    "reconciled",       "reconciling",      None,                   (begin_again,),
        "a fill after the end opens it again", late=True,
        bound="fills: one per fill after the end"),
    Row("ask",          "preparing",        None,               None,                   (ask_missing_truth, look_again),
        "an answer may never come, and not all that is missing is told",
        bound="paced: 0.25 s, doubling to 5 s, until the venue answers"),
    Row("ask",          "reconciling",      None,               None,                   (ask_missing_reads,),
        "an answer may never come",
        bound="paced: 0.25 s, doubling to 5 s, until the venue answers"),
    Row("silent",       ("preparing", "reconciling"), None,     None,                   (call_person,)),
    # -- people and bugs
    Row("retry_asked",  ("stuck", "market"), None,              None,                   (retry_stuck,),
        bound="person: one per request"),
    Row("retry_asked",  ("preparing", "passive_limit", "aggressive_limit", "reconciling", "reconciled", "frozen", "quarantined"), None, None, (ignore,),
        untaken=f"{_UNADDRESSED}; {_QUARANTINED}"),
    Row("foreign",      _LIVE,              "frozen",           None,                   (freeze,)),
    Row("foreign",      ("reconciled", "frozen", "quarantined"), None, None,            (ignore,),
        untaken=f"reconciled: what has ended owns no position; {_QUARANTINED}"),
    Row("adopt",        "frozen",           "preparing",        None,                   (resume_frozen,),
        bound="person: one per decision"),
    Row("adopt",        (*_LIVE, "reconciled", "quarantined"), None, None,              (ignore,),
        untaken=f"{_UNADDRESSED}; {_QUARANTINED}"),
    Row("write_off",    ("frozen", "stuck", "quarantined"), "reconciled", None,         (write_off,),
        bound="person: one per decision",
        untaken=_QUARANTINED),
    Row("write_off",    ("preparing", *_LADDER, "reconciling", "reconciled"), None, None, (ignore,),
        untaken=_UNADDRESSED),
    Row("break",        _LIVE,              "quarantined",      None,                   (quarantine,),
        untaken=_POISON),
    Row("break",        ("reconciled", "frozen"), "quarantined", None,                  (quarantine,), late=True,
        untaken=_POISON),
    Row("break",        "quarantined",      None,               None,                   (ignore,),
        untaken=_POISON),
    Row("leg_moved",    "quarantined",      None,               None,                   (account,),
        untaken=_POISON),
    Row("release",      "quarantined",      "preparing",        None,                   (resume_frozen,),
        bound="person: one per decision",
        untaken=_POISON),
    Row("release",      (*_LIVE, "reconciled", "frozen"), None, None,                   (ignore,),
        untaken=_UNADDRESSED),
    # -- a new process
    Row("restarted",    "preparing",        None,               None,                   (ask_truth,),
        bound="person: one per start of a process"),
    Row("restarted",    "reconciling",      None,               None,                   (restart_reads,),
        bound="person: one per start of a process"),
    Row("restarted",    (*_RUN, "reconciled", "frozen", "quarantined"), None, None,     (ignore,),
        untaken=f"reconciled: a new process tells only closes that are alive; {_QUARANTINED}"),
)  # fmt: skip
TABLE = Table("close", STATES, ROWS, "preparing", Close)
