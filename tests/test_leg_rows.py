"""Rows of the leg machine, taken one by one on a leg that was put into a state by hand.

What a row should do is written here from the ladder's rules, not read off the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from machines.leg_model import FREE, Leg
from machines.messages import RulesRead
from machines.policy.escalating import STUCK
from machines.table import Out
from machines.types import (
    AGGRESSIVE,
    MARKET,
    NS,
    PASSIVE,
    AggressiveSettings,
    Capabilities,
    CloseSettings,
    PassiveSettings,
)
from tests.picture import picture
from tests.rows import TEN, Bench, kinds, told

RUNG_STATES = ("passive_limit", "aggressive_limit", "market")
BETWEEN = ("withdrawing", "doubtful")
ENDED = ("done", "dust")
ALL = ("idle", *RUNG_STATES, *BETWEEN, "waiting", *ENDED, "stuck")
#: Four units at 100.20 are worth 4.008, below the minimum notional of 5.
TINY = 4
NO_AGGRESSIVE = CloseSettings(aggressive_limit=AggressiveSettings(timeout_ns=0))


def rung_of(state: str) -> int:
    return RUNG_STATES.index(state) if state in RUNG_STATES else PASSIVE


def leg_in(bench: Bench, state: str, **how: Any) -> Leg:
    """A leg in a state; one between two orders still has the first of them."""
    how.setdefault("rung", MARKET if state == "stuck" else rung_of(state))
    if state in BETWEEN:
        how.setdefault("order", "cancelling" if state == "withdrawing" else "unknown")
    if state == "done":
        how.setdefault("rest", 0)
    if state == "dust":
        how.setdefault("rest", TINY)
    leg = bench.leg(state, **how)
    if state == "stuck":
        leg.timers["retry"] = bench.now + 30 * NS
    return leg


def check_arrival(leg: Leg, out: Any) -> None:
    """What must hold in a state, however it was reached."""
    messages = told(out)
    assert "Place" not in kinds(out), "an order comes only from an attempt that is due"
    if leg.state in ENDED or leg.state == "idle":
        assert leg.timers == {}
        assert leg.held, "what has ended or is held back stays without an order"
        assert leg not in leg.book.watchers
        assert ("x", "leg_moved") in messages
    elif leg.state in RUNG_STATES:
        assert leg.rung == rung_of(leg.state)
        assert (leg.id, "attempt_due") in messages
        assert ("deadline" in leg.timers) == (leg.state != "market")
    elif leg.state == "withdrawing":
        assert leg.order is not None
        assert (leg.order.id, "cancel_asked") in messages
        assert not {"attempt", "pause"} & leg.timers.keys()
    elif leg.state == "doubtful":
        assert not {"attempt", "pause", "gate", "retry"} & leg.timers.keys()
    elif leg.state == "stuck":
        assert list(leg.timers) == ["retry"]
        assert (leg.rung, leg.held) == (MARKET, False)
        assert leg not in leg.book.watchers
        assert ("x", "leg_moved") in messages


# ---------------------------------------------------------------- nothing happens

QUIET: dict[str, tuple[Any, tuple[str, ...]]] = {
    "start": (PASSIVE, (*RUNG_STATES, *BETWEEN, "waiting")),
    "exhaust": (None, (*RUNG_STATES, *BETWEEN, "waiting", "stuck")),
    "attempt_due": (None, ("idle", *BETWEEN, "waiting", *ENDED, "stuck")),
    "order_live": (None, ("idle", *RUNG_STATES[1:], "withdrawing", "waiting", *ENDED, "stuck")),
    "retry_asked": (None, ("idle", *RUNG_STATES, *BETWEEN, "waiting", *ENDED)),
    "escalate": (PASSIVE, ("idle", *RUNG_STATES, "waiting", *ENDED, "stuck")),
    "recheck": (None, tuple(state for state in ALL if state != "waiting")),
    "halt": (None, ALL),
    "hold": (None, ("idle", *ENDED)),
}


@pytest.mark.parametrize(
    ("trigger", "state"), [(name, state) for name, (_, states) in QUIET.items() for state in states]
)
def test_what_came_too_late_or_asks_for_less_changes_nothing(trigger: str, state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    before = picture(bench.core)
    out = bench.fire(leg, trigger, QUIET[trigger][0])
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


def test_a_shut_gate_keeps_a_leg_waiting_when_it_is_told_to_look() -> None:
    bench = Bench()
    leg = leg_in(bench, "waiting")
    bench.core.env.halted = True
    before = picture(bench.core)
    assert told(bench.fire(leg, "recheck")) == []
    assert picture(bench.core) == before


@pytest.mark.parametrize("state", RUNG_STATES)
def test_an_attempt_beside_a_living_order_is_none(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="live")
    out = bench.fire(leg, "attempt_due")
    assert (leg.state, out.commands, told(out)) == (state, [], [])


@pytest.mark.parametrize("state", ["aggressive_limit", "market"])
def test_an_attempt_whose_order_is_gone_is_not_renewed(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    out = bench.fire(leg, "attempt")
    assert (leg.state, out.commands, told(out)) == (state, [], [])


def test_a_rest_below_the_minimum_is_not_cancelled_for_a_better_price() -> None:
    bench = Bench()
    leg = leg_in(bench, "aggressive_limit", order="live", rest=TINY)
    assert told(bench.fire(leg, "attempt")) == []
    assert leg.state == "aggressive_limit"


@pytest.mark.parametrize("state", ALL)
def test_a_fill_is_passed_on_in_every_state(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    out = bench.fire(leg, "order_filling", leg.order)
    assert leg.state == state
    assert told(out) == [("x", "leg_moved")]


@pytest.mark.parametrize("state", ["idle", "waiting", *ENDED, "stuck"])
def test_the_end_of_an_old_order_is_passed_on_where_nothing_hangs_on_it(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    out = bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert leg.state == state
    assert told(out) == [("x", "leg_moved")]


# ---------------------------------------------------------------- one state to another

RUNGS = (("passive_limit", PASSIVE), ("aggressive_limit", AGGRESSIVE), ("market", MARKET))
RESTS = (("done", 0), ("dust", TINY))

Move = tuple[str, str, str, dict[str, Any], Any]
MOVES: list[Move] = [
    # A start, also for a new round and from a leg that had ended.
    *(
        ("start", state, end, {"rest": rest}, PASSIVE)
        for state in ("idle", "done", "dust", "stuck")
        for end, rest in RESTS
    ),
    *(
        ("start", state, dest, {"rest": TEN}, rung)
        for state in ("idle", "done", "dust", "stuck")
        for dest, rung in RUNGS
    ),
    *(("exhaust", state, "stuck", {}, None) for state in ("idle", *ENDED)),
    *(("exhaust", "idle", end, {"rest": rest}, None) for end, rest in RESTS),
    # An attempt with nothing, or too little, left to do.
    *(
        ("attempt_due", state, end, {"rest": rest}, None)
        for state in RUNG_STATES
        for end, rest in RESTS
    ),
    # A late fill of an earlier order makes the present one too large, or closes the leg.
    *(
        ("order_filling", state, "withdrawing", {"rest": TEN - 300, "order": "live"}, None)
        for state in RUNG_STATES
    ),
    *(
        ("order_filling", state, "done", {"rest": 0}, None)
        for state in (*RUNG_STATES, "waiting", "stuck")
    ),
    # The rung's time is over.
    ("deadline", "aggressive_limit", "withdrawing", {"order": "live"}, None),
    ("deadline", "aggressive_limit", "market", {}, None),
    ("deadline", "waiting", "aggressive_limit", {}, None),
    ("deadline", "waiting", "market", {"rung": AGGRESSIVE}, None),
    ("gate", "waiting", "aggressive_limit", {}, None),
    ("gate", "waiting", "market", {"rung": AGGRESSIVE}, None),
    ("attempt", "aggressive_limit", "withdrawing", {"order": "live"}, None),
    ("attempt", "market", "withdrawing", {"order": "live"}, None),
    ("retry", "stuck", "market", {}, None),
    ("retry_asked", "stuck", "market", {}, None),
    # The close asks for a higher rung.
    ("escalate", "passive_limit", "withdrawing", {"order": "live"}, AGGRESSIVE),
    ("escalate", "aggressive_limit", "withdrawing", {"order": "live"}, MARKET),
    ("escalate", "passive_limit", "aggressive_limit", {}, AGGRESSIVE),
    ("escalate", "passive_limit", "market", {}, MARKET),
    ("escalate", "aggressive_limit", "market", {}, MARKET),
    ("escalate", "waiting", "aggressive_limit", {}, AGGRESSIVE),
    ("escalate", "waiting", "market", {}, MARKET),
    # Somebody wants no order here.
    *(("halt", state, "withdrawing", {"order": "live"}, None) for state in RUNG_STATES),
    *(("hold", state, "withdrawing", {"order": "live"}, None) for state in RUNG_STATES),
    *(("hold", state, "idle", {}, None) for state in (*RUNG_STATES, "waiting", "stuck")),
    # An order is in doubt.
    *(("order_doubted", state, "doubtful", {}, None) for state in ALL),
]


@pytest.mark.parametrize(("trigger", "state", "dest", "how", "message"), MOVES)
def test_a_leg_goes_where_the_ladder_says(
    trigger: str, state: str, dest: str, how: dict[str, Any], message: Any
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, **how)
    out = bench.fire(leg, trigger, message)
    assert leg.state == dest
    check_arrival(leg, out)


@pytest.mark.parametrize(
    ("settings", "how", "dest"),
    [
        (CloseSettings(), {"order": "live"}, "withdrawing"),
        (CloseSettings(), {}, "aggressive_limit"),
        (NO_AGGRESSIVE, {}, "market"),
    ],
)
def test_a_single_leg_leaves_its_passive_rung_by_its_own_deadline(
    settings: CloseSettings, how: dict[str, Any], dest: str
) -> None:
    bench = Bench(settings, single=True)
    leg = leg_in(bench, "passive_limit", **how)
    out = bench.fire(leg, "deadline")
    assert leg.state == dest
    check_arrival(leg, out)


def test_one_of_two_legs_lets_the_close_say_who_leaves_passive_first() -> None:
    bench = Bench()
    leg = leg_in(bench, "passive_limit", order="live")
    assert told(bench.fire(leg, "deadline")) == [("x", "passive_over")]
    assert leg.state == "passive_limit"


def test_a_venue_that_takes_no_resting_reduce_only_order_gets_market_orders() -> None:
    bench = Bench(capabilities=Capabilities(reduce_only="ioc_only"))
    leg = leg_in(bench, "idle")
    bench.fire(leg, "start", PASSIVE)
    assert leg.state == "market"


def test_doubt_about_one_order_withdraws_another_that_may_fill() -> None:
    bench = Bench()
    leg = leg_in(bench, "aggressive_limit", order="contradicted")
    revived, present = leg.order, bench.order(leg, "live")
    leg.timers.update(attempt=bench.now, pause=bench.now, gate=bench.now, deadline=bench.now)
    out = bench.fire(leg, "order_doubted", revived)
    assert told(out) == [(present.id, "cancel_asked")]
    assert list(leg.timers) == ["deadline"]


@pytest.mark.parametrize("state", RUNG_STATES)
def test_what_the_venue_took_withdraws_a_larger_order_and_is_told(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, rest=TEN - 300, order="live")
    assert leg.order is not None
    out = bench.fire(leg, "order_filling")
    assert told(out) == [(leg.order.id, "cancel_asked"), ("x", "leg_moved")]


# ---------------------------------------------------------------- an order ended


@pytest.mark.parametrize("state", BETWEEN)
@pytest.mark.parametrize(
    ("how", "dest"),
    [
        ({"rest": 0}, "done"),
        ({"held": True}, "idle"),
        ({"next_rung": STUCK, "rung": MARKET}, "stuck"),
        ({"next_rung": MARKET}, "market"),
        ({"next_rung": AGGRESSIVE}, "aggressive_limit"),
    ],
)
def test_between_two_orders_the_end_of_the_first_leads_on(
    state: str, how: dict[str, Any], dest: str
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="", **how)
    out = bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert leg.state == dest
    check_arrival(leg, out)


@pytest.mark.parametrize("state", BETWEEN)
def test_the_end_of_one_order_proves_nothing_while_another_may_fill(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="unknown")
    out = bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert (leg.state, told(out), kinds(out)) == ("doubtful", [], [])


@pytest.mark.parametrize("state", BETWEEN)
def test_a_liquidation_is_heeded_while_another_order_is_in_doubt(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="unknown")
    taken = bench.order(leg, "cancelled")
    taken.end_reason = "LIQUIDATED"
    out = bench.fire(leg, "order_ended", taken)
    assert (leg.state, kinds(out)) == ("doubtful", ["ReadTruth"])
    assert leg.read_after == bench.now


@pytest.mark.parametrize("state", BETWEEN)
@pytest.mark.parametrize(("dest", "rung"), RUNGS)
def test_an_order_that_was_cancelled_on_purpose_is_followed_at_once(
    state: str, dest: str, rung: int
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="", rung=rung)
    ended = bench.order(leg, "cancelled")
    ended.cancel_wanted = True
    out = bench.fire(leg, "order_ended", ended)
    assert leg.state == dest
    assert (leg.id, "attempt_due") in told(out)


def test_a_doubtful_order_that_ended_unasked_is_followed_after_a_pause() -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", order="")
    out = bench.fire(leg, "order_ended", bench.order(leg, "rejected"))
    assert (leg.state, told(out)) == ("passive_limit", [])
    assert leg.timers["pause"] == bench.now + leg.settings.backoff_ns


@pytest.mark.parametrize("state", RUNG_STATES)
def test_an_order_that_filled_whole_is_followed_at_once_for_what_was_never_in_it(
    state: str,
) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    out = bench.fire(leg, "order_ended", bench.order(leg, "filled", cum=TEN))
    assert (leg.state, told(out)) == (state, [(leg.id, "attempt_due")])


@pytest.mark.parametrize("state", RUNG_STATES)
def test_an_order_that_ended_in_part_is_followed_after_a_pause_at_the_same_rung(
    state: str,
) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    out = bench.fire(leg, "order_ended", bench.order(leg, "cancelled", cum=300))
    assert (leg.state, told(out)) == (state, [])
    assert "pause" in leg.timers
    assert told(bench.fire(leg, "pause")) == [(leg.id, "attempt_due")]


@pytest.mark.parametrize(
    ("settings", "dest"), [(CloseSettings(), "aggressive_limit"), (NO_AGGRESSIVE, "market")]
)
def test_too_many_refusals_end_the_passive_rung(settings: CloseSettings, dest: str) -> None:
    bench = Bench(settings)
    allowed = settings.passive_limit.post_only_rejects_max
    leg = leg_in(bench, "passive_limit", refusals=allowed)
    out = bench.fire(leg, "order_ended", bench.order(leg, "rejected"))
    assert leg.state == dest
    check_arrival(leg, out)


@pytest.mark.parametrize(("state", "dest"), [("aggressive_limit", "market"), ("market", "stuck")])
def test_the_last_attempt_of_a_rung_ends_it(state: str, dest: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, attempts=8)
    out = bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert leg.state == dest
    check_arrival(leg, out)


# ---------------------------------------------------------------- the reason of a refusal decides

WAITS = ("RATE_LIMITED", "BANNED", "OVERLOADED", "NOT_SENT")
REPAIRS = ("CLOCK_SKEW", "NONCE")
HALTS = ("AUTH", "PERMISSION", "VENUE_MODE", "HALTED", "UNSUPPORTED", "MALFORMED")
READS = ("REDUCE_ONLY_VIOLATION", "REDUCE_ONLY_CAPACITY", "SELF_TRADE", "UNKNOWN_ORDER")
RULES = ("BELOW_MIN_QTY", "BELOW_MIN_NOTIONAL", "BAD_TICK", "BAD_LOT", "ABOVE_MAX")
ATTEMPTS = ("WOULD_CROSS", "FOK_UNFILLABLE", "PRICE_BAND", "INSUFFICIENT_MARGIN", "ORDER_LIMIT")


def refuse(bench: Bench, leg: Leg, reason: str) -> Out:
    """The leg's attempt is refused for this reason."""
    order = bench.order(leg, "rejected")
    order.end_reason = reason
    leg.attempts += 1
    return bench.fire(leg, "order_ended", order)


@pytest.mark.parametrize("state", RUNG_STATES)
@pytest.mark.parametrize("reason", [*WAITS, *HALTS])
def test_a_refusal_that_asks_to_wait_never_spends_an_attempt(reason: str, state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    for _ in range(9):
        out = refuse(bench, leg, reason)
        assert (leg.state, leg.attempts, leg.refusals) == (state, 0, 0)
        assert leg.timers["pause"] == bench.now + leg.settings.backoff_ns
        assert (kinds(out), told(out)) == ([], [])


@pytest.mark.parametrize("state", RUNG_STATES)
@pytest.mark.parametrize("reason", REPAIRS)
def test_what_one_more_try_does_not_repair_shuts_the_lane(reason: str, state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    assert told(refuse(bench, leg, reason)) == []
    assert told(refuse(bench, leg, reason)) == [("b", "pushed_back")]
    assert (leg.state, leg.attempts) == (state, 0)


@pytest.mark.parametrize("state", RUNG_STATES)
@pytest.mark.parametrize("reason", [*READS, *RULES])
def test_a_refusal_that_asks_to_read_spends_no_attempt_the_first_time(
    reason: str, state: str
) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    asked = ["ReadRules" if reason in RULES else "ReadTruth"]
    assert kinds(refuse(bench, leg, reason)) == asked
    assert (leg.attempts, leg.refusals) == (0, 0)
    assert kinds(refuse(bench, leg, reason)) == asked
    assert (leg.attempts, leg.refusals) == (1, 1), "it was read for nothing"


@pytest.mark.parametrize("changed", ["position", "rules"])
def test_what_was_read_for_nothing_is_read_again_when_something_has_changed(changed: str) -> None:
    bench = Bench()
    leg = leg_in(bench, "aggressive_limit")
    refuse(bench, leg, "REDUCE_ONLY_VIOLATION")
    if changed == "position":
        leg.holding.change(100)
    else:
        rules = replace(leg.instrument, version=leg.instrument.version + 1)
        bench.step(RulesRead(bench.now, 1, rules))
    refuse(bench, leg, "REDUCE_ONLY_VIOLATION")
    assert leg.attempts == 0


def test_each_reason_is_excused_once() -> None:
    bench = Bench()
    leg = leg_in(bench, "market")
    for reason in (*READS, *RULES):
        refuse(bench, leg, reason)
    assert leg.attempts == 0
    for count, reason in enumerate((*READS, *RULES), start=1):
        if count < 8:
            refuse(bench, leg, reason)
            assert leg.attempts == count


@pytest.mark.parametrize("state", RUNG_STATES)
@pytest.mark.parametrize("reason", [*ATTEMPTS, "SOMETHING_NEW"])
def test_a_refusal_of_the_order_itself_spends_an_attempt(reason: str, state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    refuse(bench, leg, reason)
    assert (leg.attempts, leg.refusals) == (1, 1)


@pytest.mark.parametrize("rung", [PASSIVE, AGGRESSIVE, MARKET])
def test_a_doubtful_order_that_was_refused_for_such_a_reason_is_excused_too(rung: int) -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", rung=rung, order="rejected", attempts=1)
    assert leg.order is not None
    leg.order.end_reason = "RATE_LIMITED"
    bench.fire(leg, "order_ended", leg.order)
    assert (leg.state, leg.attempts) == (RUNG_STATES[rung], 0)
    assert "pause" in leg.timers


# ---------------------------------------------------------------- an order is known again


@pytest.mark.parametrize(("dest", "rung"), RUNGS)
def test_an_order_that_rests_after_all_is_taken_up_where_it_was(dest: str, rung: int) -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", order="live", rung=rung)
    out = bench.fire(leg, "order_live", leg.order)
    assert (leg.state, told(out)) == (dest, [])
    assert ("attempt" in leg.timers) == (rung != PASSIVE)


@pytest.mark.parametrize("how", [{"held": True}, {"next_rung": MARKET}])
def test_an_order_that_rests_but_is_unwanted_is_cancelled(how: dict[str, Any]) -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", order="live", **how)
    out = bench.fire(leg, "order_live", leg.order)
    assert leg.state == "withdrawing"
    check_arrival(leg, out)


def test_a_silently_repriced_order_is_cancelled_and_counts_as_a_refusal() -> None:
    bench = Bench()
    leg = leg_in(bench, "passive_limit", order="live")
    assert leg.order is not None
    leg.order.booked = 9_999
    out = bench.fire(leg, "order_live", leg.order)
    assert (leg.state, leg.refusals) == ("withdrawing", 1)
    check_arrival(leg, out)


def test_a_passive_order_at_the_price_asked_for_stays() -> None:
    bench = Bench()
    leg = leg_in(bench, "passive_limit", order="live")
    assert told(bench.fire(leg, "order_live", leg.order)) == []
    assert leg.state == "passive_limit"


@pytest.mark.parametrize("state", BETWEEN)
@pytest.mark.parametrize("dest", RUNG_STATES[:2])
def test_a_way_back_to_a_rung_with_a_deadline_has_one(state: str, dest: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="", rung=rung_of(dest))
    assert "deadline" not in leg.timers
    bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    settings = leg.settings.passive_limit if leg.rung == PASSIVE else leg.settings.aggressive_limit
    assert (leg.state, leg.timers["deadline"]) == (dest, bench.now + settings.timeout_ns)


@pytest.mark.parametrize("dest", RUNG_STATES[:2])
def test_a_deadline_that_still_runs_is_not_renewed(dest: str) -> None:
    bench = Bench()
    leg = leg_in(bench, "withdrawing", order="", rung=rung_of(dest))
    leg.timers["deadline"] = bench.now + NS
    bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert leg.timers["deadline"] == bench.now + NS


def test_a_leg_that_has_ended_does_not_come_back_by_itself() -> None:
    bench = Bench()
    leg = leg_in(bench, "aggressive_limit", rest=TINY)
    bench.fire(leg, "attempt_due")
    assert leg.state == "dust"
    revived = bench.order(leg, "contradicted")
    bench.fire(leg, "order_doubted", revived)
    leg.holding.accept(-TEN)
    revived.state = "cancelled"
    out = bench.fire(leg, "order_ended", revived)
    assert leg.state == "idle", "the close decides whether what is left is traded"
    check_arrival(leg, out)


# ---------------------------------------------------------------- a refusal doubts the position


@pytest.mark.parametrize("state", ALL)
def test_a_read_that_agrees_settles_a_refusal_in_every_state(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, read_after=bench.now)
    leg.timers["reread"] = bench.now + NS
    out = bench.fire(leg, "position_read")
    assert (leg.state, leg.read_after, told(out)) == (state, 0, [])
    assert "reread" not in leg.timers


@pytest.mark.parametrize("why", ["it agrees", "in doubt", "asked before", "not trusted"])
def test_a_refusal_is_settled_only_by_what_is_known_since(why: str) -> None:
    bench = Bench()
    leg = bench.leg("market", rung=MARKET)
    bench.tick()
    leg.read_after = asked = bench.now + (why == "asked before")
    if why == "not trusted":
        bench.core.sessions["b"].state = "backoff"
    bench.read("b", -300 if why == "in doubt" else -TEN, believed=False)
    assert leg.read_after == (0 if why == "it agrees" else asked)


@pytest.mark.parametrize("state", RUNG_STATES)
def test_an_order_that_may_have_filled_untold_ends_before_the_next_read(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="live")
    out = bench.fire(leg, "order_suspected")
    assert leg.state == "withdrawing"
    check_arrival(leg, out)
    leg.holding.state = "doubted"
    assert leg.order is not None
    leg.order.state = "cancelled"
    leg.holding.orders.clear()
    bench.drain(bench.fire(leg, "order_ended", leg.order))
    assert (leg.state, leg.wait_reason) == ("waiting", "position_read")


def test_an_order_in_doubt_is_cancelled_as_soon_as_it_may_be_too_large() -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", order="unknown")
    out = bench.fire(leg, "order_suspected")
    assert leg.state == "doubtful"
    assert leg.order is not None
    assert told(out) == [(leg.order.id, "cancel_asked")]


@pytest.mark.parametrize("state", sorted(set(ALL) - {"doubtful"}))
def test_a_suspicion_changes_nothing_where_no_order_rests(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    before = picture(bench.core)
    out = bench.fire(leg, "order_suspected")
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


def test_a_leg_that_waits_asks_for_what_is_in_question() -> None:
    bench = Bench()
    leg = leg_in(bench, "waiting")
    leg.holding.state = "doubted"
    leg.ask_count = 5
    bench.fire(leg, "position_doubted")
    assert leg.timers["reread"] == bench.now + NS // 4
    bench.tick()
    bench.fire(leg, "position_doubted")
    assert leg.timers["reread"] == bench.now - 3 * NS // 4, "one question at a time"


@pytest.mark.parametrize("why", ["known", "not trusted"])
def test_a_leg_asks_for_nothing_that_is_known_or_being_read(why: str) -> None:
    bench = Bench()
    leg = leg_in(bench, "waiting")
    if why == "not trusted":
        leg.holding.state = "unread"
        bench.core.sessions["b"].state = "recovering"
    out = bench.fire(leg, "position_doubted")
    assert (leg.timers, out.commands) == ({}, [])


@pytest.mark.parametrize("state", [state for state in ALL if state != "waiting"])
def test_a_leg_that_does_not_wait_asks_for_nothing(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    leg.holding.state = "doubted"
    before = picture(bench.core)
    out = bench.fire(leg, "position_doubted")
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


# ---------------------------------------------------------------- the venue takes no order

NO_ORDERS: dict[str, Callable[[Bench], None]] = {
    "mode": lambda bench: setattr(bench.core.sessions["b"], "mode", "cancel_only"),
    "trust": lambda bench: setattr(bench.core.sessions["b"], "state", "recovering"),
    "lane": lambda bench: setattr(bench.core.lanes["b"], "state", "banned"),
}
no_orders = pytest.mark.parametrize("why", NO_ORDERS.values(), ids=NO_ORDERS.keys())


@no_orders
def test_what_rests_is_not_cancelled_for_a_step_that_could_not_be_placed(
    why: Callable[[Bench], None],
) -> None:
    bench = Bench()
    leg = leg_in(bench, "aggressive_limit", order="live")
    leg.timers["deadline"] = bench.now + 9 * NS
    why(bench)
    out = bench.fire(leg, "attempt")
    assert (leg.state, leg.step, told(out)) == ("aggressive_limit", 0, [])
    assert leg.timers["attempt"] == bench.now + 5 * NS, "looked at again after an attempt's time"


@no_orders
@pytest.mark.parametrize(("state", "wish"), [("passive_limit", 1), ("aggressive_limit", 2)])
def test_what_rests_outlives_its_rung_until_the_venue_takes_orders(
    state: str, wish: int, why: Callable[[Bench], None]
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="live")
    why(bench)
    out = bench.fire(leg, "deadline")
    assert (leg.state, leg.next_rung, told(out)) == (state, wish, [])
    assert leg.timers["deadline"] == bench.now + 5 * NS
    assert told(bench.fire(leg, "recheck")) == [], "it takes none yet"
    bench.core.sessions["b"].mode = "online"
    bench.core.sessions["b"].state = "live"
    bench.core.lanes["b"].state = "open"
    out = bench.fire(leg, "recheck")
    assert leg.state == "withdrawing"
    check_arrival(leg, out)
    assert leg.order is not None
    leg.order.state = "cancelled"
    bench.fire(leg, "order_ended", leg.order)
    assert leg.state == RUNG_STATES[wish]


@no_orders
@pytest.mark.parametrize("state", ["passive_limit", "aggressive_limit"])
def test_a_rung_that_is_asked_for_is_remembered_while_the_venue_takes_no_order(
    state: str, why: Callable[[Bench], None]
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="live")
    why(bench)
    assert told(bench.fire(leg, "escalate", MARKET)) == []
    assert (leg.state, leg.next_rung) == (state, MARKET)
    assert leg.timers["deadline"] == bench.now + 5 * NS
    assert told(bench.fire(leg, "escalate", PASSIVE)) == []
    assert leg.next_rung == MARKET, "a wish never falls"
    assert leg.order is not None
    leg.order.state = "cancelled"
    bench.fire(leg, "order_ended", leg.order)
    assert leg.state == "market", "its order ended by itself: nothing keeps it below"


def test_an_order_that_ends_while_aggressive_limit_is_wished_for_is_followed_there() -> None:
    bench = Bench()
    leg = leg_in(bench, "passive_limit", order="cancelled", next_rung=AGGRESSIVE)
    bench.fire(leg, "order_ended", leg.order)
    assert leg.state == "aggressive_limit"


@no_orders
def test_a_quote_that_was_left_behind_stays_where_no_other_could_be_placed(
    why: Callable[[Bench], None],
) -> None:
    bench = Bench(CloseSettings(passive_limit=PassiveSettings(price="own_touch")))
    leg = leg_in(bench, "passive_limit", order="live")
    bench.tick(2)
    bench.quote(1, 10_003, 10_020)
    why(bench)
    bench.fire(leg, "recheck")
    assert (leg.state, leg.requotes) == ("passive_limit", 0)


# ---------------------------------------------------------------- the pair waits together


@pytest.mark.parametrize("rung", range(3))
@pytest.mark.parametrize(("sibling_did", "stays"), [(0, False), (TEN, True)])
def test_an_order_known_again_while_the_pair_waits_rests_only_for_the_difference(
    sibling_did: int, stays: bool, rung: int
) -> None:
    bench = Bench()
    leg = leg_in(bench, "doubtful", rung=rung, order="live")
    assert leg.sibling is not None
    leg.sibling.holding.change(-sibling_did)
    leg.close.timers["together"] = bench.now + 300 * NS
    bench.fire(leg, "order_live", leg.order)
    assert leg.state == (RUNG_STATES[rung] if stays else "withdrawing")


@pytest.mark.parametrize("state", RUNG_STATES)
@pytest.mark.parametrize(("sibling_did", "goes_on"), [(0, False), (600, True)])
def test_an_order_beyond_the_difference_is_withdrawn_while_the_pair_waits(
    state: str, sibling_did: int, goes_on: bool
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, order="live")
    if leg.state != "market":
        leg.timers["deadline"] = bench.now + 7 * NS
    assert leg.sibling is not None
    assert leg.order is not None
    leg.sibling.holding.change(-sibling_did)
    leg.order.qty = sibling_did or TEN
    leg.close.timers["together"] = bench.now + 300 * NS
    out = bench.fire(leg, "stand_by")
    assert leg.state == (state if goes_on else "withdrawing")
    if not goes_on:
        check_arrival(leg, out)
    assert "deadline" not in leg.timers
    assert leg.clock_left == (-1 if state == "market" else 7 * NS)


@pytest.mark.parametrize("state", [*BETWEEN, "waiting"])
def test_the_time_of_a_rung_stands_while_the_pair_waits_and_goes_on_after_it(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    leg.timers["deadline"] = bench.now + 7 * NS
    leg.close.timers["together"] = bench.now + 300 * NS
    bench.fire(leg, "stand_by")
    assert (leg.state, leg.timers, leg.clock_left) == (state, {}, 7 * NS)
    bench.tick(50)
    del leg.close.timers["together"]
    out = bench.fire(leg, "carry_on")
    assert (leg.state, leg.clock_left) == (state, -1)
    assert leg.timers == {"deadline": bench.now + 7 * NS}
    assert told(out) == ([(leg.id, "recheck")] if state == "waiting" else [])


@pytest.mark.parametrize("state", RUNG_STATES)
def test_a_leg_without_a_time_of_its_own_carries_on_without_one(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    bench.fire(leg, "carry_on")
    assert (leg.state, leg.timers, leg.clock_left) == (state, {}, -1)


@pytest.mark.parametrize("state", ["idle", *ENDED, "stuck"])
@pytest.mark.parametrize("trigger", ["stand_by", "carry_on"])
def test_a_leg_off_its_ladder_neither_stands_by_nor_carries_on(trigger: str, state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    before = picture(bench.core)
    out = bench.fire(leg, trigger)
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


@pytest.mark.parametrize("state", ["passive_limit", "aggressive_limit"])
def test_a_rung_that_is_entered_while_the_pair_waits_has_its_whole_time_left(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, "waiting", rung=rung_of(state))
    leg.close.timers["together"] = bench.now + 300 * NS
    leg.close.legs[0].holding.change(-600)
    bench.fire(leg, "recheck")
    assert (leg.state, "deadline" in leg.timers) == (state, False)
    assert leg.clock_left > 0


# ---------------------------------------------------------------- a refusal doubts the rest


@pytest.mark.parametrize("reason", ["REDUCE_ONLY_VIOLATION", "BAD_TICK"])
@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("passive_limit", {}),
        ("passive_limit", {"refusals": 3}),
        ("aggressive_limit", {"attempts": 8}),
        ("market", {"attempts": 8}),
    ],
)
def test_a_refusal_asks_for_what_it_doubts_also_when_it_is_the_last_of_its_rung(
    state: str, how: dict[str, Any], reason: str
) -> None:
    bench = Bench()
    leg = leg_in(bench, state, **how)
    refused = bench.order(leg, "rejected")
    refused.end_reason = reason
    for _ in range(2):
        asked = kinds(bench.fire(leg, "order_ended", refused))
        assert asked == ["ReadRules" if reason == "BAD_TICK" else "ReadTruth"]
        assert (leg.read_after > 0) == (reason != "BAD_TICK")
        leg.state, leg.attempts, leg.refusals = state, how.get("attempts", 0), 3


def test_the_gate_stays_shut_and_the_question_is_repeated_until_a_read_settles_it() -> None:
    bench = Bench()
    leg = leg_in(bench, "market", read_after=bench.now)
    bench.fire(leg, "attempt_due")
    assert (leg.state, leg.wait_reason) == ("waiting", "position_read")
    pauses = []
    for _ in range(6):
        pauses.append(leg.timers["reread"] - bench.now)
        assert kinds(bench.fire(leg, "reread")) == ["ReadTruth"]
    assert pauses == [NS // 4, NS // 2, NS, 2 * NS, 4 * NS, 5 * NS]
    bench.tick(10)
    assert kinds(bench.fire(leg, "reread")) == ["ReadTruth", "Alarm"]
    assert kinds(bench.fire(leg, "reread")) == ["ReadTruth"], "a person is told once"
    bench.read("b")
    assert (leg.state, leg.order is not None) == ("market", True)


def test_what_the_old_target_had_brought_about_ends_with_a_new_one() -> None:
    bench = Bench()
    leg = leg_in(bench, "idle", balancing=True, read_after=bench.now, next_rung=STUCK)
    leg.fix_target(0)
    assert (leg.balancing, leg.read_after, leg.next_rung) == (False, 0, FREE)


# ---------------------------------------------------------------- the ladder is exhausted


def test_a_stuck_leg_in_doubt_is_stuck_again_and_its_retry_comes_when_it_was_due() -> None:
    bench = Bench()
    leg = leg_in(bench, "market", attempts=8)
    bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    due = leg.timers["retry"]
    revived = bench.order(leg, "contradicted")
    bench.fire(leg, "order_doubted", revived)
    assert leg.timers == {}
    bench.tick(7)
    revived.state = "cancelled"
    out = bench.fire(leg, "order_ended", revived)
    assert (leg.state, leg.timers) == ("stuck", {"retry": due})
    check_arrival(leg, out)


def test_a_retry_that_fails_is_followed_by_the_next_after_the_whole_pause() -> None:
    bench = Bench()
    leg = leg_in(bench, "stuck")
    bench.fire(leg, "retry")
    began = bench.now
    bench.tick(5)
    leg.attempts = 1
    bench.fire(leg, "order_ended", bench.order(leg, "cancelled"))
    assert (leg.state, leg.timers) == ("stuck", {"retry": began + leg.settings.stuck_retry_ns})


def test_a_retry_goes_to_the_widest_bound_of_the_market_rung() -> None:
    bench = Bench(capabilities=Capabilities(market="ioc_capped"))
    leg = leg_in(bench, "market")
    bench.fire(leg, "attempt_due")
    first = leg.order
    stuck = leg_in(bench, "stuck")
    bench.fire(stuck, "retry")
    bench.fire(stuck, "attempt_due")
    assert first is not None
    assert stuck.order is not None
    mid = 10_010
    assert (first.price, stuck.order.price) == (mid * 102 // 100 + 1, mid * 105 // 100)


# ---------------------------------------------------------------- wishes kept for later


@pytest.mark.parametrize("state", BETWEEN)
def test_a_deadline_between_two_orders_is_remembered(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    assert leg.order is not None
    out = bench.fire(leg, "deadline")
    assert (leg.state, leg.next_rung) == (state, AGGRESSIVE)
    assert told(out) == [(leg.order.id, "cancel_asked")]


@pytest.mark.parametrize("state", BETWEEN)
def test_a_higher_rung_asked_for_between_two_orders_is_remembered(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    assert leg.order is not None
    out = bench.fire(leg, "escalate", MARKET)
    assert (leg.state, leg.next_rung) == (state, MARKET)
    assert told(out) == [(leg.order.id, "cancel_asked")]


@pytest.mark.parametrize("state", BETWEEN)
def test_a_hold_between_two_orders_is_remembered(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    leg.timers["deadline"] = bench.now + NS
    bench.fire(leg, "hold")
    assert (leg.state, leg.held, leg.timers) == (state, True, {})


# ---------------------------------------------------------------- gates


def test_a_wide_spread_is_waited_for_once_and_not_once_a_rung() -> None:
    bench = Bench()
    leg = leg_in(bench, "passive_limit")
    bench.quote(1, 9_000, 11_000)
    bench.fire(leg, "attempt_due")
    due = bench.now + 20 * NS
    assert (leg.state, leg.timers["gate"]) == ("waiting", due)
    bench.now += 15 * NS
    bench.quote(1, 9_000, 11_000)
    bench.fire(leg, "escalate", AGGRESSIVE)
    bench.fire(leg, "attempt_due")
    assert (leg.state, leg.timers["gate"]) == ("waiting", due)
    bench.quote(1, 9_999, 10_001)
    bench.fire(leg, "recheck")
    assert leg.state == "aggressive_limit"
    bench.quote(1, 9_000, 11_000)
    bench.fire(leg, "attempt_due")
    assert leg.timers["gate"] == bench.now + 20 * NS, "it was narrow meanwhile: another wide spread"


@pytest.mark.parametrize("state", RUNG_STATES)
def test_a_shut_gate_makes_a_leg_wait_without_using_up_an_attempt(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state)
    bench.core.env.halted = True
    out = bench.fire(leg, "attempt_due")
    assert (leg.state, leg.attempts, kinds(out)) == ("waiting", 0, [])


@pytest.mark.parametrize(("dest", "rung"), RUNGS)
def test_a_gate_that_opens_lets_the_leg_go_on_at_its_rung(dest: str, rung: int) -> None:
    bench = Bench()
    leg = leg_in(bench, "waiting", rung=rung)
    leg.timers["gate"] = bench.now + NS
    out = bench.fire(leg, "recheck")
    assert (leg.state, told(out)) == (dest, [(leg.id, "attempt_due")])
    assert "gate" not in leg.timers


def test_a_passive_order_that_the_book_left_behind_is_quoted_anew() -> None:
    bench = Bench(CloseSettings(passive_limit=PassiveSettings(price="own_touch")))
    leg = leg_in(bench, "passive_limit", order="live")
    bench.tick(2)
    bench.quote(1, 10_003, 10_020)
    out = bench.fire(leg, "recheck")
    assert (leg.state, leg.requotes) == ("withdrawing", 1)
    check_arrival(leg, out)


@pytest.mark.parametrize("state", RUNG_STATES)
def test_an_attempt_that_is_due_places_exactly_what_remains(state: str) -> None:
    bench = Bench()
    leg = leg_in(bench, state, rest=731)
    out = bench.fire(leg, "attempt_due")
    assert (leg.state, kinds(out)) == (state, ["Place"])
    assert leg.order is not None
    assert leg.order.qty == 731
