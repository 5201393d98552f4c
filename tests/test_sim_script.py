"""Scripted fates: fills, reports and canned answers of a scenario's timeline."""

from decimal import Decimal
from typing import Any

import pytest

from machines.messages import (
    CallLost,
    CancelRefused,
    FillReported,
    FundingPaid,
    OrderMissing,
    OrderRefused,
    OrderReported,
    QueryFailed,
    ReadTruth,
    TruthFailed,
    TruthRead,
)
from machines.types import MS, NS, SELL
from tests.test_sim_venue import Desk, said
from venues.numbers import NumberRefused
from venues.profiles import normal_reason, normal_status


def desk_with_order(name: str = "ideal", override: dict[str, Any] | None = None) -> Desk:
    desk = Desk(name, override)
    desk.place()
    desk.run(2000)
    desk.clear()
    return desk


# ---------------------------------------------------------------- fills and reports


def test_a_scripted_fill_may_exceed_the_order() -> None:
    desk = desk_with_order()
    desk.venue.script.fill(7, 1050)
    assert said(desk.run()) == [("fill", 1050, 1050, 10000)]
    assert desk.position == 50


def test_a_fill_of_a_dead_order_raises_its_cumulative_and_leaves_it_dead() -> None:
    desk = desk_with_order()
    desk.cancel(1)
    desk.run()
    desk.clear()
    desk.venue.script.fill(7, 200, order="last_terminal")
    assert said(desk.run()) == [("fill", 200, 200, 10000)]
    assert desk.venue.orders[0].state == "CANCELED"
    assert desk.position == -800


def test_a_fill_without_an_order_is_noted() -> None:
    desk = Desk()
    desk.venue.script.fill(7, 100)
    desk.venue.script.report(7, 3, cum=5)
    assert desk.venue.script.unmatched == [
        (desk.venue.now, "fill", "a:X", "live"),
        (desk.venue.now, "report", "a:X", 3),
    ]


def test_a_payment_that_no_account_could_hold_is_refused() -> None:
    desk = Desk()
    with pytest.raises(NumberRefused, match=r"funding: .* must be within"):
        desk.venue.script.funding(7, rate=Decimal("1e15"))
    desk.venue.script.funding(7, rate=Decimal("1e9"))
    (paid,) = [fact for fact in desk.run() if isinstance(fact, FundingPaid)]
    assert paid.amount > 10**9


def test_a_report_of_growth_is_a_trade_and_the_same_report_again_changes_nothing() -> None:
    desk = desk_with_order()
    for _ in range(2):
        desk.venue.script.report(7, 1, cum=400, trade="t1")
    desk.venue.script.report(7, 1, cum=600, trade="t2", qty=200)
    desk.venue.script.report(7, 1, cum=400, effect=False)
    assert said(desk.run()) == [
        ("fill", 400, 400, 10000),
        ("fill", 400, 400, 10000),
        ("fill", 200, 600, 10000),
        ("stream", "PARTIALLY_FILLED", 400, ""),
    ]
    assert desk.position == -400


def test_an_end_with_growth_tells_the_fill_by_the_end_alone() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, "live", status="CANCELED", cum=400, reason="self_trade")
    assert said(desk.run()) == [("stream", "CANCELED", 400, "SELF_TRADE")]
    assert desk.position == -600
    assert [trade.qty for trade in desk.read().rows[0].trades] == [400]


def test_a_filled_report_is_one_trade_of_the_rest() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, status="FILLED", price=10003)
    assert said(desk.run()) == [("fill", 1000, 1000, 10003)]
    assert desk.venue.orders[0].state == "FILLED"


def test_a_message_without_effect_leaves_the_books_alone() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, status="CANCELED", cum=0, effect=False)
    desk.venue.script.report(7, 1, cum=300, trade="x", effect=False)
    assert said(desk.run()) == [("stream", "CANCELED", 0, ""), ("fill", 300, 300, 10000)]
    assert desk.position == -1000
    assert desk.venue.orders[0].alive


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("canceled", "CANCELED", ""),
        ("canceled-post-only", "CANCELED", "WOULD_CROSS"),
        ("canceled-reduce-only", "CANCELED", "REDUCE_ONLY_VIOLATION"),
        ("canceled-position-not-allowed", "CANCELED", "POSITION_LIMIT"),
        ("canceled-margin-not-allowed", "CANCELED", "INSUFFICIENT_MARGIN"),
        ("canceled-too-much-slippage", "CANCELED", "SLIPPAGE_BOUND"),
        ("canceled-not-enough-liquidity", "CANCELED", "NO_LIQUIDITY"),
        ("canceled-self-trade", "CANCELED", "SELF_TRADE"),
        ("canceled-expired", "CANCELED", "EXPIRED"),
        ("canceled-oco", "CANCELED", "CANCELED"),
        ("canceled-child", "CANCELED", "CANCELED"),
        ("canceled-liquidation", "CANCELED", "IN_LIQUIDATION"),
        ("canceled-invalid-balance", "CANCELED", "INSUFFICIENT_MARGIN"),
        ("EXPIRED_IN_MATCH", "EXPIRED", "SELF_TRADE"),
        ("marginCanceled", "CANCELED", "INSUFFICIENT_MARGIN"),
        ("badAloPxRejected", "REJECTED", "WOULD_CROSS"),
        ("iocCancelRejected", "REJECTED", "NO_LIQUIDITY"),
        ("marketOrderNoLiquidityRejected", "REJECTED", "NO_LIQUIDITY"),
        ("perpMarginRejected", "REJECTED", "INSUFFICIENT_MARGIN"),
        ("minTradeNtlRejected", "REJECTED", "BELOW_MIN_NOTIONAL"),
        ("tickRejected", "REJECTED", "BAD_TICK"),
        ("oracleRejected", "REJECTED", "PRICE_BAND"),
        ("reduceOnlyRejected", "REJECTED", "REDUCE_ONLY_VIOLATION"),
        ("perpMaxPositionRejected", "REJECTED", "POSITION_LIMIT"),
    ],
)
def test_a_venues_own_ending_is_terminal_with_its_reason(
    text: str, status: str, reason: str
) -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, status=text, cum=0)
    assert said(desk.run()) == [("stream", status, 0, reason)]
    assert not desk.venue.orders[0].alive


def test_an_unknown_status_text_is_unrecognised_and_changes_nothing() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, status="frozen")
    desk.run()
    told = desk.one(OrderReported)
    assert (told.status, told.text) == ("UNRECOGNISED", "frozen")
    answer = desk.query(1)
    assert isinstance(answer, OrderReported)
    assert answer.status == "OPEN"


def test_words_are_read_in_any_letter_case_and_never_guessed() -> None:
    assert normal_reason("not_enough_margin") == "INSUFFICIENT_MARGIN"
    assert normal_reason("POST_ONLY_WOULD_CROSS") == "WOULD_CROSS"
    assert normal_reason("self_trade") == "SELF_TRADE"
    assert normal_reason("-5022") == "WOULD_CROSS"
    assert normal_reason("") == ""
    assert normal_reason("gone fishing") == "UNRECOGNISED"
    assert normal_status("Cancelled") == ("CANCELED", "")
    assert normal_status("exceeds_max_slippage") == ("UNRECOGNISED", "")


def test_a_report_can_answer_the_next_query_only() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, status="CANCELED", cum=100, path="query", effect=False)
    assert desk.run() == []
    first, second = desk.query(1), desk.query(1)
    assert isinstance(first, OrderReported)
    assert isinstance(second, OrderReported)
    assert (first.path, first.status, first.cum) == ("query", "CANCELED", 100)
    assert (second.status, second.cum) == ("OPEN", 0)


def test_a_silent_report_changes_the_books_only() -> None:
    desk = desk_with_order()
    desk.venue.script.report(7, 1, cum=400, path="none")
    assert desk.run() == []
    assert desk.position == -600


def test_a_lost_order_can_come_to_life() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "timeout", effect=False)
    desk.place(price=10020)
    assert desk.run() == []
    desk.venue.script.report(7, 1, status="OPEN")
    assert said(desk.run()) == [("stream", "OPEN", 0, "")]
    desk.clear()
    desk.cancel(1)
    assert said(desk.run())[0] == ("cancel", "CANCELED", 0, "CANCELED")


def test_a_script_decides_before_a_pending_verdict() -> None:
    desk = Desk("lighter", {"verdict_ms": 300})
    desk.place(price=10000)
    desk.run()
    desk.venue.script.report(7, 1, status="canceled-post-only", cum=0)
    desk.clear()
    assert said(desk.run(1000)) == [("stream", "CANCELED", 0, "WOULD_CROSS")]


def test_a_cumulative_profile_tells_scripted_fills_as_states() -> None:
    desk = desk_with_order("lighter")
    desk.venue.script.report(7, 1, cum=400, price=9990)
    desk.venue.script.report(7, 1, status="FILLED", cum=1000, price=9995)
    assert said(desk.run()) == [
        ("stream", "PARTIALLY_FILLED", 400, ""),
        ("stream", "FILLED", 1000, ""),
    ]
    assert [(t.price, t.qty) for t in desk.read().rows[0].trades] == [(9990, 400), (9995, 600)]


def test_an_average_is_told_where_the_venue_has_true_ones() -> None:
    desk = desk_with_order("backpack")
    desk.venue.script.report(7, 1, cum=400, price=9990)
    desk.run()
    assert desk.one(OrderReported).average == Decimal("99.90")


# ---------------------------------------------------------------- answers to creates


def test_a_scripted_rest_ignores_the_book() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "rest")
    desk.place(price=10050)
    desk.place(price=None, qty=100)
    assert said(desk.run())[:2] == [("ack", "OPEN", None, ""), ("stream", "OPEN", 0, "")]
    desk.venue.set_book(7, 9000, 10, 9010, 1000)
    desk.run()
    assert desk.venue.orders[0].cum == 0
    assert desk.venue.orders[1].state == "FILLED"


def test_a_scripted_market_order_can_rest_at_the_touch() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "rest")
    desk.place(price=None)
    desk.run()
    assert desk.read().rows[0].orders[0].price == 10020


def test_a_scripted_end_fills_part_at_the_touch() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "end", cum=400, reason="exceeds_max_slippage", count=2)
    desk.place(price=None)
    assert said(desk.run()) == [
        ("ack", "OPEN", None, ""),
        ("fill", 400, 400, 10020),
        ("stream", "CANCELED", 400, "SLIPPAGE_BOUND"),
    ]
    assert desk.all(OrderReported)[-1].text == "exceeds_max_slippage"
    desk.clear()
    desk.place(price=9990)
    assert said(desk.run())[1] == ("fill", 400, 400, 9990)


def test_rejects_go_on_until_their_time_is_over() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "reject", reason="not_enough_margin", for_ns=NS, count=1)
    for _ in range(3):
        desk.place()
        desk.run(400)
    assert [fact.reason for fact in desk.all(OrderRefused)] == ["INSUFFICIENT_MARGIN"] * 3
    desk.clear()
    desk.place()
    assert said(desk.run())[0] == ("ack", "OPEN", None, "")


def test_answers_form_a_queue() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "reject", code="-2019")
    desk.venue.script.answer("create", "timeout")
    desk.place()
    desk.place()
    desk.place()
    assert said(desk.run()) == [
        ("refused", "INSUFFICIENT_MARGIN"),
        ("stream", "OPEN", 0, ""),
        ("ack", "OPEN", None, ""),
        ("stream", "OPEN", 0, ""),
    ]


def test_nth_counts_from_the_start_of_the_run() -> None:
    desk = Desk()
    desk.place()
    desk.run()
    desk.venue.script.answer("create", "reject", nth=3, reason="HALTED")
    desk.place()
    desk.place()
    desk.run()
    assert desk.one(OrderRefused).order == 3


def test_an_answer_for_one_instrument_leaves_the_others_alone() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "reject", instrument=8, reason="HALTED")
    desk.place()
    desk.run()
    assert desk.all(OrderRefused) == []


def test_a_delay_holds_the_answer_and_not_the_stream() -> None:
    desk = Desk()
    desk.venue.script.answer("any", hold_ns=10 * NS, count=0)
    desk.venue.script.answer("create", "rest", count=2)
    desk.place(price=10020)
    assert said(desk.run()) == [("stream", "OPEN", 0, "")]
    desk.cancel(1)
    desk.clear()
    assert said(desk.run()) == [("stream", "CANCELED", 0, "CANCELED")]
    desk.clear()
    assert [row[0] for row in said(desk.run(10_000))] == ["ack", "cancel"]


def test_an_error_may_hide_an_order_that_lives() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "error")
    desk.venue.script.answer("create", "error", effect=False)
    desk.place()
    desk.place()
    desk.run()
    assert [lost.order for lost in desk.all(CallLost)] == [1, 2]
    assert [order.arrived for order in desk.venue.orders] == [True, False]
    assert isinstance(desk.query(1), OrderReported)
    assert isinstance(desk.query(2), OrderMissing)


def test_an_accepted_create_may_say_more_than_that_it_rests() -> None:
    desk = Desk()
    desk.venue.script.answer("create", "accept", cum=400)
    desk.venue.script.answer("create", "accept", status="EXPIRED")
    desk.venue.script.answer("create", "accept", effect=False)
    for _ in range(3):
        desk.place()
    assert said(desk.run()) == [
        ("ack", "PARTIALLY_FILLED", 400, ""),
        ("ack", "EXPIRED", 0, ""),
        ("ack", "OPEN", None, ""),
    ]
    assert desk.position == -600
    assert isinstance(desk.query(3), OrderMissing)


# ---------------------------------------------------------------- answers to the rest


def test_a_cancel_can_be_refused_or_lost_without_effect() -> None:
    desk = desk_with_order()
    desk.venue.script.answer("cancel", "not_found")
    desk.venue.script.answer("cancel", "reject", reason="429")
    desk.venue.script.answer("cancel", "timeout", effect=False)
    for _ in range(3):
        desk.cancel(1)
    desk.run()
    assert [fact.reason for fact in desk.all(CancelRefused)] == ["UNKNOWN_ORDER", "RATE_LIMITED"]
    assert desk.venue.orders[0].alive


def test_a_cancel_may_be_the_first_word_of_a_fill() -> None:
    desk = desk_with_order()
    desk.venue.script.answer("cancel", "accept", cum=400)
    desk.cancel(1)
    assert said(desk.run()) == [
        ("cancel", "CANCELED", 400, ""),
        ("stream", "CANCELED", 400, "CANCELED"),
    ]
    assert desk.position == -600


def test_a_query_can_lie_about_an_order() -> None:
    desk = desk_with_order()
    desk.venue.script.answer("query", "not_found")
    assert isinstance(desk.query(1), OrderMissing)
    desk.venue.script.answer("query", "accept", status="FILLED", cum=1000, effect=False)
    told = desk.query(1)
    assert isinstance(told, OrderReported)
    assert (told.status, told.cum, desk.position) == ("FILLED", 1000, -1000)


def test_a_failed_query_says_nothing_about_the_order() -> None:
    desk = desk_with_order()
    desk.venue.script.answer("query", "error", code="503")
    desk.send_query(1)
    desk.run()
    assert desk.one(QueryFailed).cause == "503"


def test_reads_fail_whole_or_leave_a_part_unknown() -> None:
    desk = desk_with_order()
    script = desk.venue.script
    script.answer("positions", "error")
    desk.send(ReadTruth(desk.heap.now, "a", -1))
    desk.run()
    assert desk.one(TruthFailed).cause == "5xx"
    script.answer("positions", "not_found")
    assert desk.read().rows[0].qty is None
    script.answer("open_orders", "error")
    row = desk.read().rows[0]
    assert (row.orders, row.orders_complete, row.trades_complete) == ((), False, True)
    script.answer("fills", "error")
    assert not desk.read().rows[0].trades_complete
    desk.clear()
    script.answer("snapshot", "timeout")
    desk.send(ReadTruth(desk.heap.now, "a", -1))
    desk.run(5000)
    assert desk.all(TruthRead) == []


def test_frames_of_the_private_stream_can_be_silenced() -> None:
    desk = desk_with_order()
    desk.venue.script.answer("user", "timeout", for_ns=NS)
    desk.venue.script.fill(7, 100)
    assert desk.run() == []
    desk.run(1000)
    desk.venue.script.fill(7, 100)
    desk.run()
    assert desk.one(FillReported).cum == 200


def test_a_silenced_book_comes_back() -> None:
    desk = Desk()
    desk.venue.script.answer("book", "timeout", for_ns=NS)
    desk.venue.set_book(7, 9990, 1, 10010, 1)
    assert desk.inbox.tops == []
    desk.run(1000)
    desk.venue.set_book(7, 9990, 1, 10010, 2)
    assert len(desk.inbox.tops) == 1


def test_prints_fill_a_resting_order_through_the_venue() -> None:
    desk = desk_with_order()
    desk.venue.trade(7, SELL, 9990, 300)
    assert said(desk.run()) == [("fill", 300, 300, 10000)]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("answer", {"on": "creat"}),
        ("answer", {"on": "create", "outcome": "maybe"}),
        ("report", {"instrument": 7, "order": 1, "path": "rest"}),
        ("report", {"instrument": 7, "order": "first"}),
        ("external", {"instrument": 7, "qty": 1, "price": 1, "kind": "theft"}),
        ("set_mode", {"mode": "closed"}),
    ],
)
def test_malformed_actions_are_refused(call: str, arguments: dict[str, Any]) -> None:
    desk = desk_with_order()
    with pytest.raises(ValueError, match=r"allowed|is not a number"):
        getattr(desk.venue.script, call)(**arguments)


def test_the_clock_of_an_answer_starts_when_it_is_given() -> None:
    desk = Desk()
    sent = desk.heap.now
    desk.venue.script.answer("create", hold_ns=500 * MS)
    desk.place()
    desk.run(1000)
    ack = desk.all(OrderReported)[-1]
    assert (ack.path, ack.at, ack.venue_at) == ("ack", sent + 550 * MS, sent)
