"""The checkers hold the engine to what it was told and to what the venues hold, not to its word."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.simulation.scenario import Scenario, load_scenario
from engine.simulation.watch import Watch
from engine.simulation.world import World, run
from machines.evidence import Evidence
from machines.holding_model import Holding
from machines.messages import (
    Cancel,
    CloseRequested,
    Fact,
    FillReported,
    InstrumentTruth,
    OperatorCommanded,
    OrderReported,
    Place,
    PositionMoved,
    ReadTruth,
    TradeRow,
    TruthRead,
)
from machines.table import Out
from machines.types import BUY, MS, NS, SELL, Capabilities, VenueSettings
from tests.rows import TEN, instrument
from venues.sim.orders import Origin, SimOrder, SimTrade, order_of

SHOWN = VenueSettings("b", Capabilities())
HIDDEN = VenueSettings("b", Capabilities(position="unavailable"))
NOTHING = CloseRequested(0, "x", "MANUAL")


def watch(held: int = -TEN) -> Watch:
    """A watch over one position, short ten unless said otherwise, which is being closed."""
    made = Watch([instrument(0, "b")], {"x": (0,)}, {0: SHOWN})
    made.declare(0, held)
    made.closing("x")
    return made


def trade(made: Watch, at: int, change: int, order: int = 0, kind: Origin = "manual") -> None:
    """The venue books a trade, of one of our orders or of somebody else."""
    side = BUY if change > 0 else SELL
    origin: Origin = "own" if order else kind
    done = SimTrade(at, 0, order, f"t{at}", side, 10_000, abs(change), Decimal(0), False, origin)
    made.traded([done])


def fill(at: int, change: int, order: int = 0, kind: Origin = "manual") -> FillReported:
    """The news of a trade of `trade` at the same time."""
    side = BUY if change > 0 else SELL
    zero = Decimal(0)
    return FillReported(
        at, at, 0, order, f"t{at}", side, 10_000, abs(change), None, zero, False, kind
    )


def read(at: int, qty: int | None, *trades: TradeRow) -> TruthRead:
    row = InstrumentTruth(0, qty, Decimal(100), (), trades)
    return TruthRead(at, at, at, "b", 0, (row,))


def tell(made: Watch, *facts: Fact) -> None:
    for fact in facts:
        made.step(fact.at, fact, ())


def place(order: int, side: int, qty: int) -> Place:
    return Place(0, order, 0, side, qty, None, "IOC", False, True, 0, 0, 1, "market", "")


def send(made: Watch, at: int, order: int, side: int, qty: int) -> SimOrder:
    """An order is decided, written, sent, and rests at the venue."""
    command = place(order, side, qty)
    made.step(at, NOTHING, [command])
    made.wrote([order])
    made.left(at, command)
    resting = order_of(command, at, 1)
    resting.state = "OPEN"
    return resting


def settle(made: Watch, at: int, *orders: SimOrder) -> None:
    made.settled(at, {0: made.told.courses[0].qty}, {}, orders)


def objects(made: Watch, at: int, qty: int, side: int = BUY) -> bool:
    """Whether the watch objects to a closing order of this size."""
    send(made, at, 1, side, qty)
    return bool(made.violated)


# ---------------------------------------------------------------- what is known


def test_a_strangers_trade_that_is_told_twice_counts_once() -> None:
    for qty, is_wrong in ((701, True), (700, False)):
        made = watch()
        trade(made, NS, 300)
        tell(made, fill(NS, 300), fill(NS, 300))
        assert objects(made, 2 * NS, qty) is is_wrong


def test_a_trade_that_a_read_shows_is_known_and_counts_once() -> None:
    row = TradeRow(7, "t1", NS, BUY, 10_000, 300, Decimal(0), False)
    told = FillReported(NS, NS, 0, 7, "t1", BUY, 10_000, 300, 300, Decimal(0), False)
    made = watch()
    send(made, 0, 7, BUY, 300)
    for fact in (read(NS, None, row), told):
        tell(made, fact)
        assert made.told.known[0] == 300 - TEN


ADOPT = OperatorCommanded(5 * NS, "adopt", "x")


@pytest.mark.parametrize(
    ("facts", "is_wrong"),
    [
        ([], True),
        ([read(3 * NS, -1300), read(4 * NS, -1300)], True),
        ([ADOPT, read(6 * NS, -1300)], True),
        ([ADOPT, read(6 * NS, -1300), read(7 * NS, None), read(8 * NS, -1300)], True),
        ([read(4 * NS, -1300), ADOPT, read(6 * NS, -1300)], False),
        ([ADOPT, read(6 * NS, -1300), read(7 * NS, -1300)], False),
        ([ADOPT, read(6 * NS, -1300), read(3 * NS, -TEN), read(7 * NS, -1300)], False),
    ],
    ids=[
        "nothing",
        "not adopted",
        "one read",
        "not in succession",
        "one before",
        "two after",
        "an old one between",
    ],
)
def test_what_two_reads_show_is_ours_to_close_once_an_operator_has_adopted_it(
    facts: list[Fact], is_wrong: bool
) -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, *facts)
    assert objects(made, 20 * NS, 1300) is is_wrong


def test_where_no_position_is_shown_an_operator_adopts_what_was_announced() -> None:
    for settings, is_wrong in ((HIDDEN, False), (SHOWN, True)):
        made = Watch([instrument(0, "b")], {"x": (0,)}, {0: settings})
        made.declare(0, -TEN)
        made.closing("x")
        trade(made, NS, -300)
        tell(made, fill(NS, -300), ADOPT)
        assert objects(made, 6 * NS, 1300) is is_wrong


def test_what_an_operator_says_is_held_needs_no_read() -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, OperatorCommanded(5 * NS, "adopt", "x", qty=Decimal(13)))
    assert not objects(made, 6 * NS, 1300)


@pytest.mark.parametrize(
    ("word", "reads", "is_wrong"),
    [
        (replace(ADOPT, target="y"), (6, 7), True),
        (replace(ADOPT, command="retry"), (6, 7), True),
        (ADOPT, (3, 4), True),
        (ADOPT, (6, 7), False),
    ],
    ids=["another pair", "another word", "reads of before", "reads after"],
)
def test_only_reads_after_the_word_adopt_and_only_for_the_pair_that_is_named(
    word: OperatorCommanded, reads: tuple[int, int], is_wrong: bool
) -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, word, *(replace(read(at * NS, -1300), at=8 * NS) for at in reads))
    assert objects(made, 20 * NS, 1300) is is_wrong


def test_an_adoption_ends_with_the_next_order() -> None:
    made = watch()
    tell(made, replace(ADOPT, at=0), read(NS, -TEN), read(2 * NS, -TEN))
    send(made, 3 * NS, 1, BUY, TEN)
    trade(made, 4 * NS, -300)
    tell(made, read(5 * NS, -1300), read(6 * NS, -1300))
    send(made, 20 * NS, 2, BUY, 1300)
    assert made.violated


def test_an_operator_who_is_wrong_about_what_is_held_is_no_evidence() -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, OperatorCommanded(5 * NS, "adopt", "x", qty=Decimal(12)))
    assert objects(made, 6 * NS, 1300)


def test_a_closing_order_is_on_the_other_side_of_what_is_held() -> None:
    assert objects(watch(), NS, 1, SELL)
    assert objects(watch(0), NS, 1, BUY)
    assert not objects(watch(), NS, 1, BUY)


def test_an_order_is_written_down_before_it_leaves_and_leaves_once() -> None:
    made = watch()
    command = place(1, BUY, 1)
    made.left(NS, command)
    assert made.violated == ["I1 1 s: b:X: sent without a durable intent"]
    made.wrote([1])
    made.left(2 * NS, command)
    assert made.violated[1:] == ["I2 2 s: b:X: order 1 sent twice"]


# ---------------------------------------------------------------- evidence of others' doing


def evidence(kind: str) -> Fact:
    """A fact of 4 s about a stranger's purchase of 600 at 2 s from a short of 1000."""
    row = TradeRow(0, f"t{2 * NS}", 2 * NS, BUY, 10_000, 600, Decimal(0), False, "manual")
    facts: dict[str, Fact] = {
        "message": replace(fill(2 * NS, 600), at=4 * NS),
        "position": read(4 * NS, -400),
        "position moved": PositionMoved(4 * NS, 3 * NS, 0, -400, "manual"),
        "listed trade": read(4 * NS, None, row),
        "of before": replace(read(4 * NS, -400), taken_at=NS),
        "lagging": read(4 * NS, -TEN),
        "hidden": read(4 * NS, None),
        "unsigned": read(4 * NS, 400),
        "void": replace(read(4 * NS, -400), sent_at=0),
        "another trade": replace(fill(3 * NS, 600), at=4 * NS),
    }
    return facts[kind]


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        ("message", True),
        ("position", True),
        ("position moved", True),
        ("listed trade", True),
        ("of before", False),
        ("lagging", False),
        ("hidden", False),
        ("unsigned", False),
        ("void", False),
        ("another trade", False),
    ],
)
def test_only_what_shows_a_strangers_trade_is_evidence_of_it(kind: str, *, shows: bool) -> None:
    made = watch()
    tell(made, read(NS, -TEN))
    trade(made, 2 * NS, 600)
    tell(made, evidence(kind))
    assert objects(made, 5 * NS, TEN) is shows


def test_a_read_that_shows_a_later_trade_shows_the_earlier_ones_in_it() -> None:
    made = watch()
    trade(made, NS, 600)
    trade(made, 2 * NS, 100)
    tell(made, read(3 * NS, -300))
    assert objects(made, 4 * NS, 301)


def test_a_read_between_two_trades_shows_the_first_alone() -> None:
    made = watch()
    trade(made, NS, 600)
    trade(made, 3 * NS, 100)
    tell(made, replace(read(4 * NS, -400), taken_at=2 * NS))
    assert [change.shown_at for change in made.told.courses[0].changes] == [4 * NS, None]


def test_a_position_that_the_engine_was_never_told_of_is_shown_by_a_read() -> None:
    made = Watch([instrument(0, "b")], {"x": (0,)}, {0: SHOWN})
    made.declare(0, 0, -TEN)
    assert made.told.known[0] == 0
    tell(made, read(NS, -TEN))
    assert made.told.known[0] == -TEN


def test_a_process_that_dies_forgets_what_it_had_not_written_down() -> None:
    for is_written, known in ((False, -TEN), (True, -400)):
        made = watch()
        trade(made, 2 * NS, 600)
        tell(made, evidence("message"))
        if is_written:
            made.wrote([])
        made.slept(4 * NS, died=True)
        assert made.told.known[0] == known
        tell(made, evidence("message"))
        assert made.told.known[0] == -400


def test_what_somebody_added_is_forgotten_with_the_evidence_of_it() -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, read(2 * NS, -1300))
    made.slept(2 * NS, died=True)
    assert (made.told.known[0], made.told.unowned(0)) == (-TEN, 0)


def test_a_trade_that_is_told_later_tells_whose_doing_a_position_was() -> None:
    ours: dict[Origin, int] = {"liquidation": -400, "manual": -TEN}
    for kind, left in ours.items():
        made = watch()
        trade(made, 2 * NS, 600, kind=kind)
        tell(made, read(3 * NS, -400))
        assert made.told.ours[0] == -TEN
        for at in (4 * NS, 5 * NS):
            row = TradeRow(0, f"t{2 * NS}", 2 * NS, BUY, 10_000, 600, Decimal(0), False, kind)
            tell(made, read(at, -400, row))
            assert (made.told.known[0], made.told.ours[0]) == (-400, left)


def test_the_venue_takes_first_what_strangers_added() -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, read(2 * NS, -1300))
    trade(made, 3 * NS, 100, kind="liquidation")
    tell(made, fill(3 * NS, 100, kind="liquidation"))
    assert (made.told.owned(0), made.told.unowned(0)) == (-TEN, 200)
    trade(made, 4 * NS, 300, kind="liquidation")
    tell(made, fill(4 * NS, 300, kind="liquidation"))
    assert (made.told.owned(0), made.told.unowned(0)) == (-900, 0)


def test_what_the_venue_left_is_ours_when_strangers_have_changed_nothing_in_all() -> None:
    made = watch()
    trade(made, NS, 200)
    tell(made, read(2 * NS, -800))
    trade(made, 3 * NS, 800, kind="adl")
    tell(made, fill(3 * NS, 800, kind="adl"))
    trade(made, 4 * NS, -200)
    tell(made, read(5 * NS, -200))
    assert made.told.owned(0) == -200


def test_where_the_venue_took_all_nothing_is_ours() -> None:
    made = watch(-300)
    trade(made, NS, -1000)
    tell(made, read(2 * NS, -1300))
    trade(made, 3 * NS, 1300, kind="liquidation")
    tell(made, fill(3 * NS, 1300, kind="liquidation"))
    assert made.told.ours[0] == 0


def test_what_the_venue_itself_added_needs_nobodys_word() -> None:
    made = watch()
    trade(made, NS, -100, kind="settlement")
    tell(made, fill(NS, -100, kind="settlement"))
    assert made.told.owned(0) == -1100


def test_what_the_venue_took_is_lost_once_however_often_it_is_listed() -> None:
    made = watch()
    trade(made, NS, 100, kind="liquidation")
    tell(made, fill(NS, 100, kind="liquidation"))
    trade(made, 2 * NS, 500)
    row = TradeRow(0, f"t{NS}", NS, BUY, 10_000, 100, Decimal(0), False, "liquidation")
    tell(made, read(3 * NS, -400), read(4 * NS, -400, row))
    assert made.told.ours[0] == -900


def test_a_position_that_strangers_turned_over_loses_nothing_of_ours_to_the_venue() -> None:
    made = watch()
    trade(made, NS, 1300)
    trade(made, 2 * NS, -200, kind="liquidation")
    tell(made, read(3 * NS, 300), fill(2 * NS, -200, kind="liquidation"))
    assert made.told.ours[0] == -TEN


def test_what_the_venue_took_is_ours_again_with_the_evidence_of_it() -> None:
    made = watch()
    trade(made, NS, 600, kind="liquidation")
    tell(made, fill(NS, 600, kind="liquidation"))
    made.slept(NS, died=True)
    assert made.told.owned(0) == -TEN


def test_a_position_that_somebody_turned_over_is_all_his() -> None:
    made = watch()
    trade(made, NS, 1300)
    tell(made, read(2 * NS, 300))
    assert made.told.owned(0) == 0


# ---------------------------------------------------------------- orders after evidence


@pytest.mark.parametrize(
    ("kind", "after_ms", "is_wrong"), [("position", 249, True), ("position", 250, False)]
)
def test_nothing_is_placed_just_after_a_strangers_trade_was_shown(
    kind: str, after_ms: int, is_wrong: bool
) -> None:
    made = watch()
    trade(made, 2 * NS, 600)
    tell(made, evidence(kind))
    assert objects(made, 4 * NS + after_ms * MS, 400) is is_wrong


def test_what_the_venue_itself_did_and_named_is_heeded_by_an_order_at_once() -> None:
    made = watch()
    trade(made, 2 * NS, 600, kind="liquidation")
    tell(made, fill(2 * NS, 600, kind="liquidation"))
    assert not objects(made, 2 * NS, 400)


def test_what_a_stranger_did_is_looked_at_first_and_so_is_what_no_trade_names() -> None:
    cases: tuple[tuple[Origin, Fact], ...] = (
        ("manual", fill(2 * NS, 600)),
        ("liquidation", read(2 * NS, -400)),
    )
    for kind, fact in cases:
        made = watch()
        trade(made, 2 * NS, 600, kind=kind)
        tell(made, fact)
        assert objects(made, 2 * NS, 400)


def test_an_order_may_follow_at_once_where_strangers_have_changed_nothing_in_all() -> None:
    made = watch()
    trade(made, NS, 600)
    tell(made, read(2 * NS, -400))
    trade(made, 3 * NS, -600)
    tell(made, read(4 * NS, -TEN))
    assert not objects(made, 4 * NS, TEN)


def test_an_order_need_not_wait_for_what_was_not_shown() -> None:
    made = watch()
    trade(made, NS, 600)
    tell(made, read(2 * NS, -400))
    trade(made, 9 * NS, 100)
    assert not objects(made, 9 * NS, 400)


def test_a_process_that_slept_looks_first_when_it_wakes() -> None:
    made = watch()
    trade(made, 2 * NS, 600)
    tell(made, evidence("position"))
    made.slept(4 * NS + 100 * MS, died=False)
    assert objects(made, 4 * NS + 300 * MS, 400)


def test_an_operator_who_adopts_may_see_an_order_at_once() -> None:
    made = watch()
    trade(made, NS, 600)
    tell(made, replace(ADOPT, at=3 * NS), read(4 * NS, -400), read(4 * NS, -400))
    assert not objects(made, 4 * NS, 400)


def test_nothing_is_placed_beside_what_somebody_added_until_it_is_adopted() -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, read(2 * NS, -1300))
    assert objects(made, 60 * NS, 500)


@pytest.mark.parametrize("told", [read(2 * NS, -1300), fill(NS, -300)], ids=["read", "message"])
def test_what_somebody_added_and_took_away_again_keeps_nobody_from_closing_the_rest(
    told: Fact,
) -> None:
    made = watch()
    trade(made, NS, -300)
    tell(made, told)
    assert made.told.unowned(0) == 300
    trade(made, 3 * NS, 300)
    tell(made, fill(3 * NS, 300))
    assert not objects(made, 60 * NS, TEN)


def test_what_is_left_after_strangers_turned_it_over_and_back_is_ours() -> None:
    made = watch()
    trade(made, NS, 1300)
    tell(made, read(2 * NS, 300))
    assert made.told.owned(0) == 0
    trade(made, 3 * NS, -700)
    tell(made, read(4 * NS, -400))
    assert not objects(made, 60 * NS, 400)


def test_what_strangers_did_that_cancels_itself_out_is_nothing_to_heed() -> None:
    made = watch()
    trade(made, NS, -300)
    trade(made, 2 * NS, 300)
    tell(made, read(3 * NS, -TEN))
    assert not made.told.courses[0].unshown()
    assert not objects(made, 3 * NS, TEN)


def test_a_read_that_agrees_with_what_is_known_shows_nothing() -> None:
    made = watch()
    send(made, 0, 1, BUY, 200)
    trade(made, NS, 200, order=1)
    trade(made, 2 * NS, -200)
    tell(made, read(3 * NS, -TEN))
    assert len(made.told.courses[0].unshown()) == 1
    tell(made, replace(fill(NS, 200, order=1), at=4 * NS), read(5 * NS, -TEN))
    assert made.told.unowned(0) == 200


@pytest.mark.parametrize(("is_over", "unowned"), [(True, 400), (False, 0)])
def test_what_comes_to_a_flat_position_is_a_strangers_once_its_close_is_over(
    *, is_over: bool, unowned: int
) -> None:
    made = watch()
    send(made, 0, 1, BUY, TEN)
    trade(made, NS, 600)
    tell(made, read(2 * NS, -400))
    trade(made, 3 * NS, 400, order=1)
    tell(made, fill(3 * NS, 400, order=1))
    if is_over:
        made.closed("x")
    trade(made, 4 * NS, -400)
    tell(made, read(5 * NS, -400))
    assert made.told.unowned(0) == unowned


def test_what_is_left_when_a_close_is_over_stays_ours() -> None:
    made = watch()
    made.closed("x")
    assert made.told.owned(0) == -TEN
    assert not made.pairs["x"].closing


def test_what_the_venue_took_is_not_ours_again_when_a_stranger_adds_as_much() -> None:
    made = watch()
    trade(made, NS, 600, kind="liquidation")
    tell(made, fill(NS, 600, kind="liquidation"))
    trade(made, 2 * NS, -600)
    tell(made, read(3 * NS, -TEN))
    assert (made.told.owned(0), made.told.unowned(0)) == (-400, 600)


# ---------------------------------------------------------------- orders that live at the venue


def resting_after_evidence() -> tuple[Watch, SimOrder]:
    """An order for all of a short ten rests while a stranger buys six; that is told at 4 s."""
    made = watch()
    order = send(made, NS, 1, BUY, TEN)
    trade(made, 2 * NS, 600)
    settle(made, 2 * NS, order)
    tell(made, evidence("message"))
    settle(made, 4 * NS, order)
    return made, order


def test_an_order_for_more_than_is_held_must_be_cancelled_once_that_is_known() -> None:
    made, order = resting_after_evidence()
    settle(made, 4 * NS + 250 * MS, order)
    assert not made.violated
    settle(made, 4 * NS + 251 * MS, order)
    assert len(made.violated) == 1
    assert "1000 units open and 400 held is not cancelled" in made.violated[0]
    settle(made, 9 * NS, order)
    assert len(made.violated) == 1


@pytest.mark.parametrize(("after_ms", "is_wrong"), [(250, False), (251, True)])
def test_the_cancel_of_an_order_that_is_too_large_counts_when_it_leaves(
    after_ms: int, is_wrong: bool
) -> None:
    made, order = resting_after_evidence()
    made.left(4 * NS + after_ms * MS, Cancel(0, 1, 0))
    settle(made, 9 * NS, order)
    assert bool(made.violated) is is_wrong


def test_the_first_cancel_of_an_order_counts() -> None:
    made, order = resting_after_evidence()
    for at in (4 * NS, 5 * NS):
        made.left(at, Cancel(0, 1, 0))
    settle(made, 9 * NS, order)
    assert not made.violated


def test_only_somebody_elses_trades_make_an_order_too_large() -> None:
    made = watch()
    send(made, NS, 1, BUY, 600)
    order = send(made, NS, 2, BUY, TEN)
    trade(made, 2 * NS, 600, order=1)
    tell(made, fill(2 * NS, 600, order=1))
    for second in (3, 4):
        settle(made, second * NS, order)
    assert not made.violated


def test_an_order_of_no_close_is_not_held_against_the_engine() -> None:
    made = watch()
    order = send(made, NS, 1, BUY, TEN)
    made.pairs["x"].closing = False
    trade(made, 2 * NS, 600)
    tell(made, evidence("message"))
    for second in (8, 9):
        settle(made, second * NS, order)
    assert not made.violated


def test_an_order_that_is_too_large_and_ends_in_time_needs_no_cancel() -> None:
    for ended_at, is_wrong in ((4 * NS + 250 * MS, False), (5 * NS, True)):
        made, order = resting_after_evidence()
        order.state, order.ended_at = "CANCELED", ended_at
        settle(made, 9 * NS)
        assert bool(made.violated) is is_wrong


def test_an_order_of_which_no_more_than_is_held_is_open_may_stay() -> None:
    made, order = resting_after_evidence()
    order.cum = 600
    settle(made, 4 * NS + 100 * MS, order)
    settle(made, 9 * NS, order)
    assert not made.violated


def test_an_order_for_more_than_is_held_may_stay_while_nobody_could_know() -> None:
    made = watch()
    order = send(made, NS, 1, BUY, TEN)
    trade(made, 2 * NS, 600)
    for second in (2, 3, 20):
        settle(made, second * NS, order)
    assert not made.violated


def test_an_order_on_its_way_is_too_large_from_its_arrival() -> None:
    made = watch()
    order = send(made, NS, 1, BUY, TEN)
    order.state = "SENT"
    trade(made, 2 * NS, 600)
    tell(made, evidence("message"))
    settle(made, 6 * NS, order)
    order.state = "OPEN"
    for second in (7, 8):
        settle(made, second * NS, order)
    assert len(made.violated) == 1


def test_a_process_that_sleeps_cannot_cancel() -> None:
    made, order = resting_after_evidence()
    made.slept(6 * NS, died=False)
    settle(made, 6 * NS, order)
    settle(made, 6 * NS + 250 * MS, order)
    assert not made.violated
    settle(made, 7 * NS, order)
    assert made.violated


def test_an_order_that_the_venue_said_is_dead_is_not_held_against_the_engine() -> None:
    made = watch()
    order = send(made, NS, 1, BUY, TEN)
    trade(made, 2 * NS, 600)
    tell(made, evidence("message"), OrderReported(4 * NS, 0, 1, "cancel", "CANCELED", 0))
    for second in (4, 9):
        settle(made, second * NS, order)
    assert not made.violated


def test_own_fills_that_were_not_told_make_no_order_too_large() -> None:
    made = watch()
    send(made, NS, 1, BUY, 300)
    trade(made, 2 * NS, 100)
    tell(made, fill(2 * NS, 100))
    order = send(made, 3 * NS, 2, BUY, 900)
    trade(made, 4 * NS, 300, order=1)
    for second in (4, 9):
        settle(made, second * NS, order)
    assert not made.violated


# ---------------------------------------------------------------- flips


def flips(made: Watch) -> bool:
    return bool(made.position_flips)


def test_a_position_that_our_own_trade_turns_over_is_a_flip() -> None:
    made = watch()
    trade(made, NS, 1001, order=1)
    assert made.violated == ["I7 1 s: b:X: -1000 became 1"]


def test_a_position_that_is_not_being_closed_may_turn_over() -> None:
    made = watch()
    made.pairs["x"].closing = False
    trade(made, NS, 1001, order=1)
    assert not flips(made)


def test_a_closing_order_that_opens_what_was_flat_is_a_flip() -> None:
    made = watch(0)
    trade(made, NS, 1, order=1)
    assert flips(made)


@pytest.mark.parametrize(
    ("at", "is_wrong"), [(3 * NS, False), (4 * NS + 249 * MS, False), (4 * NS + 250 * MS, True)]
)
def test_a_position_turned_over_with_a_strangers_help_is_a_flip_once_that_was_known(
    at: int, is_wrong: bool
) -> None:
    made = watch()
    trade(made, 2 * NS, 600)
    if at > 4 * NS:
        tell(made, evidence("message"))
    trade(made, at, TEN, order=1)
    assert flips(made) is is_wrong


def test_more_than_the_stranger_took_is_a_flip_at_any_time() -> None:
    made = watch()
    trade(made, 2 * NS, 600)
    made.left(2 * NS, Cancel(0, 1, 0))
    trade(made, 3 * NS, TEN + 1, order=1)
    assert flips(made)


@pytest.mark.parametrize(("after_ms", "is_wrong"), [(250, False), (251, True)])
def test_an_order_that_was_being_cancelled_in_time_is_no_flip(
    after_ms: int, is_wrong: bool
) -> None:
    made, _ = resting_after_evidence()
    made.left(4 * NS + after_ms * MS, Cancel(0, 1, 0))
    trade(made, 6 * NS, TEN, order=1)
    assert flips(made) is is_wrong


def test_a_cancel_excuses_no_flip_that_nobody_else_had_a_hand_in() -> None:
    made = watch()
    made.left(NS, Cancel(0, 1, 0))
    trade(made, 2 * NS, 1001, order=1)
    assert flips(made)


def test_an_order_that_the_venue_filled_beyond_its_size_is_no_flip() -> None:
    made = watch()
    made.traded([], overfilled=[0])
    trade(made, NS, 1001, order=1)
    assert not flips(made)


# ---------------------------------------------------------------- claims


def claim(made: Watch, held: int) -> bool:
    """Whether the watch objects to a close that ends flat while this is held."""
    made.ended("x", {0: 0}, {0: 0}, {}, {0: held})
    return bool(made.violated)


@pytest.mark.parametrize(("after_ms", "is_wrong"), [(249, False), (250, True)])
def test_a_claim_is_wrong_by_a_strangers_trade_once_that_was_known(
    after_ms: int, is_wrong: bool
) -> None:
    made = watch(0)
    trade(made, 2 * NS, 5)
    tell(made, read(4 * NS, 5))
    made.settled(4 * NS + after_ms * MS, {0: 5}, {})
    assert claim(made, 5) is is_wrong


def test_a_claim_is_not_wrong_by_a_trade_that_no_read_has_shown() -> None:
    made = watch(0)
    trade(made, NS, 5)
    tell(made, read(2 * NS, 0))
    made.settled(9 * NS, {0: 5}, {})
    assert not claim(made, 5)


def test_a_claim_is_wrong_by_what_no_strangers_trade_explains() -> None:
    made = watch(0)
    trade(made, NS, 5)
    assert claim(made, 6)


def test_a_claim_is_of_what_is_left_beside_what_is_kept() -> None:
    for kept, is_wrong in ((5, False), (4, True)):
        made = watch(0)
        made.ended("x", {0: 1}, {0: kept}, {}, {0: 6})
        assert bool(made.violated) is is_wrong


def test_a_claim_is_wrong_with_an_order_that_lives() -> None:
    made = watch(0)
    made.ended("x", {0: 0}, {0: 0}, {0: 1}, {0: 0})
    assert made.violated == ["I9 0 s: b:X: reconciled with a live order"]


# ---------------------------------------------------------------- the end

LATER = 60 * NS


def believes_wrongly(made: Watch, believed: int, *, at: int = LATER, all_told: bool = True) -> bool:
    made.settled(at, {0: 0}, {})
    made.over({0: believed}, {0: made.told.courses[0].qty}, all_told=all_told)
    return bool(made.violated)


@pytest.mark.parametrize("kind", ["message", "position", "listed trade"])
def test_a_belief_must_follow_what_was_shown(kind: str) -> None:
    for believed, is_wrong in ((-TEN, True), (-400, False)):
        made = watch()
        trade(made, 2 * NS, 600)
        tell(made, evidence(kind))
        assert believes_wrongly(made, believed) is is_wrong


@pytest.mark.parametrize("kind", ["lagging", "hidden", "unsigned"])
def test_a_belief_need_not_follow_what_was_never_shown(kind: str) -> None:
    for believed, is_wrong in ((-TEN, False), (-999, True)):
        made = watch()
        trade(made, 2 * NS, 600)
        tell(made, evidence(kind))
        assert believes_wrongly(made, believed) is is_wrong


def test_a_turned_sign_need_not_be_believed_unless_a_trade_explains_it() -> None:
    for fact, is_wrong in ((read(4 * NS, 300), False), (fill(2 * NS, 1300), True)):
        made = watch()
        trade(made, 2 * NS, 1300)
        tell(made, fact)
        assert believes_wrongly(made, -TEN) is is_wrong


def test_a_side_that_a_read_lied_about_need_not_be_believed_to_be_the_other() -> None:
    for lie, is_wrong in ((None, True), (300, False)):
        made = watch(0)
        trade(made, NS, -300)
        tell(made, fill(NS, -300), read(2 * NS, lie))
        assert believes_wrongly(made, 300) is is_wrong


def test_our_own_fills_may_be_on_their_way_only_while_a_close_goes_on() -> None:
    for all_told in (True, False):
        made = watch()
        send(made, NS, 1, BUY, 300)
        trade(made, 2 * NS, 300, order=1)
        assert believes_wrongly(made, -TEN, all_told=all_told) is all_told


@pytest.mark.parametrize(("after_s", "is_wrong"), [(34, False), (35, True)])
def test_a_question_is_open_for_the_read_lag_and_twenty_seconds(
    after_s: int, is_wrong: bool
) -> None:
    made = watch()
    trade(made, 2 * NS, 600)
    tell(made, evidence("message"))
    made.settled((4 + after_s) * NS, {0: -400}, {})
    assert made.asks({0: -TEN}, {0: -400}, all_told=True) is not is_wrong
    assert believes_wrongly(made, -TEN, at=(4 + after_s) * NS) is is_wrong


def test_a_fill_of_our_own_opens_the_question_anew() -> None:
    made = watch()
    send(made, NS, 1, BUY, 300)
    trade(made, 2 * NS, 600)
    trade(made, 3 * NS, 100, order=1)
    tell(made, evidence("message"), replace(fill(3 * NS, 100, order=1), at=LATER - NS))
    assert not believes_wrongly(made, -900)


def test_a_read_of_another_venue_is_no_question() -> None:
    made = Watch([instrument(0, "b"), instrument(1, "a"), instrument(2, "b")], {}, {})
    made.left(NS, ReadTruth(NS, "a", -1))
    assert made.sent.asked_at == [-1, NS, -1]
    made.left(2 * NS, ReadTruth(2 * NS, "b", 0))
    assert made.sent.asked_at == [2 * NS, NS, -1]
    made.left(3 * NS, ReadTruth(3 * NS, "b", -1))
    assert made.sent.asked_at == [3 * NS, NS, 3 * NS]


def test_a_question_without_a_usable_answer_is_open_longer() -> None:
    whole = read(LATER - NS, -400)
    (row,) = whole.rows
    answers = (
        (read(LATER - NS, None), False),
        (replace(whole, rows=(replace(row, orders_complete=False),)), False),
        (replace(whole, rows=(replace(row, trades_complete=False),)), False),
        (whole, True),
    )
    for answer, is_wrong in answers:
        made = watch()
        trade(made, 2 * NS, 600)
        tell(made, evidence("message"))
        made.left(LATER - NS, ReadTruth(LATER - NS, "b", -1))
        tell(made, answer)
        assert believes_wrongly(made, -TEN) is is_wrong


# ---------------------------------------------------------------- whole runs

GAP = """
name = "an own fill of 1 and a hand sale of 6 in one gap"
duration_s = 100
[venues.a]
profile = "backpack"
latency_ms = { request = 20, response = 20, stream = 20, public = 20 }
[instruments."a:X"]
tick = "0.01"
lot = "0.01"
book = { bid = "100.00", bid_qty = "1000", ask = "100.10", ask_qty = "1000" }
[positions."a:X"]
qty = "10"
entry = "99"
[pairs.x]
legs = ["a:X"]
[[timeline]]
at_s = 0
close = { pair = "x", reason = "MANUAL" }
[[timeline]]
at_s = 0
fault = { kind = "forced_close", venue = "a", on = "user", at_s = 2 }
[[timeline]]
at_s = 2.0
fill = { instrument = "a:X", qty = "1" }
[[timeline]]
at_s = 2.1
external = { instrument = "a:X", qty = "-6", price = "100.05", kind = "manual" }
"""
#: The same trade while the stream stands, so that a message tells of it.
TOLD = GAP.replace("fault = {", 'answer = { venue = "a", on = "book", outcome = "accept" }\n#')


#: A close that has ended flat after 0.04 s; what comes later is of its dead order.
ENDED = (
    GAP[: GAP.index("[[timeline]]")]
    + """
[[timeline]]
at_s = 0
close = { pair = "x", reason = "KILL" }
"""
)


def violated(text: str, folder: Path) -> list[str]:
    """What the checkers find in a run of this scenario."""
    file = folder / "case.toml"
    file.write_text(text, encoding="utf-8")
    return run(load_scenario(file)).outcome.violated


def hears_itself(truth: Callable[..., None]) -> Callable[..., None]:
    """An engine that takes every position it reads for its own."""

    def heard(self: Any, fact: TruthRead, out: Out) -> None:
        rows = tuple(replace(row, qty=self.holdings[row.instrument].qty) for row in fact.rows)
        truth(self, replace(fact, rows=rows), out)

    return heard


def test_an_engine_that_sells_what_a_stranger_sold_in_a_gap_breaks_three_invariants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Evidence, "_truth", hears_itself(Evidence._truth))
    lines = "\n".join(violated(GAP, tmp_path))
    for part in (
        "a:X: an order with 900 units open and 300 held is not cancelled",
        "a:X: order of 900 units with 300 known to be held",
        "a:X: 300 became -600",
        "a:X: the engine believes 0 units, the venue holds -600",
    ):
        assert part in lines


def test_an_engine_that_hears_no_stranger_leaves_its_order_in_the_book(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Evidence, "_external_fill", lambda *_: None)
    found = violated(TOLD, tmp_path)
    assert found
    assert "an order with 900 units open and 300 held is not cancelled" in found[0]


def test_a_belief_that_follows_no_read_is_found_while_the_close_is_frozen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Holding, "suffer", lambda *_: None)
    (line,) = violated(TOLD, tmp_path)
    assert line == "I5 100 s: a:X: the engine believes 900 units, the venue holds 300"


def heard_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: str) -> list[str]:
    """The same with something that happens to the process 80 ms after the stranger is told of."""
    monkeypatch.setattr(Evidence, "_external_fill", lambda *_: None)
    return violated(f"{TOLD}[[timeline]]\nat_s = 2.2\n{process}\n", tmp_path)


def test_a_sleep_of_the_process_is_no_time_to_cancel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = heard_nobody(monkeypatch, tmp_path, 'engine = "freeze"\nfor_s = 0.9')
    assert found[0].startswith("I6 4 s")


def test_a_death_of_the_process_is_no_time_to_cancel_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert heard_nobody(monkeypatch, tmp_path, 'engine = "kill"') == []


class Closings(World):
    """A world that notes when the watch takes its pair to be closing."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.seen: list[bool] = []

    def settle(self) -> None:
        super().settle()
        self.seen.append(self.watch.pairs["x"].closing)


def test_a_close_that_a_late_fill_opens_again_is_watched_again(tmp_path: Path) -> None:
    late = 'at_s = 9\nfill = { instrument = "a:X", qty = "1", order = "last_terminal" }\n'
    file = tmp_path / "late.toml"
    file.write_text(f"{ENDED}[[timeline]]\n{late}", encoding="utf-8")
    world = Closings(load_scenario(file))
    world.run()
    turns = [now for now, before in zip(world.seen[1:], world.seen, strict=False) if now != before]
    assert turns[:3] == [True, False, True]


@pytest.mark.parametrize(
    ("at_s", "trouble"),
    [
        pytest.param("99.99", "", id="on its way"),
        pytest.param(
            "99.9",
            'at_s = 99\nfault = { kind = "forced_close", venue = "a", on = "user" }\n'
            '[[timeline]]\nat_s = 99.8\nfunding = { instrument = "a:X", amount = "1" }\n'
            "[[timeline]]\n",
            id="lost in a gap",
        ),
    ],
)
def test_a_run_that_ends_before_the_news_of_a_fill_is_not_quiet(
    at_s: str, trouble: str, tmp_path: Path
) -> None:
    late = 'fill = { instrument = "a:X", qty = "1", order = "last_terminal" }\n'
    assert violated(f"{ENDED}[[timeline]]\n{trouble}at_s = {at_s}\n{late}", tmp_path) == []


def test_a_fill_that_was_lost_without_a_gap_need_not_be_known_while_its_close_goes_on(
    tmp_path: Path,
) -> None:
    text = GAP.replace("duration_s = 100", "duration_s = 10").replace("at_s = 2.1", "at_s = 11")
    lost = 'answer = { venue = "a", on = "user", outcome = "timeout", count = 0 }\n#'
    assert violated(text.replace("fault = {", lost), tmp_path) == []


# ---------------------------------------------------------------- dead orders that fill


@pytest.mark.parametrize("how", ["cancelled", "not cancelled", "the dead one", "never dead"])
def test_what_an_order_fills_that_was_reported_dead_is_the_venues_breach(how: str) -> None:
    made = watch()
    send(made, NS, 1, BUY, TEN)
    if how != "never dead":
        tell(made, OrderReported(2 * NS, 0, 1, "stream", "CANCELED", 0))
    send(made, 3 * NS, 2, BUY, TEN)
    first, second = (2, 1) if how == "the dead one" else (1, 2)
    trade(made, 4 * NS, TEN, order=first)
    if how in ("cancelled", "never dead"):
        made.left(5 * NS, Cancel(5 * NS, 2, 0))
    trade(made, 6 * NS, TEN, order=second)
    flips = [each for each in made.violated if "became" in each]
    assert bool(flips) == (how in ("not cancelled", "never dead"))


def test_what_was_shown_counts_from_the_instant_at_which_somebody_is_awake_again() -> None:
    made, order = resting_after_evidence()
    made.slept(9 * NS, died=False)
    settle(made, 9 * NS + 200 * MS, order)
    assert not made.violated
    settle(made, 9 * NS + 300 * MS, order)
    assert made.violated
