"""The shipped rehearsal ends flat, whenever it is killed; `tests.kills` tries it by hand."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.assembly import profiles, venue_settings
from engine.config import load
from machines.policy.reconciling import ASK_MAX_NS, MISSING_APART_NS
from tests.kills import Moment, plans, rehearse

ROOT = Path(__file__).parent.parent


def test_the_deadline_leaves_room_for_the_slowest_proof_and_the_whole_ladder() -> None:
    config = load(ROOT / "config.toml")
    settings = venue_settings(config, profiles(config))
    # Absence is proved by two answers of "not found"; the questions are up to a pause apart.
    proof = max(each.absent_after_ns for each in settings.values())
    proof += 2 * max(ASK_MAX_NS, MISSING_APART_NS)
    ladder = config.close
    climb = ladder.passive_limit.timeout_ns + ladder.aggressive_limit.timeout_ns
    climb += ladder.market.attempts_max * ladder.market.attempt_timeout_ns + ladder.stuck_retry_ns
    asked = max(close.at_ns for close in config.run.closes)
    assert asked + proof + climb <= config.run.deadline_ns


@pytest.mark.slow  # the shipped configuration on the wall clock, three rehearsals at the same time
def test_a_rehearsal_that_was_killed_goes_on_and_ends_flat() -> None:
    moments = [
        [Moment(order=1)],
        [Moment(order=3), Moment(after_s=1.5), Moment(order=2)],
        *plans(1, seed=8),
    ]
    with ThreadPoolExecutor(len(moments)) as pool:
        for done in pool.map(rehearse, range(1, len(moments) + 1), moments):
            assert done.killed, done.line()
            assert done.good, f"{done.line()}\n{done.output}"


def test_kills_are_drawn_from_their_seed_and_are_as_many_as_asked_for() -> None:
    for kills in (1, 7, 50):
        drawn = list(plans(kills, seed=1))
        assert sum(map(len, drawn)) == kills
        assert drawn == list(plans(kills, seed=1))
    assert list(plans(50, seed=1)) != list(plans(50, seed=2))
    assert {moment.order > 0 for deaths in plans(50, seed=1) for moment in deaths} == {True, False}
