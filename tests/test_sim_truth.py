"""What a simulated venue shows when it is asked: trades, lists of orders, its mode.

Endings that nobody was told of are here too: what is left of them in a query and in a read.
"""

from typing import Any, Literal, get_args

import pytest

from machines.messages import (
    Connect,
    FillReported,
    LinkClosed,
    ModeChanged,
    OrderMissing,
    OrderReported,
    ReadMode,
    ReadRules,
    RulesRead,
    TradeRow,
)
from machines.types import MS, NS, SELL
from tests.test_sim_venue import Desk
from venues.profiles import PROFILES, profile
from venues.sim.judge import MODES
from venues.sim.reads import TRADES_MAX

#: What a venue takes from an account by itself, in a trade.
Taking = Literal["liquidation", "adl"]
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


@pytest.mark.parametrize("kind", ["manual", "settlement"])
def test_trades_of_other_people_and_settlements_are_not_listed(kind: str) -> None:
    desk = Desk()
    desk.venue.script.external(7, 400, 10500, kind)
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
    desk.venue.script.external(7, 350, 10400, "adl")
    rows = trades_of(desk)
    assert [(row.order, row.qty, row.origin) for row in rows] == [
        (1, 100, "own"),
        (0, 200, "liquidation"),
        (2, 300, "own"),
        (0, 350, "adl"),
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


# ---------------------------------------------------------------- mode and rules


def ask_mode(desk: Desk, ms: int = 1000) -> list[ModeChanged]:
    """Ask for the mode and return what comes of it within a time."""
    desk.clear()
    desk.send(ReadMode(desk.heap.now, "a"))
    desk.run(ms)
    return desk.all(ModeChanged)


@pytest.mark.parametrize("mode", MODES)
def test_a_venue_tells_its_mode_when_it_is_asked_whichever_it_is(mode: str) -> None:
    desk = Desk(delays=(10, 70, 50, 0))
    desk.venue.script.set_mode(mode)
    desk.run()
    for _ in range(2):
        sent = desk.heap.now
        (told,) = ask_mode(desk)
        assert (told.at, told.venue, told.mode) == (sent + 80 * MS, "a", mode)


def test_a_mode_is_told_without_streams_too() -> None:
    desk = Desk()
    close_link(desk)
    desk.venue.script.set_mode("halted")
    assert [told.mode for told in ask_mode(desk)] == ["halted"]


@pytest.mark.parametrize(
    "answer",
    [
        {"outcome": "timeout"},
        {"outcome": "error"},
        {"outcome": "reject", "code": "429"},
        {"outcome": "not_found"},
    ],
)
def test_a_failed_question_for_rules_or_mode_tells_nothing(answer: dict[str, Any]) -> None:
    desk = Desk()
    desk.venue.script.answer("rules", count=2, **answer)
    assert ask_mode(desk) == []
    desk.send(ReadRules(desk.heap.now, 7))
    assert desk.run() == []
    desk.send(ReadRules(desk.heap.now, 7))
    desk.run()
    desk.one(RulesRead)
    assert len(ask_mode(desk)) == 1


def test_faults_and_delays_of_rules_apply_to_the_question_for_the_mode() -> None:
    desk = Desk()
    desk.venue.script.answer("rules", hold_ns=5 * NS)
    sent = desk.heap.now
    assert ask_mode(desk) == []
    desk.run(5000)
    assert desk.one(ModeChanged).at == sent + 5050 * MS
    desk.venue.add_fault({"kind": "drop_response", "on": "rules", "mode": "reset", "nth": 3})
    assert [len(ask_mode(desk)) for _ in range(3)] == [1, 0, 1]


def test_a_venue_without_history_tells_its_mode() -> None:
    assert [told.mode for told in ask_mode(Desk(lean=True))] == ["online"]


# ---------------------------------------------------------------- lists of open orders


def test_every_profile_declares_whether_its_list_of_open_orders_proves_an_end() -> None:
    declared = {name: known.capabilities.open_orders for name, known in PROFILES.items()}
    lagging = {"lighter", "binance_usdm", "coinbase"}
    assert {name for name, word in declared.items() if word == "lagging"} == lagging
    assert {name for name, word in declared.items() if word == "partial"} == {"worst"}
    assert len(declared) == 10


def test_what_a_list_of_open_orders_proves_can_be_overridden() -> None:
    for word in ("authoritative", "lagging", "partial"):
        known = profile("backpack", {"open_orders": word})
        assert known.capabilities.open_orders == word
    with pytest.raises(ValueError, match="open_orders: 'full' is not allowed; allowed: authorit"):
        profile("backpack", {"open_orders": "full"})


def test_a_declared_list_is_shown_as_it_is_until_a_rule_makes_it_lie() -> None:
    for word in ("authoritative", "lagging", "partial"):
        desk = Desk(override={"open_orders": word})
        desk.place()
        desk.run()
        assert [order.order for order in desk.read().rows[0].orders] == [1]


def test_a_stale_list_may_lack_an_order_that_rests_and_show_one_that_is_dead() -> None:
    desk = Desk("binance_usdm")
    desk.place()
    desk.run(4000)
    desk.venue.add_fault({"kind": "stale_read", "on": "open_orders", "lag_ms": 3000, "count": 2})
    desk.place()
    desk.cancel(1)
    desk.run()
    lie = desk.read().rows[0]
    assert ([order.order for order in lie.orders], lie.orders_complete) == ([1], True)
    desk.run(4000)
    assert [order.order for order in desk.read().rows[0].orders] == [2]
    desk.venue.script.answer("open_orders", "not_found")
    row = desk.read().rows[0]
    assert (row.orders, row.orders_complete) == ((), False)


# ---------------------------------------------------------------- orders that end unseen


def test_an_order_that_fills_during_a_gap_is_found_in_trades_only() -> None:
    desk = Desk("backpack")
    order = desk.place()
    desk.run()
    close_link(desk)
    desk.venue.trade(7, SELL, 9999, 1000)
    assert desk.run() == []
    missing = desk.query(order)
    assert isinstance(missing, OrderMissing)
    assert missing.authority == "open_only"
    row = desk.read().rows[0]
    assert [(each.order, each.qty, each.price) for each in row.trades] == [(order, 1000, 10000)]
    assert (row.orders, row.orders_complete, row.trades_complete) == ((), True, True)
    assert row.qty == 0


def test_a_part_filled_order_that_vanishes_keeps_its_trades_and_leaves_the_list() -> None:
    desk = Desk("backpack")
    order, other = desk.place(), desk.place(price=9990)
    desk.run()
    desk.venue.script.fill(7, 400, order=1)
    desk.run()
    found = desk.query(order)
    assert isinstance(found, OrderReported)
    assert (found.status, found.cum) == ("PARTIALLY_FILLED", 400)
    assert [(each.order, each.cum) for each in desk.read().rows[0].orders] == [(1, 400), (2, 0)]
    desk.clear()
    desk.venue.script.report(7, 1, status="CANCELED", cum=400, path="none")
    assert desk.run() == []
    assert isinstance(desk.query(order), OrderMissing)
    assert isinstance(desk.query(other), OrderReported)
    row = desk.read().rows[0]
    assert [(each.order, each.cum) for each in row.orders] == [(other, 0)]
    assert [(each.order, each.qty) for each in row.trades] == [(order, 400)]
    assert (row.qty, row.orders_complete, row.trades_complete) == (-600, True, True)


def test_a_fill_that_nobody_tells_is_listed_with_its_price() -> None:
    desk = Desk("backpack")
    order = desk.place()
    desk.run()
    desk.clear()
    desk.venue.script.report(7, 1, status="FILLED", price=9995, path="none")
    assert desk.run() == []
    assert isinstance(desk.query(order), OrderMissing)
    row = desk.read().rows[0]
    assert [(each.order, each.qty, each.price) for each in row.trades] == [(order, 1000, 9995)]
    assert (row.orders, row.qty) == ((), 0)


def test_a_market_order_in_a_thin_book_ends_unseen_with_what_it_filled() -> None:
    desk = Desk("backpack")
    desk.venue.set_book(7, 10000, 600, 10020, 600)
    close_link(desk)
    desk.venue.script.answer("create", "timeout")
    order = desk.place(price=None)
    assert desk.run() == []
    ended = desk.venue.orders[0]
    assert (ended.state, ended.cum, ended.reason) == ("EXPIRED", 600, "NO_LIQUIDITY")
    assert isinstance(desk.query(order), OrderMissing)
    row = desk.read().rows[0]
    assert [(each.order, each.qty, each.price) for each in row.trades] == [(order, 600, 10020)]
    assert (row.orders, row.qty, row.orders_complete) == ((), -400, True)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_market_order_never_outlives_a_thin_book_where_market_orders_end(name: str) -> None:
    desk = Desk(name, {"verdict_ms": 0, "market": "native", "lookup": "history"})
    desk.venue.set_book(7, 10000, 600, 10020, 600)
    close_link(desk)
    order = desk.place(price=None, deadline=desk.heap.now + 9 * NS)
    desk.run()
    told = desk.query(order)
    assert isinstance(told, OrderReported)
    assert (told.status, told.cum) == (PROFILES[name].traits.ioc_end, 600)
    assert [each.qty for each in desk.read().rows[0].trades] == [600]
