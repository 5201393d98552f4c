"""Rows of the lane machine, taken one by one on a lane that was put into a state by hand."""

from __future__ import annotations

from typing import Any

import pytest

from machines.lane import Lane, Refusal
from machines.messages import Alarm, ReadMode, ReadTruth
from machines.table import Out
from machines.types import NS
from tests.picture import picture
from tests.rows import Bench, kinds, told

ALL = ("open", "shut", "banned", "unready", "barred")
#: How long a venue pushes back that states no time, refusal by refusal.
PAUSES_S = (1, 2, 4, 8, 16, 30, 30)


def lane_in(bench: Bench, state: str) -> Lane:
    """The lane of venue b in a state, with the time by which it is left."""
    lane = bench.core.lanes["b"]
    lane.state = state
    if state in ("shut", "banned"):
        lane.until = lane.timers["reopen"] = bench.now + 10 * NS
    if state == "unready":
        lane.timers["status"] = bench.now + 10 * NS
    return lane


def refusal(reason: str = "RATE_LIMITED", retry_at: int = 0, instrument: int = 1) -> Refusal:
    return Refusal(reason, instrument, "b:X", "said the venue", retry_at)


def said(out: Out) -> list[tuple[str, str]]:
    return [(each.kind, each.machine) for each in out.commands if isinstance(each, Alarm)]


# ---------------------------------------------------------------- nothing happens

QUIET: dict[str, tuple[Any, tuple[str, ...]]] = {
    "pushed_back": (refusal(), ("shut", "banned", "unready", "barred")),
    "ban_told": (refusal("BANNED"), ("banned", "barred")),
    "denied": (refusal("AUTH"), ("barred",)),
    "mode_refused": (refusal("HALTED"), ("banned", "unready", "barred")),
    "mode_told": (None, ("open", "shut", "banned", "barred")),
    "resumed": (None, ("open", "shut", "banned")),
    "order_taken": (None, ALL),
}


@pytest.mark.parametrize(
    ("trigger", "state"), [(name, state) for name, (_, states) in QUIET.items() for state in states]
)
def test_what_counts_once_or_says_nothing_new_changes_nothing(trigger: str, state: str) -> None:
    bench = Bench()
    lane = lane_in(bench, state)
    before = picture(bench.core)
    out = bench.fire(lane, trigger, QUIET[trigger][0])
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


# ---------------------------------------------------------------- for a time


def test_a_venue_that_pushes_back_is_left_alone_for_longer_each_time() -> None:
    bench = Bench()
    lane = lane_in(bench, "open")
    alarms = []
    for seconds in PAUSES_S:
        out = bench.fire(lane, "pushed_back", refusal())
        assert (lane.state, lane.timers) == ("shut", {"reopen": bench.now + seconds * NS})
        alarms.append(said(out))
        bench.now += seconds * NS
        bench.fire(lane, "reopen")
        assert (lane.state, lane.timers) == ("open", {})
    told_at = sum(PAUSES_S[:4])
    assert told_at >= 10 > sum(PAUSES_S[:3]), "that a venue is busy for a moment is nobody's alarm"
    assert alarms[4] == [("venue_degraded", "b")]
    assert [found for found in alarms if found] == [alarms[4]], "once until it takes an order"
    bench.fire(lane, "order_taken")
    assert said(bench.fire(lane, "pushed_back", refusal())) == []
    assert lane.timers == {"reopen": bench.now + NS}, "an order that was taken forgets them"


@pytest.mark.parametrize("trigger", ["mode_refused", "unfit"])
def test_a_cause_that_lasts_is_told_once_until_an_order_is_taken(trigger: str) -> None:
    bench = Bench()
    lane = lane_in(bench, "open")
    for expected in ([("venue_degraded", "b")], [], []):
        assert said(bench.fire(lane, trigger, refusal("MALFORMED"))) == expected
        bench.fire(lane, "mode_told")
        assert lane.state == "open"
        bench.now += 30 * NS
    began = bench.now - 90 * NS
    assert lane.refused_since == began, "it lasts since the first refusal"
    bench.fire(lane, "order_taken")
    if trigger == "mode_refused":
        assert lane.refused_since == 0
        assert said(bench.fire(lane, trigger, refusal())) == [("venue_degraded", "b")]
    else:
        assert lane.refused_since == began, "an order on another instrument says nothing of this"


def test_an_order_that_was_under_way_as_the_lane_shut_ends_no_trial() -> None:
    bench = Bench()
    lane = lane_in(bench, "open")
    bench.fire(lane, "mode_refused", refusal())
    bench.fire(lane, "order_taken")
    assert lane.refused_since == bench.now
    bench.fire(lane, "mode_told")
    assert said(bench.fire(lane, "mode_refused", refusal())) == []


def test_a_stated_time_is_kept_and_a_later_one_prolongs_it() -> None:
    bench = Bench()
    lane = lane_in(bench, "open")
    first, later = bench.now + 5 * NS, bench.now + 9 * NS
    bench.fire(lane, "pushed_back", refusal(retry_at=first))
    assert lane.timers == {"reopen": first}
    bench.fire(lane, "pushed_back", refusal(retry_at=later))
    assert lane.timers == {"reopen": later}
    bench.fire(lane, "pushed_back", refusal(retry_at=first))
    assert lane.timers == {"reopen": later}


@pytest.mark.parametrize("state", ["open", "shut", "unready"])
def test_a_ban_is_waited_for_without_a_request_and_told(state: str) -> None:
    bench = Bench()
    lane = lane_in(bench, state)
    for minutes in (1, 2, 4):
        out = bench.fire(lane, "ban_told", refusal("BANNED"))
        assert (lane.state, said(out)) == ("banned", [("venue_degraded", "b")])
        assert lane.timers["reopen"] == bench.now + 60 * minutes * NS
        bench.now += 60 * minutes * NS
        bench.fire(lane, "reopen")
    until = bench.now + 7 * NS
    bench.fire(lane, "ban_told", refusal("BANNED", until))
    bench.fire(lane, "ban_told", refusal("BANNED", until + NS))
    assert lane.timers["reopen"] == until + NS


# ---------------------------------------------------------------- until told


@pytest.mark.parametrize("state", ["open", "shut", "banned", "unready"])
@pytest.mark.parametrize("reason", ["AUTH", "PERMISSION"])
def test_credentials_that_are_refused_are_a_persons_affair(reason: str, state: str) -> None:
    bench = Bench()
    lane = lane_in(bench, state)
    out = bench.fire(lane, "denied", refusal(reason))
    assert (lane.state, lane.timers, said(out)) == ("barred", {}, [("venue_auth", "b")])
    assert kinds(out) == ["Alarm"]
    bench.fire(lane, "resumed")
    assert lane.state == "open"


@pytest.mark.parametrize("state", ["open", "shut"])
def test_a_mode_that_refuses_is_asked_for_until_it_is_told(state: str) -> None:
    bench = Bench()
    lane = lane_in(bench, state)
    out = bench.fire(lane, "mode_refused", refusal("VENUE_MODE"))
    assert (lane.state, said(out)) == ("unready", [("venue_degraded", "b")])
    for _ in range(3):
        assert lane.timers == {"status": bench.now + 30 * NS}
        bench.now += 30 * NS
        out = bench.fire(lane, "status")
        assert out.commands[0] == ReadMode(bench.now, "b")
    bench.fire(lane, "mode_told")
    assert (lane.state, lane.timers) == ("open", {})


def test_a_person_may_end_the_wait_for_a_mode() -> None:
    bench = Bench()
    lane = lane_in(bench, "unready")
    bench.fire(lane, "resumed")
    assert (lane.state, lane.timers) == ("open", {})


# ---------------------------------------------------------------- one instrument


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("reason", ["UNSUPPORTED", "MALFORMED"])
def test_an_order_that_an_instrument_cannot_have_bars_it_alone(reason: str, state: str) -> None:
    bench = Bench()
    lane = lane_in(bench, state)
    out = bench.fire(lane, "unfit", refusal(reason))
    assert (lane.state, said(out)) == (state, [("venue_degraded", "b")])
    other = "" if state == "open" else state
    assert (lane.shut_for(0), lane.shut_for(1)) == (other, other or "unfit")
    bench.fire(lane, "resumed")
    assert lane.barred == {}


def test_nothing_is_placed_behind_a_lane_that_is_shut() -> None:
    for state in ALL[1:]:
        bench = Bench()
        leg = bench.leg("market", rung=2)
        lane_in(bench, state)
        out = bench.fire(leg, "attempt_due")
        assert "Place" not in kinds(out)
        assert (leg.state, leg.wait_reason) == ("waiting", state)


# ---------------------------------------------------------------- a ban grows with every request


def banned(bench: Bench, machine: Any, timer: str) -> int:
    """Let the machine's own question fall due while its venue bans us; when that ends."""
    lane = lane_in(bench, "banned")
    out = bench.fire(machine, timer)
    assert kinds(out) == []
    assert machine.timers[timer] == lane.until
    return lane.until


@pytest.mark.parametrize("state", ["unknown", "contradicted"])
def test_an_order_in_doubt_is_asked_for_when_the_ban_is_over(state: str) -> None:
    bench = Bench()
    leg = bench.leg("doubtful", order=state)
    assert leg.order is not None
    leg.order.cancel_wanted = True
    bench.now = banned(bench, leg.order, "ask")
    bench.core.lanes["b"].state = "open"
    assert kinds(bench.fire(leg.order, "ask")) == ["Cancel", "QueryOrder"]


def test_a_leg_that_waits_for_a_read_asks_when_the_ban_is_over() -> None:
    bench = Bench()
    leg = bench.leg("waiting", read_after=bench.now)
    bench.now = banned(bench, leg, "reread")
    bench.core.lanes["b"].state = "open"
    assert "ReadTruth" in kinds(bench.fire(leg, "reread"))


@pytest.mark.parametrize("state", ["unread", "doubted"])
def test_a_position_in_question_is_read_when_the_ban_is_over(state: str) -> None:
    bench = Bench()
    holding = bench.core.holdings[1]
    holding.state = state
    bench.now = banned(bench, holding, "ask")
    bench.core.lanes["b"].state = "open"
    assert kinds(bench.fire(holding, "ask")) == ["ReadTruth"]


@pytest.mark.parametrize("state", ["syncing", "recovering"])
def test_a_venue_is_read_again_when_the_ban_is_over(state: str) -> None:
    bench = Bench()
    session = bench.core.sessions["b"]
    session.state = state
    bench.now = banned(bench, session, "ask")
    bench.core.lanes["b"].state = "open"
    assert kinds(bench.fire(session, "ask")) == ["ReadTruth"]


def test_a_close_reads_the_venue_that_has_not_banned_us() -> None:
    bench = Bench()
    bench.tick(120)
    close = bench.close()
    lane_in(bench, "banned")
    (asked,) = [each for each in bench.fire(close, "ask").commands if isinstance(each, ReadTruth)]
    assert asked.scope == 0
    assert "ask" in close.timers
