"""Matching of own orders against an external top of book."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.messages import Place
from machines.types import BUY, SELL
from venues.sim.matching import Book
from venues.sim.orders import SimOrder, order_of


def order(side: int, price: int | None, qty: int = 10, number: int = 1) -> SimOrder:
    place = Place(0, number, 0, side, qty, price, "GTC", False, False, 0, 0, 0, "", "")
    return order_of(place, 0, number)


def book(bid: int, ask: int, bid_qty: int = 100, ask_qty: int = 100, strict: bool = False) -> Book:
    made = Book(0, strict)
    update(made, bid, ask, bid_qty, ask_qty)
    return made


def update(made: Book, bid: int, ask: int, bid_qty: int = 100, ask_qty: int = 100) -> None:
    made.bid, made.bid_qty, made.bid_left = bid, bid_qty, bid_qty
    made.ask, made.ask_qty, made.ask_left = ask, ask_qty, ask_qty


def fills(found: list[tuple[SimOrder, int]]) -> list[tuple[int, int]]:
    return [(each.number, qty) for each, qty in found]


@pytest.mark.parametrize(
    ("side", "price", "crosses"),
    [(BUY, 102, True), (BUY, 101, False), (SELL, 100, True), (SELL, 101, False)],
)
def test_a_price_crosses_when_it_reaches_the_opposite_best(
    side: int, price: int, crosses: bool
) -> None:
    assert book(100, 102).crosses(side, price) is crosses


def test_an_empty_side_is_never_crossed_or_taken() -> None:
    empty = Book(0)
    for side in (BUY, SELL):
        assert not empty.crosses(side, 100)
        assert empty.take(order(side, None)) == 0
    assert empty.midpoint() == 0


def test_a_stale_touch_refuses_some_ticks_early() -> None:
    assert book(100, 102).crosses(BUY, 100, behind=2)
    assert not book(100, 102).crosses(BUY, 99, behind=2)
    assert book(100, 102).crosses(SELL, 102, behind=2)


def test_a_taker_takes_what_is_left_of_the_touch() -> None:
    made = book(100, 102, ask_qty=15)
    assert made.take(order(BUY, 102)) == 10
    assert made.take(order(BUY, None)) == 5
    assert made.take(order(BUY, None)) == 0
    update(made, 100, 102, ask_qty=15)
    assert made.take(order(BUY, 101)) == 0
    assert made.take(order(SELL, 100)) == 10
    assert made.bid_left == 90


def test_reach_goes_by_price_then_time() -> None:
    made = book(100, 110)
    for number, price in enumerate((101, 103, 103), start=1):
        made.rest(order(BUY, price, number=number))
    update(made, 95, 101, ask_qty=25)
    assert fills(made.reach()) == [(2, 10), (3, 10), (1, 5)]
    assert made.ask_left == 0


def test_strict_matching_wants_the_best_beyond_the_price() -> None:
    made = book(100, 110, strict=True)
    made.rest(order(BUY, 103))
    made.rest(order(SELL, 108, number=2))
    update(made, 100, 103)
    assert made.reach() == []
    update(made, 109, 120)
    assert fills(made.reach()) == [(2, 10)]


def test_a_pinned_order_ignores_the_book_but_not_a_print() -> None:
    made = book(100, 102)
    rested = order(BUY, 105)
    rested.pinned = True
    made.rest(rested)
    update(made, 95, 96)
    assert made.reach() == []
    assert fills(made.printed(SELL, 104, 4)) == [(1, 4)]


def test_a_print_first_consumes_the_size_displayed_ahead() -> None:
    made = book(100, 102, bid_qty=7)
    made.rest(order(BUY, 100))
    assert made.printed(SELL, 100, 5) == []
    assert fills(made.printed(SELL, 100, 5)) == [(1, 3)]


def test_a_print_through_the_price_ignores_the_queue() -> None:
    made = book(100, 102, bid_qty=7)
    made.rest(order(BUY, 100))
    assert fills(made.printed(SELL, 99, 5)) == [(1, 5)]
    assert made.printed(SELL, 101, 5) == []
    assert made.printed(BUY, 100, 5) == []


def test_cancels_ahead_shrink_the_queue() -> None:
    made = book(100, 102, bid_qty=50)
    made.rest(order(BUY, 100))
    update(made, 100, 102, bid_qty=2)
    assert made.reach() == []
    assert fills(made.printed(SELL, 100, 5)) == [(1, 3)]


def test_two_orders_at_one_price_share_a_print() -> None:
    made = book(100, 102, bid_qty=4)
    made.rest(order(BUY, 100, qty=3, number=1))
    made.rest(order(BUY, 100, qty=3, number=2))
    assert fills(made.printed(SELL, 100, 9)) == [(1, 3), (2, 2)]


def test_own_orders_that_would_trade_with_each_other_are_seen() -> None:
    made = book(100, 110)
    made.rest(order(SELL, 105))
    assert made.meets_own(order(BUY, 105))
    assert made.meets_own(order(BUY, None))
    assert not made.meets_own(order(BUY, 104))
    assert not made.meets_own(order(SELL, 100))


@given(
    st.lists(st.tuples(st.sampled_from((BUY, SELL)), st.integers(90, 110)), max_size=6),
    st.integers(90, 109),
    st.integers(1, 20),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_reach_never_fills_beyond_price_size_or_display(
    rows: list[tuple[int, int]], bid: int, width: int, bid_qty: int, ask_qty: int
) -> None:
    made = book(80, 120)
    for number, (side, price) in enumerate(rows, start=1):
        made.rest(order(side, price, number=number))
    update(made, bid, bid + width, bid_qty, ask_qty)
    found = made.reach()
    for each, qty in found:
        assert each.limit is not None
        assert 0 < qty <= each.left
        assert made.crosses(each.side, each.limit)
    assert sum(qty for each, qty in found if each.side == BUY) <= ask_qty
    assert sum(qty for each, qty in found if each.side == SELL) <= bid_qty
