"""Closing a part: how much stays, when it is refused, and that a pair stays as even as it was."""

import pytest
from msgspec.structs import replace

from machines.close_model import Close
from machines.messages import CloseRequested
from machines.part import kept, problem
from machines.requests import NOTHING
from tests.rows import TEN, Bench

HALF = (1, 2)


def with_rules(bench: Bench, **changed: int) -> None:
    holding = bench.core.holdings[0]
    holding.instrument = replace(holding.instrument, **changed)


def halved(bench: Bench) -> Close:
    """A close of one half of the pair that has started."""
    bench.step(CloseRequested(bench.now, "x", "MANUAL", ratio=HALF))
    close = bench.core.closes["x"]
    assert [leg.keep for leg in close.legs] == [TEN // 2, -TEN // 2]
    return close


@pytest.mark.parametrize(
    ("qty", "lot", "ratio", "stays"),
    [
        (10, 1, (1, 3), 7),
        (-10, 1, (1, 3), -7),
        (10, 4, (1, 2), 6),
        (10, 1, (1, 1), 0),
        (0, 1, HALF, 0),
    ],
)
def test_what_stays_is_all_but_whole_lots_of_the_part(
    qty: int, lot: int, ratio: tuple[int, int], stays: int
) -> None:
    bench = Bench()
    holding = bench.core.holdings[0]
    holding.qty = qty
    with_rules(bench, lot=lot)
    assert kept(holding, ratio) == stays


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        ((1, 2), ""),
        ((1, 100), "the part of a:X"),
        ((99, 100), "what would stay of a:X"),
        ((1, 1), ""),
    ],
)
def test_a_part_is_refused_that_would_leave_the_pair_naked_now_or_later(
    ratio: tuple[int, int], told: str
) -> None:
    bench = Bench()
    with_rules(bench, min_qty=TEN // 10)
    assert problem(bench.core.holdings, ratio).startswith(told)
    assert bool(problem(bench.core.holdings, ratio)) == bool(told)
    out = bench.step(CloseRequested(bench.now, "x", "MANUAL", ratio=ratio))
    assert out.answer.startswith(NOTHING) == bool(told)
    assert ("x" in bench.core.closes) != bool(told)


def test_what_somebody_takes_below_the_part_is_closed_of_the_other_leg_too() -> None:
    bench = Bench()
    close = halved(bench)
    first, second = close.legs
    first.holding.suffer(-700)
    close.level()
    assert (first.keep, second.keep) == (300, -300)
    assert (first.rest, second.rest) == (0, -700)
    close.level()
    assert second.keep == -300, "counted once"


def test_a_leg_that_was_taken_whole_leaves_nothing_to_hedge() -> None:
    bench = Bench()
    close = halved(bench)
    close.legs[0].holding.suffer(-TEN - 100)
    close.level()
    assert [leg.keep for leg in close.legs] == [0, 0]


@pytest.mark.parametrize("why", ["a whole close", "not started", "more than stays"])
def test_nothing_is_levelled_without_a_part_that_was_taken(why: str) -> None:
    bench = Bench()
    close = halved(bench)
    if why == "a whole close":
        close.ratio = (1, 1)
    if why == "not started":
        close.started_at = 0
    close.legs[0].holding.suffer(-400 if why == "more than stays" else -700)
    close.level()
    assert [leg.keep for leg in close.legs] == [500, -500]
