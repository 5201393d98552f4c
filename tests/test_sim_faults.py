"""Fault kinds of the simulated venue: checks, selection, decisions and what each one does."""

from typing import Any

import pytest

from machines.messages import (
    CallLost,
    CancelRefused,
    Connect,
    FillReported,
    LinkClosed,
    LinkOpened,
    OrderMissing,
    OrderReported,
    ReadTruth,
    TruthFailed,
)
from machines.types import MS, NS
from tests.test_sim_venue import Desk, said
from venues.sim.draws import Draws, fnv1a
from venues.sim.faults import FAULTS, Fault, check_fault


def desk_with(name: str = "ideal", **table: Any) -> Desk:
    desk = Desk(name)
    desk.venue.add_fault(table)
    return desk


# ---------------------------------------------------------------- tables


def test_a_fault_table_lists_all_its_mistakes() -> None:
    assert check_fault({"kind": "drop_response", "venue": "a", "nth": [1, 3], "count": 2}) == []
    found = check_fault(
        {
            "kind": "drop_response",
            "mode": "slow",
            "on": "creation",
            "nth": 0,
            "probability": "3/2",
            "for_s": "0",
            "until": 3,
        }
    )
    assert [text.partition(" = ")[0] for text in found[:5]] == [
        "fault drop_response: mode",
        "fault drop_response: on",
        "fault drop_response: nth",
        "fault drop_response: probability",
        "fault drop_response: for_s",
    ]
    assert "unknown key 'until'; allowed: count, for_s, instrument" in found[5]


@pytest.mark.parametrize("kind", [None, 3, "drop_everything", "crash"])
def test_an_unknown_kind_is_named(kind: Any) -> None:
    (text,) = check_fault({"kind": kind})
    assert repr(kind) in text
    assert "cancel_lost" in text


def test_ratios_and_numbers_are_not_interchangeable() -> None:
    assert check_fault({"kind": "cancel_reject_filled", "fill": 1})
    assert check_fault({"kind": "dup_fill", "copies": "1/2"})
    assert check_fault({"kind": "dup_fill", "copies": 1.5})
    assert check_fault({"kind": "forced_close", "code": 1003})
    assert check_fault({"kind": "dup_fill", "copies": "2", "delay_ms": 0}) == []


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("dup_fill", "copies", 1001),
        ("dup_fill", "delay_ms", 10**40),
        ("dup_fill", "delay_ms", 1 << 4_000_000),
        ("dup_fill", "nth", [1, 10**10]),
        ("dup_fill", "count", "1e30"),
        ("stale_read", "lag_ms", "9e-999999999"),
        ("stale_read", "for_s", "1e10"),
        ("stale_read", "for_s", "9e-999999999"),
        ("stale_read", "probability", "1/18446744073709551617"),
        ("stale_read", "probability", "\u0661/\u0662"),
        ("cancel_reject_filled", "fill", "1.0/1"),
        ("forced_close", "at_s", 10**20),
    ],
    ids=lambda value: "" if isinstance(value, int) else str(value)[:12],
)
def test_a_number_that_no_run_could_carry_out_is_refused(kind: str, key: str, value: Any) -> None:
    (text,) = check_fault({"kind": kind, key: value})
    assert text.startswith(f"fault {kind}: {key} = ")
    assert len(text) < 300


def test_a_long_row_of_events_takes_no_memory() -> None:
    selector = Fault({"kind": "dup_fill", "nth": 2, "count": 10**9}, 0, 7, Draws(1)).selector
    assert selector.nth == range(2, 10**9 + 2)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    fault = Fault({"kind": "dup_fill", "nth": "2.0", "copies": "3.0"}, 0, 7, Draws(1))
    assert fault.selector.nth == range(2, 3)
    assert fault.parameters()["copies"] == 3


def test_a_malformed_fault_is_not_taken_up() -> None:
    with pytest.raises(ValueError, match="unknown key 'speed'"):
        desk_with(kind="stale_read", speed=1)


def test_every_kind_states_where_it_strikes() -> None:
    for name, kind in FAULTS.items():
        assert kind.scope in "RS", name
        assert kind.on, name


# ---------------------------------------------------------------- selection


def struck(desk: Desk, places: int) -> list[int]:
    """Place orders one after another; return the numbers of those whose answer was lost."""
    for _ in range(places):
        desk.place()
        desk.run()
    return [fact.order for fact in desk.all(CallLost)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, [1]),
        ({"count": 2}, [1, 2]),
        ({"count": 0}, [1, 2, 3, 4]),
        ({"nth": 2}, [2]),
        ({"nth": 2, "count": 2}, [2, 3]),
        ({"nth": [1, 4]}, [1, 4]),
        ({"for_s": "0.25"}, [1, 2, 3]),
        ({"probability": "1/1"}, [1, 2, 3, 4]),
        ({"probability": "0/1"}, []),
        ({"on": "cancel"}, []),
    ],
)
def test_faults_select_their_requests(selection: dict[str, Any], expected: list[int]) -> None:
    desk = desk_with(kind="drop_response", mode="reset", **selection)
    assert struck(desk, 4) == expected


def test_nth_counts_requests_from_before_the_fault() -> None:
    desk = Desk()
    assert struck(desk, 2) == []
    desk.venue.add_fault({"kind": "drop_response", "mode": "5xx", "nth": 3})
    assert struck(desk, 2) == [3]


def test_a_fault_of_one_instrument_leaves_others_alone() -> None:
    desk = Desk()
    desk.venue.add_fault({"kind": "drop_response", "mode": "5xx"}, instrument=8)
    assert struck(desk, 1) == []


def test_activations_are_recorded_with_what_was_drawn() -> None:
    desk = desk_with(kind="fill_before_ack", count=2)
    struck(desk, 3)
    decisions = desk.venue.rules.decisions
    assert [(each.index, each.kind) for each in decisions] == [
        (0, "fill_before_ack"),
        (1, "fill_before_ack"),
    ]
    assert all(0 <= each.parameters["ack_delay_ms"] <= 5000 for each in decisions)
    again = desk_with(kind="fill_before_ack", count=2)
    struck(again, 3)
    assert again.venue.rules.decisions == decisions


def test_a_dropped_request_meets_no_further_fault() -> None:
    desk = desk_with(kind="drop_request", mode="reset")
    desk.venue.add_fault({"kind": "fill_before_ack"})
    struck(desk, 1)
    assert [each.kind for each in desk.venue.rules.decisions] == ["drop_request"]


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize("mode", ["timeout", "5xx", "reset"])
def test_drop_response_executes_and_says_nothing_by_the_answer(mode: str) -> None:
    desk = desk_with(kind="drop_response", mode=mode)
    desk.place(price=10020)
    desk.run()
    assert [fact.cause for fact in desk.all(CallLost)] == ([] if mode == "timeout" else [mode])
    assert desk.one(FillReported).cum == 1000
    assert desk.all(OrderReported) == []


def test_drop_request_never_reaches_the_venue() -> None:
    desk = desk_with(kind="drop_request")
    order = desk.place(price=10020)
    assert desk.run(5000) == []
    assert desk.position == -1000
    assert isinstance(desk.query(order), OrderMissing)
    assert not desk.venue.orders[0].arrived


def test_drop_response_can_strike_reads() -> None:
    desk = desk_with(kind="drop_response", on="positions", mode="5xx")
    desk.send(ReadTruth(desk.heap.now, "a", -1))
    desk.run()
    assert desk.one(TruthFailed).cause == "5xx"


def test_fill_before_ack_holds_the_ack_back() -> None:
    desk = desk_with(kind="fill_before_ack", ack_delay_ms=700)
    desk.place(price=10020)
    assert said(desk.run(800)) == [("fill", 1000, 1000, 10020), ("ack", "OPEN", None, "")]


def test_fill_after_cancel_ack_counts_in_the_ack_and_comes_later() -> None:
    desk = desk_with(kind="fill_after_cancel_ack", delay_ms=300)
    order = desk.place()
    desk.run()
    desk.clear()
    desk.cancel(order)
    sent = desk.heap.now
    desk.run(1000)
    fill = desk.one(FillReported)
    ack = desk.all(OrderReported)[0]
    assert (ack.path, ack.status, ack.cum) == ("cancel", desk.venue.orders[0].state, fill.qty)
    assert fill.at == sent + 400 * MS
    assert fill.venue_at == sent
    assert desk.position == -1000 + fill.qty


@pytest.mark.parametrize("lose", ["request", "response"])
def test_cancel_lost_gives_no_answer(lose: str) -> None:
    desk = desk_with(kind="cancel_lost", lose=lose, count=1)
    order = desk.place()
    desk.run()
    desk.clear()
    desk.cancel(order)
    assert said(desk.run()) == (
        [("stream", "CANCELED", 0, "CANCELED")] if lose == "response" else []
    )
    desk.clear()
    desk.cancel(order)
    desk.run()
    assert bool(desk.all(CancelRefused)) == (lose == "response")


def test_cancel_lost_strikes_one_to_three_times_by_default() -> None:
    desk = desk_with(kind="cancel_lost")
    order = desk.place()
    desk.run()
    tries = 0
    while desk.venue.orders[0].alive:
        tries += 1
        desk.cancel(order)
        desk.run()
    assert 2 <= tries <= 4


@pytest.mark.parametrize(("fill", "cum"), [("1/1", 1000), ("2/5", 400), ("0/1", 0)])
def test_cancel_reject_filled_fills_first(fill: str, cum: int) -> None:
    desk = desk_with(kind="cancel_reject_filled", fill=fill)
    order = desk.place()
    desk.run()
    desk.clear()
    desk.cancel(order)
    desk.run()
    refused = desk.one(CancelRefused)
    assert (refused.reason, refused.text) == ("UNKNOWN_ORDER", "filled")
    assert [fact.cum for fact in desk.all(FillReported)] == ([cum] if cum else [])
    assert desk.venue.orders[0].alive == (cum < 1000)


def test_stale_read_shows_the_past_of_orders_and_trades() -> None:
    desk = desk_with(kind="stale_read", lag_ms=3000, count=0)
    order = desk.place()
    desk.run(4000)
    desk.venue.script.fill(7, 400)
    stale = desk.query(order)
    assert isinstance(stale, OrderReported)
    assert (stale.status, stale.cum) == ("OPEN", 0)
    row = desk.read().rows[0]
    assert (row.qty, row.trades, row.orders[0].cum) == (-600, (), 0)
    desk.run(4000)
    fresh = desk.query(order)
    assert isinstance(fresh, OrderReported)
    assert (fresh.status, fresh.cum) == ("PARTIALLY_FILLED", 400)
    assert [trade.qty for trade in desk.read().rows[0].trades] == [400]


@pytest.mark.parametrize(
    ("mode", "qty"), [("none", None), ("alias", None), ("stale", -1000), ("unsigned", 600)]
)
def test_position_read_bad_answers_wrongly_once(mode: str, qty: int | None) -> None:
    desk = desk_with(kind="position_read_bad", mode=mode)
    desk.venue.script.external(7, 400, 10000, "manual")
    assert desk.read().rows[0].qty == qty
    assert desk.read().rows[0].qty == -600


def test_position_read_bad_may_fail_as_a_whole() -> None:
    desk = desk_with(kind="position_read_bad", mode="error")
    desk.send(ReadTruth(desk.heap.now, "a", -1))
    desk.run()
    assert desk.one(TruthFailed).scope == -1


# ---------------------------------------------------------------- frames


def test_dup_fill_repeats_the_same_trade() -> None:
    desk = desk_with(kind="dup_fill", copies=2, delay_ms=500)
    sent = desk.heap.now
    desk.place(price=10020)
    desk.run(2000)
    fills = desk.all(FillReported)
    assert [fill.at - sent for fill in fills] == [50 * MS, 550 * MS, 1050 * MS]
    assert fills[0].trade == fills[1].trade == fills[2].trade


def test_dup_fill_counts_fills_not_other_frames() -> None:
    desk = desk_with(kind="dup_fill", copies=1, delay_ms=0, nth=2)
    desk.place()
    desk.run()
    desk.venue.script.fill(7, 100)
    desk.venue.script.fill(7, 200)
    desk.run()
    assert [fill.qty for fill in desk.all(FillReported)] == [100, 200, 200]


def test_dup_fill_repeats_cumulatives_where_there_are_no_trades() -> None:
    desk = Desk("lighter", {"verdict_ms": 0})
    desk.venue.add_fault({"kind": "dup_fill", "copies": 1, "delay_ms": 10})
    desk.place(price=10020)
    assert said(desk.run())[1:] == [("stream", "FILLED", 1000, "")] * 2


def test_delta_vs_cum_lets_a_later_fill_overtake() -> None:
    desk = desk_with(kind="delta_vs_cum", permute_ms=200)
    desk.place()
    desk.run()
    desk.venue.script.fill(7, 100)
    desk.venue.script.fill(7, 200)
    desk.run(500)
    assert [fill.cum for fill in desk.all(FillReported)] == [300, 100]


def test_forced_close_loses_frames_until_the_next_connect() -> None:
    desk = desk_with(kind="forced_close", code=1012, on="user")
    desk.place(price=10020)
    desk.run()
    closed = desk.one(LinkClosed)
    assert closed.cause == "closed 1012"
    assert 0 <= closed.draw < 1_000_000
    assert desk.all(FillReported) == []
    desk.venue.set_book(7, 9990, 1, 10010, 1)
    assert desk.inbox.tops == []
    desk.clear()
    desk.send(Connect(desk.heap.now, "a"))
    desk.run()
    desk.one(LinkOpened)
    assert desk.inbox.tops[0][3:] == (9990, 1, 10010, 1, 0)
    assert [trade.qty for trade in desk.read().rows[0].trades] == [1000]


def test_forced_close_takes_the_next_book_frame_too() -> None:
    desk = desk_with(kind="forced_close")
    desk.venue.set_book(7, 9990, 1, 10010, 1)
    desk.run()
    assert desk.one(LinkClosed).cause == "closed 1006"


def test_forced_close_comes_at_the_age_it_states() -> None:
    desk = desk_with(kind="forced_close", at_s=30)
    desk.run(28_000)
    assert desk.all(LinkClosed) == []
    desk.run(3000)
    assert desk.one(LinkClosed).at - desk.heap.now <= NS


# ---------------------------------------------------------------- draws


def test_draws_are_those_of_splitmix64() -> None:
    draws = Draws(1234567)
    assert [draws.next() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert fnv1a("a") == 0xAF63DC4C8601EC8C


def test_child_streams_do_not_depend_on_draws_or_order() -> None:
    first, second = Draws(7), Draws(7)
    second.next()
    assert second.child("x").next() == first.child("x").next()
    assert first.child("x").next() != first.child("y").next()


def test_draws_stay_in_their_bounds_and_reach_them() -> None:
    draws = Draws(3)
    assert sorted({draws.between(2, 5) for _ in range(200)}) == [2, 3, 4, 5]
    assert sum(draws.chance(1, 4) for _ in range(4000)) in range(880, 1120)
    with pytest.raises(ValueError, match="outside"):
        draws.below(0)
