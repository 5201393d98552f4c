"""Rows of the close machine, taken one by one on a close that was put into a state by hand.

What a row should do is written here from the rules of two legs together, not read off the table.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from machines.close_model import Close
from machines.holding_moves import UNEXPLAINED
from machines.messages import (
    Alarm,
    CloseRequested,
    FillReported,
    ModeChanged,
    OperatorCommanded,
    OrderPlaced,
    OrderReported,
    PositionMoved,
    TruthFailed,
)
from machines.policy.escalating import STUCK
from machines.types import AGGRESSIVE, BUY, MARKET, NS, PASSIVE, SELL, CloseSettings
from tests.picture import picture
from tests.rows import TEN, Bench, kinds, told

LADDER = ("passive_limit", "aggressive_limit", "market")
RUN = (*LADDER, "stuck")
LIVE = ("preparing", *RUN, "reconciling")
ALL = (*LIVE, "reconciled", "frozen", "quarantined")
RUNGS = {"passive_limit": PASSIVE, "aggressive_limit": AGGRESSIVE, "market": MARKET}


def close_in(bench: Bench, state: str, a: str = "", b: str = "", **attributes: Any) -> Close:
    """A close in a state, its legs in the states given; without an order on either."""
    close = bench.close(RUNGS.get(state, PASSIVE))
    for leg, name in zip(close.legs, (a, b), strict=True):
        for order in leg.orders:
            order.state = "cancelled"
            order.timers.clear()
        leg.orders.clear()
        leg.holding.orders.clear()
        leg.order = None
        leg.timers.clear()
        leg.rung = leg.start_qty = 0
        leg.start_qty = leg.holding.qty
        if name:
            leg.state = name
            leg.rung = RUNGS.get(name, MARKET if name == "stuck" else PASSIVE)
    close.state = state
    close.timers.clear()
    for name, value in attributes.items():
        setattr(close, name, value)
    return close


# ---------------------------------------------------------------- nothing happens

QUIET: dict[str, tuple[Any, tuple[str, ...]]] = {
    "truth": (None, (*RUN, "reconciled", "frozen", "quarantined")),
    "leg_moved": (None, ("frozen", "quarantined")),
    "venue_moved": (None, ("preparing", "reconciling", *ALL[6:])),
    "passive_over": (None, ("preparing", "reconciling", *ALL[6:], "stuck")),
    "budget": (None, ("preparing", "reconciling", *ALL[6:])),
    "asked_again": (("immediate", "KILL"), ("reconciled",)),
    "withdraw": (None, (*RUN[1:], "reconciling", *ALL[6:])),
    "evidence": (None, ("preparing", *RUN, *ALL[6:])),
    "retry_asked": (None, ("preparing", *RUN[:2], "reconciling", *ALL[6:])),
    "foreign": (None, ("reconciled", "quarantined")),
    "adopt": (None, (*LIVE, "reconciled", "quarantined")),
    "write_off": (None, ("preparing", *LADDER, "reconciling", "reconciled")),
    "break": (None, ("quarantined",)),
    "release": (None, (*LIVE, "reconciled", "frozen")),
    "restarted": (None, (*RUN, "reconciled", "frozen", "quarantined")),
}


@pytest.mark.parametrize(
    ("trigger", "state"), [(name, state) for name, (_, states) in QUIET.items() for state in states]
)
def test_what_a_state_has_no_use_for_changes_nothing(trigger: str, state: str) -> None:
    bench = Bench()
    close = close_in(bench, state)
    before = picture(bench.core)
    out = bench.fire(close, trigger, QUIET[trigger][0])
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


def test_a_withdrawal_after_a_fill_is_refused() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit")
    close.legs[0].holding.qty -= 1
    before = picture(bench.core)
    assert told(bench.fire(close, "withdraw")) == []
    assert picture(bench.core) == before


def test_a_late_fill_of_what_was_written_off_opens_nothing() -> None:
    bench = Bench()
    close = close_in(bench, "reconciled", written_off=True)
    assert told(bench.fire(close, "leg_moved")) == []
    assert close.state == "reconciled"


# ---------------------------------------------------------------- preparing


def test_a_venue_that_says_nothing_is_asked_and_its_silence_told() -> None:
    bench = Bench()
    bench.tick(120)
    close = bench.close(MARKET)
    assert close.state == "preparing", "reads two minutes old are no truth"
    assert {"ask", "silent", "liveness"} == close.timers.keys()
    out = bench.step(TruthFailed(bench.now, bench.now, "b", 1, "dns"))
    assert (close.state, kinds(out)) == ("preparing", [])
    assert kinds(bench.fire(close, "silent")) == ["Alarm"]
    pauses = []
    for _ in range(5):
        out = bench.fire(close, "ask")
        assert kinds(out) == ["ReadTruth", "ReadTruth"], "also where no answer ever came"
        pauses.append(close.timers["ask"] - bench.now)
        assert kinds(bench.drain(out)) == ["ReadTruth", "ReadTruth"], "and nothing beside that"
    assert pauses == [NS // 2, NS, 2 * NS, 4 * NS, 5 * NS]
    bench.read("a")
    assert kinds(bench.fire(close, "ask")) == ["ReadTruth"], "what is known is not asked for"


@pytest.mark.parametrize("state", LADDER)
def test_two_fresh_reads_start_the_close_at_the_rung_of_its_urgency(state: str) -> None:
    bench = Bench()
    close = bench.close(RUNGS[state])
    assert close.state == state
    assert [order.rung for leg in close.legs for order in leg.orders] == [state, state]


def test_what_moves_while_a_close_prepares_is_looked_at_and_asked_about_at_once() -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle", ask_count=5)
    close.timers["ask"] = bench.now + 5 * NS
    close.wanted_at = bench.now + 1
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert told(out) == [("x", "truth")]
    assert kinds(bench.drain(out)) == ["ReadTruth", "ReadTruth"]


def test_a_close_that_never_started_can_be_withdrawn() -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle", started_at=0)
    bench.fire(close, "withdraw")
    assert (close.state, close.outcome) == ("reconciled", "withdrawn")


@pytest.mark.parametrize("how", [{"started_at": NS}, {"started_at": 0, "urgency": "urgent"}])
def test_a_close_that_was_under_way_or_is_urgent_cannot_be_withdrawn_while_it_prepares(
    how: dict[str, Any],
) -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle", **how)
    assert (told(bench.fire(close, "withdraw")), close.state) == ([], "preparing")


@pytest.mark.parametrize("state", ["pending", "sent", "live", "cancelling", "unknown"])
@pytest.mark.parametrize("whose", ["its own", "of an earlier close", "of no ladder"])
def test_no_target_is_fixed_while_an_own_order_may_fill(state: str, whose: str) -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle")
    leg = close.legs[1]
    order = bench.order(leg, state)
    if whose == "of no ladder":
        order.leg = None
        leg.orders.clear()
    elif whose == "of an earlier close":
        close.state = "reconciled"
        close = bench.close(MARKET)
    out = bench.drain(bench.fire(close, "truth"))
    assert close.state == "preparing"
    assert order.cancel_wanted or state == "cancelling"
    bench.tick()
    out = bench.step(OrderReported(bench.now, bench.now, order.uid, "stream", "CANCELED", 0))
    for venue in "ab":
        bench.tick()
        bench.read(venue)
    assert close.state in LADDER
    assert "Cancel" not in kinds(out)


def test_an_awaited_order_that_is_found_resting_is_cancelled_again() -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle")
    order = bench.order(close.legs[1], "live")
    order.cancel_wanted = True
    assert ("b:X#2", "cancel_asked") in told(bench.fire(close, "ask"))


@pytest.mark.parametrize(
    ("urgency", "reached", "state"),
    [
        ("normal", PASSIVE, "passive_limit"),
        ("normal", AGGRESSIVE, "aggressive_limit"),
        ("normal", MARKET, "market"),
        ("urgent", PASSIVE, "aggressive_limit"),
        ("urgent", MARKET, "market"),
        ("immediate", AGGRESSIVE, "market"),
    ],
)
def test_an_adopted_close_starts_no_lower_than_it_has_been(
    urgency: str, reached: int, state: str
) -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "done", adopting=True, urgency=urgency)
    close.legs[1].rung = reached
    out = bench.fire(close, "truth")
    assert close.state == state
    assert [message for _, trigger, message in out.mail if trigger == "start"] == [RUNGS[state]] * 2


def test_adopted_legs_are_held_until_they_are_started() -> None:
    bench = Bench()
    close = close_in(bench, "frozen", "idle", "withdrawing")
    leg = close.legs[1]
    leg.held = True
    order = bench.order(leg, "cancelling")
    bench.step(OperatorCommanded(bench.now, "adopt", "x"))
    bench.tick()
    out = bench.step(OrderReported(bench.now, bench.now, order.uid, "stream", "CANCELED", 0))
    assert (close.state, leg.state) == ("preparing", "idle")
    assert "Place" not in kinds(out)


def test_a_restart_while_preparing_looks_at_the_truth_again() -> None:
    bench = Bench()
    close = close_in(bench, "preparing", "idle", "idle")
    assert told(bench.fire(close, "restarted")) == [("x", "truth")]


# ---------------------------------------------------------------- the ladder


@pytest.mark.parametrize("state", RUN)
def test_when_both_legs_have_ended_the_venues_are_asked(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "done", "dust")
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, kinds(out)) == ("reconciling", ["ReadTruth", "ReadTruth"])


@pytest.mark.parametrize("state", LADDER)
def test_a_stuck_leg_makes_the_close_stuck_and_calls_a_person(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "done", "stuck")
    out = bench.fire(close, "leg_moved", close.legs[1])
    assert (close.state, kinds(out)) == ("stuck", ["Alarm"])


def test_a_stuck_close_stays_stuck_and_does_not_call_twice() -> None:
    bench = Bench()
    close = close_in(bench, "stuck", "done", "stuck")
    assert kinds(bench.fire(close, "leg_moved", close.legs[1])) == []
    assert close.state == "stuck"


def test_a_person_is_called_while_the_other_leg_is_still_on_its_ladder() -> None:
    bench = Bench()
    close = close_in(bench, "market", "passive_limit", "stuck")
    out = bench.fire(close, "leg_moved", close.legs[1])
    assert (close.state, kinds(out)) == ("market", ["Alarm"])
    assert kinds(bench.fire(close, "leg_moved", close.legs[1])) == [], "once"


@pytest.mark.parametrize("state", RUN)
def test_a_leg_whose_end_was_taken_back_is_started_where_the_close_is(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "idle", "market")
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, out.mail[0][1:]) == (state, ("start", MARKET))
    assert told(out) == [("a:X", "start")]


@pytest.mark.parametrize(
    ("state", "leg", "dest"),
    [
        ("passive_limit", "aggressive_limit", "aggressive_limit"),
        ("passive_limit", "market", "market"),
        ("aggressive_limit", "market", "market"),
        ("stuck", "market", "market"),
        ("stuck", "passive_limit", "stuck"),
        ("market", "aggressive_limit", "market"),
    ],
)
def test_a_close_is_where_its_furthest_leg_is_and_never_goes_back(
    state: str, leg: str, dest: str
) -> None:
    bench = Bench()
    close = close_in(bench, state, "passive_limit", leg)
    bench.fire(close, "leg_moved", close.legs[1])
    assert close.state == dest


@pytest.mark.parametrize("state", LADDER)
def test_when_the_passive_time_is_over_the_lagging_leg_escalates_first(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "passive_limit", "passive_limit")
    close.legs[0].holding.accept(700)
    out = bench.fire(close, "passive_over")
    assert told(out) == [("b:X", "escalate"), ("a:X", "escalate")]


@pytest.mark.parametrize("state", RUN)
def test_a_spent_budget_alarms_and_moves_the_lagging_leg_one_rung(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "passive_limit", "passive_limit")
    close.legs[0].holding.accept(600)
    out = bench.fire(close, "budget")
    assert kinds(out) == ["Alarm"]
    assert told(out) == [("b:X", "escalate")]
    assert close.lag_of(close.legs[1]) == TEN - 600, "only for the difference"
    assert close.legs[1].bound_by == "balanced"
    assert close.legs[1].lag == TEN - 600


@pytest.mark.parametrize("state", ["preparing", "reconciling", "frozen", "quarantined"])
@pytest.mark.parametrize(("before", "after"), [("normal", "urgent"), ("immediate", "immediate")])
def test_where_nothing_is_sent_a_second_request_only_raises_the_urgency(
    state: str, before: str, after: str
) -> None:
    bench = Bench()
    close = close_in(bench, state, "idle", "withdrawing", urgency=before)
    out = bench.fire(close, "asked_again", ("urgent", "SOFT_STOP"))
    assert (close.state, close.urgency, told(out)) == (state, after, [])


def test_a_raised_urgency_lets_a_waiting_leg_look_at_its_gate() -> None:
    bench = Bench()
    close = close_in(bench, "aggressive_limit", "waiting", "aggressive_limit", urgency="normal")
    out = bench.fire(close, "asked_again", ("urgent", "SOFT_STOP"))
    assert told(out) == [("a:X", "escalate"), ("a:X", "recheck"), ("b:X", "escalate")]


@pytest.mark.parametrize("state", RUN)
def test_a_higher_urgency_is_taken_over_and_passed_to_the_legs(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "passive_limit", "passive_limit", urgency="normal")
    first = close.reason
    out = bench.fire(close, "asked_again", ("immediate", "ADL"))
    assert (close.urgency, close.reason) == ("immediate", first), "the first cause is kept"
    assert told(out) == [("a:X", "escalate"), ("b:X", "escalate")]


@pytest.mark.parametrize("state", RUN)
def test_an_equal_or_lower_urgency_changes_nothing(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, urgency="urgent", reason="SOFT_STOP")
    assert told(bench.fire(close, "asked_again", ("urgent", "TRAILING_STOP"))) == []
    assert close.reason == "SOFT_STOP"


@pytest.mark.parametrize("state", ["market", "stuck"])
@pytest.mark.parametrize("urgency", ["normal", "immediate"])
def test_a_kill_lets_stuck_legs_try_at_once(state: str, urgency: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "done", "stuck", urgency=urgency)
    out = bench.fire(close, "asked_again", ("immediate", "KILL"))
    assert ("b:X", "retry_asked") in told(out)
    assert "retry_asked" not in str(told(bench.fire(close, "asked_again", ("immediate", "ADL"))))


@pytest.mark.parametrize("seconds", [100, 400])
def test_the_budget_is_counted_since_the_pair_was_last_balanced_within_a_lot(seconds: int) -> None:
    bench = Bench()
    close = hedged(bench, "passive_limit")
    first = close.legs[0].holding
    first.change(-400)
    bench.fire(close, "leg_moved", close.legs[0])
    whole = close.timers["budget"] - bench.now
    bench.now += seconds * NS
    close.alarmed.add("naked")
    first.change(399)
    bench.fire(close, "leg_moved", close.legs[0])
    assert "budget" not in close.timers, "one lot is balanced, and no budget runs"
    assert close.naked_usd_ns == 0
    bench.now += NS
    first.change(-399)
    bench.fire(close, "leg_moved", close.legs[0])
    assert close.timers["budget"] == bench.now + whole, "counted anew, and told anew"


@pytest.mark.parametrize("budget", [0, 1])
def test_no_budget_at_all_lets_nobody_hurry(budget: int) -> None:
    bench = Bench(CloseSettings(naked_budget_usd_s=Decimal(budget)))
    close = hedged(bench, "passive_limit")
    close.legs[0].holding.change(-400)
    bench.fire(close, "leg_moved", close.legs[0])
    assert close.naked == 4
    assert ("budget" in close.timers) == bool(budget)


def test_what_is_alive_for_longer_than_its_ladder_takes_is_told_once_in_every_state() -> None:
    for state in [name for name in ALL if name != "reconciled"]:
        bench = Bench()
        close = close_in(bench, state, "idle", "idle")
        assert close.liveness_ns == 483_500_000_000, "the bound of the defaults"
        out = bench.fire(close, "liveness")
        (alarm,) = [each for each in out.commands if isinstance(each, Alarm)]
        assert (alarm.kind, alarm.machine, close.state) == ("liveness", "x", state)
        assert state in alarm.text
        assert bench.fire(close, "liveness").commands == []


@pytest.mark.parametrize("urgency", ["normal", "urgent"])
def test_a_close_asked_for_while_it_is_being_withdrawn_goes_on(urgency: str) -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "withdrawing", urgency="normal")
    close.withdrawing = close.legs[1].held = True
    out = bench.fire(close, "asked_again", (urgency, "MANUAL"))
    assert not close.withdrawing
    assert not close.legs[1].held
    rung = PASSIVE if urgency == "normal" else AGGRESSIVE
    assert [(machine.id, trigger, message) for machine, trigger, message in out.mail] == [
        ("a:X", "start", rung),
        ("b:X", "escalate", rung),
    ]


def test_a_withdrawn_close_ends_when_both_legs_rest_untouched() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "idle")
    assert told(bench.fire(close, "withdraw")) == [("a:X", "hold"), ("b:X", "hold")]
    bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, close.outcome) == ("reconciled", "withdrawn")


def test_a_withdrawn_close_ends_beside_a_leg_that_had_nothing_to_close() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "done", withdrawing=True)
    bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, close.outcome) == ("reconciled", "withdrawn")


@pytest.mark.parametrize("state", ["withdrawing", "doubtful"])
def test_a_withdrawal_waits_for_an_order_that_may_fill(state: str) -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", state, withdrawing=True)
    bench.fire(close, "leg_moved", close.legs[0])
    assert close.state == "passive_limit"


def test_a_withdrawal_that_meets_whole_fills_goes_on_to_the_reads() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "done", "done", withdrawing=True)
    for leg in close.legs:
        leg.holding.accept(0)
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, close.withdrawing) == ("reconciling", False)
    assert kinds(out) == ["ReadTruth", "ReadTruth"]


def test_a_fill_during_the_withdrawal_makes_the_close_go_on() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "idle", withdrawing=True)
    close.legs[0].holding.qty -= 300
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, told(out)) == ("aggressive_limit", [("a:X", "start"), ("b:X", "start")])


def test_a_request_during_the_withdrawal_makes_the_close_go_on() -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "idle", withdrawing=True)
    bench.step(CloseRequested(bench.now, "x", "KILL"))
    assert [leg.state for leg in close.legs] == ["market", "market"]


@pytest.mark.parametrize("state", ["stuck", "market"])
def test_an_operators_retry_reaches_the_legs(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "done", "stuck")
    assert told(bench.fire(close, "retry_asked")) == [
        ("a:X", "retry_asked"),
        ("b:X", "retry_asked"),
    ]


# ---------------------------------------------------------------- one leg and the other


@pytest.mark.parametrize(
    ("other", "leg", "rung"),
    [
        ({"state": "done"}, {"rung": PASSIVE}, AGGRESSIVE),
        ({"state": "dust"}, {"rung": PASSIVE}, AGGRESSIVE),
        ({"state": "done"}, {"rung": AGGRESSIVE}, None),
        ({"state": "done"}, {"rung": PASSIVE, "next_rung": MARKET}, None),
        ({"state": "done", "liquidated": True}, {"rung": PASSIVE}, MARKET),
        ({"state": "done", "liquidated": True}, {"rung": AGGRESSIVE}, MARKET),
        ({"state": "done", "liquidated": True}, {"rung": MARKET}, None),
        ({"state": "done", "start_qty": 0}, {"rung": PASSIVE}, AGGRESSIVE),
        ({"state": "stuck", "rung": MARKET, "next_rung": STUCK}, {"rung": PASSIVE}, None),
    ],
)
def test_one_leg_moves_the_other_as_the_joint_rules_say(
    other: dict[str, Any], leg: dict[str, Any], rung: int | None
) -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "passive_limit", "passive_limit")
    for machine, attributes in zip(close.legs, (other, leg), strict=True):
        for name, value in attributes.items():
            setattr(machine, name, value)
    out = bench.fire(close, "leg_moved", close.legs[0])
    asked = [(machine.id, message) for machine, trigger, message in out.mail]
    assert asked == ([] if rung is None else [("b:X", rung)])


# ---------------------------------------------------------------- reconciling


def reconciling(bench: Bench, **attributes: Any) -> Close:
    """A close whose legs are done, flat, and whose venues were asked a second ago."""
    bench.tick()
    close = close_in(bench, "reconciling", "done", "done", wanted_at=bench.now, **attributes)
    for leg in close.legs:
        leg.holding.accept(0)
        leg.agreed_at = bench.now
    bench.tick()
    return close


def test_two_equal_reads_of_every_leg_end_a_close() -> None:
    bench = Bench()
    close = reconciling(bench)
    for venue in ("a", "b", "a"):
        bench.read(venue)
        assert close.state == "reconciling"
        bench.tick()
    bench.read("b")
    assert (close.state, close.outcome) == ("reconciled", "flat")


def test_evidence_that_something_has_overtaken_is_no_evidence() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 1])
    assert told(bench.fire(close, "evidence")) == []
    assert close.state == "reconciling"


def test_a_close_does_not_end_beside_an_order_that_may_fill() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2])
    bench.order(close.legs[1], "unknown")
    bench.fire(close, "evidence")
    assert close.state == "reconciling"


def test_a_tradeable_rest_is_a_new_round_at_market() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2])
    close.legs[1].holding.accept(-300)
    out = bench.fire(close, "evidence")
    assert (close.state, close.rounds, told(out)) == ("market", 1, [("b:X", "start")])


def test_a_round_starts_idle_legs_too_so_that_none_is_left_behind() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2])
    close.legs[0].state = "idle"
    close.legs[1].holding.accept(-300)
    out = bench.fire(close, "evidence")
    assert (close.state, told(out)) == ("market", [("a:X", "start"), ("b:X", "start")])
    bench.drain(out)
    assert [leg.state for leg in close.legs] == ["done", "market"]


def test_idle_legs_are_exhausted_with_the_rounds() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2], rounds=3)
    for leg in close.legs:
        leg.state = "idle"
    close.legs[1].holding.accept(-300)
    bench.drain(bench.fire(close, "evidence"))
    assert (close.state, [leg.state for leg in close.legs]) == ("stuck", ["done", "stuck"])


def test_a_rest_after_the_last_round_is_stuck() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2], rounds=3)
    close.legs[1].holding.accept(-300)
    out = bench.fire(close, "evidence")
    assert (close.state, told(out), kinds(out)) == ("stuck", [("b:X", "exhaust")], ["Alarm"])


def test_an_untradeable_rest_ends_as_dust() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 2])
    close.legs[1].holding.accept(-4)
    out = bench.fire(close, "evidence")
    assert (close.state, close.outcome, kinds(out)) == ("reconciled", "dust", ["Alarm"])


def test_a_position_larger_than_any_read_lag_explains_freezes() -> None:
    bench = Bench()
    close = reconciling(bench)
    for _ in range(3):
        bench.read("b", -500, believed=False)
        bench.tick()
    assert close.state == "frozen"


def test_a_read_of_a_venue_that_is_not_trusted_counts_for_nothing() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 0])
    bench.core.sessions["b"].state = "recovering"
    bench.read("b", believed=True)
    assert close.agreed == [2, 0]


def test_a_move_while_reading_begins_the_reads_anew() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 1])
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.agreed, kinds(out)) == ([0, 0], ["ReadTruth", "ReadTruth"])
    assert kinds(bench.fire(close, "leg_moved", close.legs[0])) == [], "once in an instant"


def test_a_restart_while_reading_begins_the_reads_anew() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 1])
    out = bench.fire(close, "restarted")
    assert (close.agreed, kinds(out)) == ([0, 0], ["ReadTruth", "ReadTruth"])


def test_a_failed_read_is_no_second_read() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 0])
    bench.read("b")
    assert close.agreed == [2, 1]
    for _ in range(3):
        bench.tick()
        bench.step(TruthFailed(bench.now, bench.now, "b", 1, "dns"))
    assert (close.state, close.agreed) == ("reconciling", [2, 1])


def test_every_question_for_a_read_has_a_timer_that_repeats_it() -> None:
    bench = Bench()
    close = close_in(bench, "market", "done", "done")
    for leg in close.legs:
        leg.holding.accept(0)
    bench.tick()
    bench.fire(close, "leg_moved", close.legs[0])
    assert close.timers["ask"] == bench.now + NS // 4
    bench.fire(close, "ask")
    assert close.timers["ask"] == bench.now + NS // 2
    bench.tick()
    bench.read("a")
    assert close.timers["ask"] == bench.now + NS // 4, "a useful answer begins the back-off anew"
    assert close.agreed == [1, 0]


def test_a_silent_venue_is_asked_again_and_told_of_once() -> None:
    bench = Bench()
    close = reconciling(bench, agreed=[2, 1])
    assert kinds(bench.fire(close, "ask")) == ["ReadTruth"]
    assert kinds(bench.fire(close, "silent")) == ["Alarm"]
    assert kinds(bench.fire(close, "silent")) == []


def test_a_fill_after_the_end_opens_the_close_again() -> None:
    bench = Bench()
    close = close_in(bench, "reconciled", "done", "done", outcome="withdrawn")
    for leg in close.legs:
        leg.holding.owner = None
    close.legs[1].holding.filled += 300
    out = bench.fire(close, "leg_moved", close.legs[1])
    assert (close.state, kinds(out)) == ("reconciling", ["ReadTruth", "ReadTruth"])
    assert all(leg.holding.owner is leg for leg in close.legs)
    assert close.outcome == "", "how it ends is said anew"


@pytest.mark.parametrize("liquidated", [0, 200])
def test_a_word_after_the_end_without_a_fill_of_ours_opens_nothing(liquidated: int) -> None:
    bench = Bench()
    close = close_in(bench, "reconciled", "idle", "idle", outcome="withdrawn")
    close.legs[1].holding.qty += liquidated
    assert (kinds(bench.fire(close, "leg_moved", close.legs[1])), close.state) == ([], "reconciled")
    assert close.outcome == "withdrawn"


# ---------------------------------------------------------------- what strangers do


def stranger(bench: Bench, side: int, qty: int) -> None:
    """Somebody else trades on b, and we are told."""
    bench.trades += 1
    bench.step(
        FillReported(
            bench.now, bench.now, 1, 0, f"s{bench.trades}", side, 10_000, qty, None,
            Decimal(0), False, "manual",
        )
    )  # fmt: skip


def test_a_strangers_trade_voids_the_reads_of_before() -> None:
    bench = Bench()
    stranger(bench, BUY, 400)
    bench.tick()
    close = bench.close(MARKET)
    assert close.state == "preparing"
    bench.tick()
    bench.read("b")
    assert close.state == "preparing", "within the read lag it may not show the trade yet"
    for _ in range(2):
        bench.tick()
        bench.read("b", -600, believed=False)
    assert [order.qty for leg in close.legs for order in leg.orders] == [TEN, 600]


def test_a_read_that_agrees_past_the_lag_says_that_the_stranger_has_undone_it() -> None:
    bench = Bench()
    stranger(bench, BUY, 400)
    stranger(bench, SELL, 400)
    bench.tick(16)
    close = bench.close(MARKET)
    bench.tick()
    bench.read("a")
    bench.read("b")
    assert close.state == "market"
    assert bench.core.holdings[1].announced_at == 0


def test_a_position_that_no_fill_explains_voids_the_reads_of_before() -> None:
    bench = Bench()
    bench.step(PositionMoved(bench.now, bench.now, 1, -600, "manual"))
    bench.tick()
    assert bench.close(MARKET).state == "preparing"


# ---------------------------------------------------------------- one owner per position


def test_the_newest_close_hears_of_the_orders_of_an_earlier_one() -> None:
    bench = Bench()
    first = close_in(bench, "reconciled", "idle", "idle", outcome="withdrawn")
    old = bench.order(first.legs[1], "cancelled")
    second = bench.close(PASSIVE)
    assert second is not first
    leg = second.legs[1]
    assert leg.order is not None
    bench.tick()
    bench.step(OrderReported(bench.now, bench.now, old.uid, "stream", "CANCELED", 300))
    assert (first.state, leg.state) == ("reconciled", "withdrawing"), "it would fill too much"
    bench.tick()
    out = bench.step(OrderReported(bench.now, bench.now, leg.order.uid, "stream", "CANCELED", 0))
    assert (leg.order.qty, kinds(out)) == (700, ["Place"])
    bench.tick()
    bench.step(OrderReported(bench.now, bench.now, old.uid, "stream", "OPEN", 300))
    assert (old.state, leg.state) == ("contradicted", "doubtful")
    bench.tick()
    out = bench.step(OrderReported(bench.now, bench.now, leg.order.uid, "stream", "CANCELED", 0))
    assert (leg.state, kinds(out)) == ("doubtful", []), "the other may fill"


def test_no_order_is_placed_beside_a_close_that_is_alive() -> None:
    bench = Bench()
    close = bench.close(PASSIVE)
    out = bench.step(OrderPlaced(bench.now, 1, SELL, 100))
    assert (kinds(out), out.answer) == (
        [],
        "b:X is being closed; no order is placed beside that",
    )
    close.legs[1].holding.owner = None
    assert kinds(bench.step(OrderPlaced(bench.now, 1, SELL, 100))) == ["Place"]


# ---------------------------------------------------------------- people and bugs


@pytest.mark.parametrize("state", LIVE)
def test_foreign_activity_freezes_a_living_close(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, foreign_text="b:X: -3 by hand")
    out = bench.fire(close, "foreign")
    assert (close.state, kinds(out)) == ("frozen", ["Alarm"])
    assert told(out) == [("a:X", "hold"), ("b:X", "hold")]
    assert close.timers == {}


@pytest.mark.parametrize(("state", "command"), [("frozen", "adopt"), ("quarantined", "release")])
def test_what_an_operator_adopts_is_read_anew_before_anything_is_sent(
    state: str, command: str
) -> None:
    bench = Bench()
    close = close_in(bench, state, "idle", "idle")
    bench.tick()
    out = bench.step(OperatorCommanded(bench.now, command, "x"))
    assert (close.state, kinds(out)) == ("preparing", ["ReadTruth", "ReadTruth"])
    bench.tick()
    bench.read("a")
    bench.read("b", -1300, believed=False)
    assert close.state == "preparing", "one read that differs is none"
    bench.tick()
    out = bench.read("b", -1300, believed=False)
    assert [order.qty for leg in close.legs for order in leg.orders] == [TEN, 1300]


@pytest.mark.parametrize("state", ["frozen", "stuck", "quarantined"])
def test_what_an_operator_writes_off_is_left_alone(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "done", "stuck")
    close.legs[1].timers["retry"] = bench.now + NS
    bench.drain(bench.fire(close, "write_off"))
    assert (close.state, close.outcome) == ("reconciled", "external")
    assert [leg.timers for leg in close.legs] == [{}, {}]


@pytest.mark.parametrize("how", ["passive_limit", "market", "waiting", "stuck", "withdrawing"])
def test_no_leg_outlives_the_end_of_its_close(how: str) -> None:
    bench = Bench()
    close = close_in(bench, "frozen", "idle", how)
    leg = close.legs[1]
    bench.order(leg, "cancelling" if how == "withdrawing" else "cancelled")
    leg.timers["retry"] = leg.timers["deadline"] = bench.now + NS
    bench.drain(bench.fire(close, "write_off"))
    assert leg.held
    assert (leg.state, leg.timers) == ("idle", {}) or leg.state == "withdrawing"


@pytest.mark.parametrize("state", [state for state in ALL if state != "quarantined"])
def test_a_bug_quarantines_the_close_and_cancels_what_rests(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "passive_limit", "passive_limit")
    order = bench.order(close.legs[1], "live")
    out = bench.fire(close, "break")
    assert close.state == "quarantined"
    assert told(out) == [(order.id, "cancel_asked"), ("a:X", "hold"), ("b:X", "hold")]
    assert "Place" not in kinds(bench.drain(out))


def test_a_quarantined_close_still_accounts_what_happens_and_places_nothing() -> None:
    bench = Bench()
    close = close_in(bench, "quarantined", "idle", "idle", started_at=bench.now)
    close.legs[0].holding.qty -= 300
    bench.tick()
    out = bench.fire(close, "leg_moved", close.legs[0])
    assert (close.state, kinds(out), close.naked) == ("quarantined", [], 3)


# ---------------------------------------------------------------- the pair waits together


def hedged(bench: Bench, state: str, **attributes: Any) -> Close:
    """A close on its ladder whose legs are even and rest on the same rung."""
    rung = state if state in LADDER else "stuck"
    attributes.setdefault("urgency", "normal")
    return close_in(bench, state, rung, rung, **attributes)


def away(bench: Bench, venue: str = "a") -> None:
    bench.core.sessions[venue].mode = "maintenance"
    bench.core.sessions[venue].mode_since = bench.now


@pytest.mark.parametrize("state", LADDER)
def test_a_hedged_pair_waits_for_a_venue_that_cannot_trade(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    away(bench)
    out = bench.fire(close, "venue_moved")
    assert close.waits_together
    assert close.timers["together"] == bench.now + 300 * NS
    assert told(out) == [("a:X", "stand_by"), ("b:X", "stand_by")]
    (alarm,) = [each for each in out.commands if isinstance(each, Alarm)]
    assert (alarm.kind, alarm.machine) == ("venue_degraded", "x")
    assert "a:X cannot trade" in alarm.text
    bench.now += NS
    again = bench.fire(close, "venue_moved")
    assert kinds(again) == [], "told once, and its time runs"
    assert told(again) == [("a:X", "stand_by"), ("b:X", "stand_by")]


@pytest.mark.parametrize("state", RUN)
def test_another_venue_that_goes_away_meanwhile_is_told_and_has_its_own_time(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    began = bench.now
    away(bench)
    if state == "stuck":
        close.timers["together"] = bench.now + 300 * NS
        close.legs[0].outage_told = bench.now
    else:
        bench.fire(close, "venue_moved")
    bench.now += 190 * NS
    away(bench, "b")
    out = bench.fire(close, "venue_moved")
    (alarm,) = [each for each in out.commands if isinstance(each, Alarm)]
    assert "b:X cannot trade" in alarm.text
    assert "110 s at most" in alarm.text
    assert close.timers["together"] == began + 300 * NS, "the first outage still lasts"
    bench.core.sessions["a"].mode = "online"
    bench.core.sessions["a"].mode_since = 0
    out = bench.fire(close, "venue_moved")
    assert close.timers["together"] == began + 490 * NS
    assert kinds(out) == []
    assert told(out) == [("a:X", "stand_by"), ("b:X", "stand_by")], "a can trade, and may not lead"


def test_a_venue_that_only_tries_again_does_not_begin_another_wait() -> None:
    bench = Bench()
    close = hedged(bench, "passive_limit")
    lane = bench.core.lanes["a"]
    lane.state, lane.refused_since = "unready", bench.now
    began = bench.now
    bench.fire(close, "venue_moved")
    bench.now += 30 * NS
    lane.state = "open"
    bench.fire(close, "venue_moved")
    assert not close.waits_together, "it is tried"
    lane.state = "unready"
    out = bench.fire(close, "venue_moved")
    assert close.timers["together"] == began + 300 * NS
    assert [each for each in kinds(out) if each == "Alarm"] == []
    lane.state = "open"
    bench.fire(close, "venue_moved")
    bench.now = began + 300 * NS
    lane.state = "unready"
    bench.fire(close, "venue_moved")
    assert not close.waits_together, "it has waited for as long as it may"


@pytest.mark.parametrize("state", LADDER)
def test_what_an_order_could_fill_beyond_the_difference_is_seen_at_every_fill(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    close.timers["together"] = bench.now + 300 * NS
    away(bench)
    bench.order(close.legs[1], "live")
    out = bench.fire(close, "leg_moved", close.legs[1])
    assert ("b:X", "stand_by") in told(out)
    assert ("a:X", "stand_by") not in told(out), "nothing of its own rests"


CUT_OFF: dict[str, Callable[[Bench], None]] = {
    "mode": away,
    "ban": lambda bench: setattr(bench.core.lanes["a"], "state", "banned"),
    "credentials": lambda bench: setattr(bench.core.lanes["a"], "state", "barred"),
    "a mode that it refuses for": lambda bench: setattr(bench.core.lanes["a"], "state", "unready"),
    "the instrument": lambda bench: bench.core.lanes["a"].barred.update({0: "UNSUPPORTED"}),
}


@pytest.mark.parametrize("why", CUT_OFF.values(), ids=CUT_OFF.keys())
def test_whatever_keeps_a_leg_from_trading_makes_the_pair_wait(
    why: Callable[[Bench], None],
) -> None:
    bench = Bench()
    close = hedged(bench, "passive_limit")
    why(bench)
    bench.fire(close, "venue_moved")
    assert close.waits_together


def test_a_push_back_is_a_pause_and_no_reason_to_wait_together() -> None:
    bench = Bench()
    close = hedged(bench, "passive_limit")
    bench.core.lanes["a"].state = "shut"
    bench.fire(close, "venue_moved")
    assert not close.waits_together


@pytest.mark.parametrize("rung", ["passive_limit", "aggressive_limit"])
def test_post_only_is_enough_for_a_leg_that_quotes(rung: str) -> None:
    bench = Bench()
    close = hedged(bench, rung)
    bench.core.sessions["a"].mode = "post_only"
    bench.fire(close, "venue_moved")
    assert close.waits_together == (rung != "passive_limit")


@pytest.mark.parametrize("state", LADDER)
@pytest.mark.parametrize("urgency", ["urgent", "immediate"])
def test_a_close_in_a_hurry_waits_for_nobody(urgency: str, state: str) -> None:
    bench = Bench()
    close = hedged(bench, state, urgency=urgency)
    away(bench)
    out = bench.fire(close, "venue_moved")
    assert (close.waits_together, told(out), kinds(out)) == (False, [], [])


@pytest.mark.parametrize(
    "how", ["ended", "flat from the start", "liquidated", "never", "single", "withdrawing"]
)
def test_where_there_is_no_hedge_to_keep_nobody_waits(how: str) -> None:
    settings = CloseSettings(hold_together_ns=0) if how == "never" else None
    bench = Bench(settings, single=how == "single")
    if how == "single":
        close = bench.close()
    else:
        close = hedged(bench, "aggressive_limit", withdrawing=how == "withdrawing")
        if how == "ended":
            close.legs[1].state = "done"
        if how == "flat from the start":
            # The close asks before it starts its legs.
            close.legs[1].holding.accept(0)
            close.legs[1].state = "idle"
        if how == "liquidated":
            close.legs[1].liquidated = True
    away(bench, "b" if how == "single" else "a")
    out = bench.fire(close, "venue_moved")
    assert (close.waits_together, kinds(out)) == (False, [])


@pytest.mark.parametrize("state", RUN)
def test_a_venue_that_is_not_trusted_is_away_after_a_while(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    session = bench.core.sessions["a"]
    session.state, session.untrusted_since = "backoff", bench.now
    out = bench.fire(close, "venue_moved")
    assert close.timers == {"away": bench.now + 10 * NS}
    assert (told(out), kinds(out)) == ([], [])
    bench.now += 10 * NS
    del close.timers["away"]
    bench.fire(close, "away")
    assert close.waits_together == (state != "stuck")


@pytest.mark.parametrize("state", RUN)
def test_what_is_back_in_time_is_not_waited_for(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state, parted=True)
    close.timers["away"] = bench.now + NS
    out = bench.fire(close, "venue_moved")
    assert (close.timers, close.parted, told(out)) == ({}, False, [])
    assert told(bench.fire(close, "away")) == []


@pytest.mark.parametrize("state", RUN)
def test_both_go_on_when_the_venue_is_back(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    close.timers["together"] = bench.now + 300 * NS
    away(bench)
    assert told(bench.fire(close, "venue_moved")) == [("a:X", "stand_by"), ("b:X", "stand_by")]
    bench.core.sessions["a"].mode = "online"
    bench.core.sessions["a"].mode_since = 0
    bench.core.sessions["b"].state = "backoff"
    bench.core.sessions["b"].untrusted_since = bench.now
    assert told(bench.fire(close, "venue_moved")) == [], "the other is away now"
    bench.core.sessions["b"].state = "live"
    out = bench.fire(close, "venue_moved")
    assert told(out) == [("a:X", "carry_on"), ("b:X", "carry_on")]
    assert not close.waits_together


@pytest.mark.parametrize("state", RUN)
def test_a_pair_that_has_waited_long_enough_goes_its_own_way(state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    away(bench)
    out = bench.fire(close, "together")
    assert told(out) == [("a:X", "carry_on"), ("b:X", "carry_on")]
    bench.fire(close, "venue_moved")
    assert not close.waits_together, "once per outage"


@pytest.mark.parametrize("state", RUN)
@pytest.mark.parametrize("how", ["ended", "liquidated"])
def test_the_loss_of_the_hedge_ends_the_waiting(how: str, state: str) -> None:
    bench = Bench()
    close = hedged(bench, state)
    close.timers["together"] = bench.now + 300 * NS
    if how == "ended":
        close.legs[1].state = "done"
    else:
        close.legs[1].liquidated = True
    out = bench.fire(close, "leg_moved", close.legs[1])
    assert not close.waits_together
    assert told(out)[:2] == [("a:X", "carry_on"), ("b:X", "carry_on")]


def test_a_close_that_begins_while_a_venue_is_away_waits_at_once() -> None:
    bench = Bench()
    away(bench)
    close = bench.close()
    assert (close.state, close.waits_together) == ("passive_limit", True)
    assert [leg.wait_reason for leg in close.legs] == ["venue_mode", "together"]
    assert [leg.orders for leg in close.legs] == [[], []], "nothing was sent"
    assert all(leg.clock_left > 0 for leg in close.legs)
    bench.step(ModeChanged(bench.now, "a", "online"))
    assert [len(leg.orders) for leg in close.legs] == [1, 1]


# ---------------------------------------------------------------- orders that are not ours


def test_a_strangers_order_seen_at_the_end_freezes_the_close() -> None:
    bench = Bench()
    close = reconciling(bench)
    close.legs[1].holding.foreign = True
    bench.fire(close, "truth", close.legs[1])
    assert close.state == "frozen"


@pytest.mark.parametrize("left", ["nothing", "a position", "an order", "doubt"])
def test_a_frozen_close_ends_when_others_have_closed_everything(left: str) -> None:
    bench = Bench()
    close = close_in(bench, "frozen", "idle", "idle")
    for leg in close.legs:
        leg.holding.accept(0)
        leg.holding.state, leg.holding.read_agreed = "settled", True
    holding = close.legs[1].holding
    if left == "a position":
        holding.accept(3)
    if left == "an order":
        bench.order(close.legs[1], "live")
    if left == "doubt":
        holding.state = "doubted"
    bench.fire(close, "truth", close.legs[0])
    ended = left == "nothing"
    assert (close.state, close.outcome) == (("reconciled", "external") if ended else ("frozen", ""))
    assert (holding.owner is None) == ended


@pytest.mark.parametrize(
    "why", ["explained", "a stranger traded", "his trade is told later", "not all of it", "unowned"]
)
def test_a_close_that_was_frozen_for_a_late_explanation_goes_on_when_it_comes(why: str) -> None:
    bench = Bench()
    close = close_in(bench, "passive_limit", "idle", "idle")
    bench.fire(close, "foreign", None if why == "a stranger traded" else UNEXPLAINED)
    if why == "his trade is told later":
        bench.fire(close, "foreign")
    bench.fire(close, "foreign", UNEXPLAINED)
    holding = close.legs[0].holding
    if why == "not all of it":
        holding.unexplained = -3
    if why == "unowned":
        holding.owned = holding.qty - 3
    out = bench.fire(close, "explained")
    goes_on = why == "explained"
    assert close.state == ("preparing" if goes_on else "frozen")
    assert told(out) == ([("x", "truth")] if goes_on else [])
    assert ("foreign_exposure" in close.alarmed) != goes_on


@pytest.mark.parametrize("state", [name for name in ALL if name != "frozen"])
def test_what_is_explained_matters_to_a_frozen_close_alone(state: str) -> None:
    bench = Bench()
    close = close_in(bench, state, "idle", "idle")
    before = picture(bench.core)
    out = bench.fire(close, "explained")
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


@pytest.mark.parametrize("state", ["settled", "doubted", "unread"])
def test_two_equal_reads_end_no_close_whose_position_is_in_question_again(state: str) -> None:
    bench = Bench()
    close = close_in(bench, "reconciling", "done", "done", agreed=[2, 2])
    for leg in close.legs:
        leg.holding.accept(0)
        leg.agreed_at = bench.now
    close.legs[1].holding.state = state
    bench.fire(close, "evidence")
    assert close.state == ("reconciled" if state == "settled" else "reconciling")
