"""Rows of the session machine, taken one by one on a session that was put into a state by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from machines.messages import (
    Alarm,
    EngineStarted,
    InstrumentTruth,
    LinkClosed,
    LinkOpened,
    LinkStale,
    ModeChanged,
    ReadTruth,
    TruthFailed,
    TruthRead,
)
from machines.session import Session
from machines.table import Out
from machines.types import NS
from tests.picture import picture
from tests.rows import Bench, kinds

ALL = ("connecting", "syncing", "live", "stale", "recovering", "backoff")
READING = ("syncing", "recovering")


def session_in(bench: Bench, state: str) -> Session:
    session = bench.core.sessions["a"]
    session.timers.clear()
    session.state = state
    session.attempts = 0
    return session


def read(bench: Bench, qty: int | None = 1000, *, complete: bool = True) -> TruthRead:
    """A read of the whole venue that was asked just now."""
    row = InstrumentTruth(0, qty, Decimal(100), trades_complete=complete)
    return TruthRead(bench.now, bench.now, bench.now, "a", -1, (row,))


def failed(bench: Bench) -> TruthFailed:
    """A read of the whole venue that was asked just now and failed."""
    return TruthFailed(bench.now, bench.now, "a", -1, "timeout")


def closed(bench: Bench, draw: int = 0) -> LinkClosed:
    return LinkClosed(bench.now, "a", "reset", draw)


# ---------------------------------------------------------------- nothing happens

QUIET = {
    "opened": ("syncing", "live", "stale", "recovering", "backoff"),
    "truth": ("connecting", "live", "stale", "backoff"),
    "truth_failed": ("connecting", "live", "stale", "backoff"),
    "stale": ("connecting", "stale", "backoff"),
    "recover": ("connecting", "syncing", "live", "recovering", "backoff"),
    "closed": ("backoff",),
}


@pytest.mark.parametrize(
    ("trigger", "state"), [(name, state) for name, states in QUIET.items() for state in states]
)
def test_news_that_a_state_has_no_use_for_changes_nothing(trigger: str, state: str) -> None:
    bench = Bench()
    session = session_in(bench, state)
    before = picture(bench.core)
    message = {"truth": read(bench), "closed": closed(bench)}.get(trigger)
    out = bench.fire(session, trigger, message)
    assert picture(bench.core) == before
    assert out.commands == []


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("mode", ["maintenance", "halted", "cancel_only", "post_only"])
def test_a_venue_that_is_not_online_is_told_of_once_until_it_is(mode: str, state: str) -> None:
    bench = Bench()
    session = session_in(bench, state)
    out = bench.fire(session, "mode_told", ModeChanged(bench.now, "a", mode))
    assert (session.state, session.mode, session.mode_since) == (state, mode, bench.now)
    (alarm,) = out.commands
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.machine) == ("venue_degraded", "a")
    assert alarm.text.startswith(mode.replace("_", " "))
    began = bench.now
    bench.now += NS
    out = bench.fire(session, "mode_told", ModeChanged(bench.now, "a", "halted"))
    assert (session.mode, session.mode_since, kinds(out)) == ("halted", began, [])
    bench.fire(session, "mode_told", ModeChanged(bench.now, "a", "online"))
    assert (session.mode, session.mode_since) == ("online", 0)
    out = bench.fire(session, "mode_told", ModeChanged(bench.now, "a", mode))
    assert kinds(out) == ["Alarm"], "another time is another cause"


def test_a_venue_that_said_no_mode_when_it_was_linked_again_is_online() -> None:
    bench = Bench()
    session = session_in(bench, "live")
    bench.fire(session, "mode_told", ModeChanged(bench.now, "a", "maintenance"))
    bench.step(LinkClosed(bench.now, "a", "reset", 0))
    bench.fire(session, "retry")
    bench.step(LinkOpened(bench.now, "a"))
    assert session.mode_since > 0
    for _ in range(2):
        bench.fire(session, "truth", read(bench))
    assert (session.state, session.mode, session.mode_since) == ("live", "online", 0)


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("state", ["connecting", "syncing", "live", "stale", "recovering"])
def test_a_closed_link_sends_every_state_to_backoff(state: str) -> None:
    bench = Bench()
    session = session_in(bench, state)
    bench.fire(session, "closed", closed(bench, draw=500_000))
    settings = session.settings
    assert (session.state, session.trusted, session.attempts) == ("backoff", False, 1)
    assert list(session.timers) == ["retry"]
    assert settings.backoff_min_ns <= session.timers["retry"] - bench.now <= settings.backoff_max_ns


@pytest.mark.parametrize(
    ("timer", "state"),
    [("open", "connecting"), ("snapshot", "syncing"), ("snapshot", "recovering")],
)
def test_a_link_or_a_view_that_takes_too_long_is_given_up(timer: str, state: str) -> None:
    bench = Bench()
    session = session_in(bench, state)
    bench.fire(session, timer)
    assert session.state == "backoff"
    assert list(session.timers) == ["retry"]


def test_the_pause_after_a_closed_link_ends_in_a_connect() -> None:
    bench = Bench()
    session = session_in(bench, "backoff")
    out = bench.fire(session, "retry")
    assert (session.state, kinds(out)) == ("connecting", ["Connect"])
    assert list(session.timers) == ["open"]


def test_ten_failed_connects_in_a_row_raise_one_alarm() -> None:
    bench = Bench()
    session = session_in(bench, "connecting")
    alarms = []
    for _ in range(12):
        alarms += kinds(bench.fire(session, "closed", closed(bench)))
        bench.fire(session, "retry")
    assert alarms == ["Alarm", "Alarm"], "once at the second failure in a row, once at the tenth"


def told_by(out: Out) -> list[str]:
    return [each.text for each in out.commands if isinstance(each, Alarm)]


@pytest.mark.parametrize("state", READING)
def test_truth_that_cannot_be_read_is_told_at_a_start_as_after_a_gap(state: str) -> None:
    for fact in (failed, lambda bench: read(bench, complete=False)):
        bench = Bench()
        session = reading(bench, state)
        bench.tick()
        trigger = "truth_failed" if fact is failed else "truth"
        (text,) = told_by(bench.fire(session, trigger, fact(bench)))
        assert "no order is created there until two reads agree" in text
        bench.tick()
        assert told_by(bench.fire(session, trigger, fact(bench))) == [], "once, until it is trusted"


@pytest.mark.parametrize("state", READING)
def test_reads_that_do_not_come_are_told(state: str) -> None:
    bench = Bench()
    session = reading(bench, state)
    (text,) = told_by(bench.fire(session, "snapshot"))
    assert "no answer in time" in text


def test_a_link_that_breaks_once_while_it_is_opened_is_everyday() -> None:
    bench = Bench()
    session = session_in(bench, "connecting")
    assert told_by(bench.fire(session, "closed", closed(bench))) == []
    bench.fire(session, "retry")
    assert len(told_by(bench.fire(session, "closed", closed(bench)))) == 1


def test_a_minute_of_health_forgets_the_failed_connects() -> None:
    bench = Bench()
    session = session_in(bench, "live")
    session.attempts, session.alarmed = 9, True
    bench.fire(session, "stable")
    assert (session.attempts, session.alarmed) == (0, False)


@pytest.mark.parametrize("state", ALL)
def test_a_new_process_connects_whatever_the_old_one_had(state: str) -> None:
    bench = Bench()
    session = session_in(bench, state)
    session.timers["open"] = bench.now + NS
    out = bench.step(EngineStarted(bench.now, 2))
    assert (session.state, session.trusted) == ("connecting", False)
    assert kinds(out).count("Connect") == len(bench.core.sessions)


# ---------------------------------------------------------------- trust


def reading(bench: Bench, state: str) -> Session:
    """A session that has just begun to read, on a new link or again on the old one."""
    session = session_in(bench, "connecting" if state == "syncing" else "stale")
    out = bench.fire(session, "opened" if state == "syncing" else "recover")
    assert (session.state, kinds(out)) == (state, ["ReadTruth"])
    return session


@pytest.mark.parametrize("state", READING)
def test_trust_needs_two_reads_in_succession_that_agree(state: str) -> None:
    bench = Bench()
    session = reading(bench, state)
    views: list[dict[str, Any]] = [{"qty": 900}, {"qty": 1000}, {"complete": False}, {}]
    for view in views:
        bench.tick()
        out = bench.fire(session, "truth", read(bench, **view))
        asked = ["ReadTruth"] if view.get("complete", True) else ["Alarm"]
        assert (session.state, kinds(out)) == (state, asked)
    bench.tick()
    bench.fire(session, "truth", read(bench))
    assert (session.state, session.trusted) == ("live", True)
    assert list(session.timers) == ["stable"]


@pytest.mark.parametrize("state", READING)
def test_a_read_that_was_asked_before_the_gap_does_not_count(state: str) -> None:
    bench = Bench()
    old = read(bench)
    bench.tick()
    session = reading(bench, state)
    for _ in range(3):
        assert bench.fire(session, "truth", old).commands == []
    assert session.state == state


@pytest.mark.parametrize("state", READING)
def test_a_failure_of_before_the_gap_is_none_of_the_present_read(state: str) -> None:
    bench = Bench()
    old = failed(bench)
    bench.tick()
    session = reading(bench, state)
    assert bench.fire(session, "truth_failed", old).commands == []
    assert list(session.timers) == ["snapshot"]


@pytest.mark.parametrize("state", READING)
def test_another_gap_while_reading_begins_the_reads_anew(state: str) -> None:
    bench = Bench()
    session = reading(bench, state)
    bench.tick()
    bench.fire(session, "truth", read(bench))
    bench.tick()
    out = bench.step(LinkStale(bench.now, "a", "wake gap"))
    assert (session.state, kinds(out)) == (state, ["ReadTruth"])
    bench.tick()
    bench.fire(session, "truth", read(bench))
    assert session.state == state, "the view of before the gap is no first read"
    bench.fire(session, "truth", read(bench))
    assert session.trusted


@pytest.mark.parametrize("state", READING)
def test_a_failed_read_is_repeated_after_a_growing_pause(state: str) -> None:
    bench = Bench()
    session = reading(bench, state)
    pauses = []
    for _ in range(6):
        bench.fire(session, "truth_failed", failed(bench))
        pauses.append(session.timers["ask"] - bench.now)
    assert pauses[0] == NS // 4
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5 * NS
    out = bench.fire(session, "ask")
    assert out.commands == [ReadTruth(bench.now, "a", -1)]


@pytest.mark.parametrize("state", READING)
def test_an_incomplete_read_is_repeated_after_a_growing_pause(state: str) -> None:
    bench = Bench()
    session = reading(bench, state)
    pauses = []
    for _ in range(6):
        out = bench.fire(session, "truth", read(bench, complete=False))
        assert "ReadTruth" not in kinds(out), "asked at once it would be asked without end"
        pauses.append(session.timers["ask"] - bench.now)
    assert pauses[0] == NS // 4
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5 * NS


def test_stale_data_end_the_trust_until_the_venue_has_been_read_again() -> None:
    bench = Bench()
    session = session_in(bench, "live")
    bench.fire(session, "stale")
    assert not session.trusted
    out = bench.fire(session, "recover")
    assert (session.state, kinds(out)) == ("recovering", ["ReadTruth"])
