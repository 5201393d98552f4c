"""What a simulated venue shows when it is asked: what it did to the account by itself too."""

from typing import Literal, get_args

import pytest

from machines.messages import (
    Connect,
    FillReported,
    LinkClosed,
    TradeRow,
)
from tests.test_sim_venue import Desk
from venues.sim.reads import TRADES_MAX

#: What a venue does to an account by itself.
Taking = Literal["liquidation", "adl", "settlement"]
TAKEN: tuple[Taking, ...] = get_args(Taking)


def trades_of(desk: Desk) -> tuple[TradeRow, ...]:
    return desk.read().rows[0].trades


def close_link(desk: Desk) -> None:
    """Break the streams; what follows is told by nobody."""
    desk.venue.link.close("lost")
    desk.run()
    assert desk.all(LinkClosed)
    desk.clear()


# ---------------------------------------------------------------- what the venue did by itself


@pytest.mark.parametrize("kind", TAKEN)
def test_a_read_lists_what_the_venue_did_as_the_stream_told_it(kind: Taking) -> None:
    desk = Desk()
    desk.venue.script.external(7, 400, 10500, kind)
    desk.run()
    told = desk.one(FillReported)
    assert (told.order, told.origin) == (0, kind)
    (row,) = trades_of(desk)
    assert row == TradeRow(
        0, told.trade, told.venue_at, told.side, told.price, told.qty, told.fee, told.maker, kind,
    )  # fmt: skip
    assert (row.side, row.price, row.qty, row.maker) == (1, 10500, 400, False)
    assert row.fee > 0


def test_trades_of_other_people_are_not_listed() -> None:
    desk = Desk()
    desk.venue.script.external(7, 400, 10500, "manual")
    row = desk.read().rows[0]
    assert (row.qty, row.trades, row.trades_complete) == (-600, (), True)


def test_what_the_venue_did_stands_between_own_trades_in_the_order_of_time() -> None:
    desk = Desk()
    desk.place(price=10020, qty=100)
    desk.run()
    desk.venue.script.external(7, 200, 10500, "liquidation")
    desk.run()
    desk.venue.script.external(7, 50, 10500, "manual")
    desk.place(price=10020, qty=300)
    desk.run()
    desk.venue.script.external(7, 350, 10400, "settlement")
    rows = trades_of(desk)
    assert [(row.order, row.qty, row.origin) for row in rows] == [
        (1, 100, "own"),
        (0, 200, "liquidation"),
        (2, 300, "own"),
        (0, 350, "settlement"),
    ]
    assert [row.venue_at for row in rows] == sorted(row.venue_at for row in rows)
    assert len({row.trade for row in rows}) == 4


def test_a_liquidation_during_a_gap_is_told_by_the_read_after_it() -> None:
    desk = Desk()
    close_link(desk)
    desk.venue.script.external(7, 1000, 10500, "liquidation")
    assert desk.run(70_000) == []
    desk.send(Connect(desk.heap.now, "a"))
    desk.run()
    row = desk.read().rows[0]
    assert [(each.order, each.qty, each.origin) for each in row.trades] == [
        (0, 1000, "liquidation")
    ]
    assert (row.qty, row.trades_complete) == (0, True)


def test_a_liquidation_is_listed_again_within_the_overlap_and_not_after_it() -> None:
    desk = Desk()
    desk.venue.script.external(7, 400, 10500, "liquidation")
    assert [len(trades_of(desk)) for _ in range(2)] == [1, 1]
    desk.run(61_000)
    assert trades_of(desk) == ()


def test_a_lagging_list_of_trades_lacks_a_liquidation_too() -> None:
    desk = Desk()
    desk.venue.add_fault({"kind": "stale_read", "on": "fills", "lag_ms": 3000, "count": 0})
    desk.venue.script.external(7, 400, 10500, "adl")
    row = desk.read().rows[0]
    assert (row.qty, row.trades) == (-600, ())
    desk.run(3000)
    assert [each.origin for each in trades_of(desk)] == ["adl"]


def test_a_list_that_is_too_long_counts_liquidations_and_comes_in_parts() -> None:
    desk = Desk()
    for _ in range(TRADES_MAX + 1):
        desk.venue.script.external(7, 1, 10500, "liquidation")
    desk.run(61_000)
    first = desk.read().rows[0]
    assert (len(first.trades), first.trades_complete) == (TRADES_MAX, False)
    rest = desk.read().rows[0]
    assert (len(rest.trades), rest.trades_complete) == (1, True)


@pytest.mark.parametrize("kind", TAKEN)
def test_a_restarted_venue_still_lists_what_it_did(kind: str) -> None:
    desk = Desk()
    desk.venue.script.external(7, 400, 10500, kind)
    desk.venue.script.external(7, 100, 10500, "manual")
    desk.run()
    before = trades_of(desk)
    fresh = Desk(position=0)
    fresh.venue.import_state(desk.venue.export_state())
    assert trades_of(fresh) == before
    assert [row.origin for row in before] == [kind]
