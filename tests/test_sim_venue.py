"""The simulated venue as the engine sees it: answers, streams, delays and profiles.

It also holds the desk on which the other `test_sim_*` files put a venue: a small heap of time and a
sink that keeps what it gets.
"""

import heapq
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from machines.messages import (
    CallLost,
    Cancel,
    CancelForeign,
    CancelRefused,
    Command,
    Connect,
    Fact,
    FillReported,
    FundingPaid,
    LinkOpened,
    ModeChanged,
    OrderMissing,
    OrderRefused,
    OrderReported,
    Place,
    QueryOrder,
    ReadRules,
    ReadTruth,
    RulesRead,
    TruthRead,
)
from machines.types import BUY, MS, NS, SELL, Instrument, VenueSettings
from venues.instruments import scale_instrument
from venues.profiles import PROFILES, profile
from venues.sim.draws import Draws
from venues.sim.latency import Latency, Path
from venues.sim.venue import SimVenue

T = TypeVar("T")
START = 1_000 * NS


class Heap:
    """A scheduler: due actions in order of time, lane and scheduling."""

    def __init__(self) -> None:
        self.now = START
        self._heap: list[tuple[int, int, int, Callable[[Any], None], Any]] = []
        self._count = 0

    def at(self, due: int, lane: int, action: Callable[[Any], None], argument: Any) -> None:
        assert due >= self.now
        self._count += 1
        heapq.heappush(self._heap, (due, lane, self._count, action, argument))

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, _, action, argument = heapq.heappop(self._heap)
            action(argument)
        self.now = until


class Inbox:
    """A sink that keeps facts with the time of delivery, and books."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self.facts: list[Fact] = []
        self.times: list[int] = []
        self.tops: list[tuple[int, ...]] = []

    def fact(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.times.append(self._heap.now)

    def top(self, *book: int) -> None:
        self.tops.append((self._heap.now, *book))


def instrument_x(**changes: Any) -> Instrument:
    rules: dict[str, Any] = {
        "min_qty": "0.01",
        "min_notional": "5",
        "maker_fee_bps": "2",
        "taker_fee_bps": "5",
    }
    return scale_instrument(7, "a:X", "0.01", "0.01", **{**rules, **changes})


class Desk:
    """One connected venue with the book 100.00 / 100.20 and 10 sold short."""

    def __init__(
        self,
        name: str = "ideal",
        override: dict[str, Any] | None = None,
        position: int = -1000,
        delays: tuple[int, int, int, int] = (0, 50, 50, 0),
        instrument: Instrument | None = None,
        lean: bool = False,
    ) -> None:
        self.heap = Heap()
        self.inbox = Inbox(self.heap)
        self.instrument = instrument or instrument_x()
        known = profile(name, override)
        self.venue = SimVenue(
            VenueSettings("a", known.capabilities),
            known,
            [self.instrument],
            self.heap,
            self.inbox,
            Latency(*(Path(delay * MS) for delay in delays)),
            Draws(1),
            lean=lean,
        )
        self.venue.set_position(7, position, Decimal(100))
        self.venue.set_book(7, 10000, 100_000, 10020, 100_000)
        self.numbers = 0
        self.send(Connect(self.heap.now, "a"))
        self.run(1000)
        self.clear()

    def send(self, command: Command) -> None:
        self.venue.submit(command)

    def run(self, ms: int = 100) -> list[Fact]:
        """Let time pass; return the facts that have not been looked at."""
        self.heap.run(self.heap.now + ms * MS)
        return self.inbox.facts

    def clear(self) -> None:
        self.inbox.facts.clear()
        self.inbox.times.clear()
        self.inbox.tops.clear()

    def place(
        self, side: int = BUY, qty: int = 1000, price: int | None = 10000, **more: Any
    ) -> int:
        self.numbers += 1
        fields: dict[str, Any] = {
            "tif": "GTC" if price is not None else "IOC",
            "post_only": False,
            "reduce_only": False,
            "deadline": self.heap.now + 2 * NS,
            **more,
        }
        self.send(
            Place(
                at=self.heap.now,
                order=self.numbers,
                instrument=7,
                side=side,
                qty=qty,
                price=price,
                leg=0,
                attempt=self.numbers,
                rung="passive_limit",
                why="test",
                **fields,
            )
        )
        return self.numbers

    def cancel(self, order: int) -> None:
        self.send(Cancel(self.heap.now, order, 7))

    def send_query(self, order: int) -> None:
        self.send(QueryOrder(self.heap.now, order, 7))

    def query(self, order: int) -> Fact:
        self.clear()
        self.send_query(order)
        self.run()
        return self.only(OrderReported, OrderMissing)

    def read(self) -> TruthRead:
        self.clear()
        self.send(ReadTruth(self.heap.now, "a", -1))
        self.run()
        return self.one(TruthRead)

    def all(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.inbox.facts if isinstance(fact, kind)]

    def one(self, kind: type[T]) -> T:
        found = self.all(kind)
        assert len(found) == 1, self.inbox.facts
        return found[0]

    def only(self, *kinds: type) -> Any:
        found = [fact for fact in self.inbox.facts if isinstance(fact, kinds)]
        assert len(found) == 1, self.inbox.facts
        return found[0]

    @property
    def position(self) -> int:
        return self.venue.positions()[7]


def said(facts: list[Fact]) -> list[tuple[Any, ...]]:
    """The essence of order facts: kind or path, status or reason, cumulative."""
    rows: list[tuple[Any, ...]] = []
    for fact in facts:
        if isinstance(fact, OrderReported):
            rows.append((fact.path, fact.status, fact.cum, fact.reason))
        elif isinstance(fact, FillReported):
            rows.append(("fill", fact.qty, fact.cum, fact.price))
        elif isinstance(fact, OrderRefused | CancelRefused):
            rows.append(("refused", fact.reason))
        else:
            rows.append((type(fact).__name__,))
    return rows


# ---------------------------------------------------------------- ideal


def test_a_connect_opens_the_link_and_sends_the_book() -> None:
    desk = Desk()
    desk.send(Connect(desk.heap.now, "a"))
    sent = desk.heap.now
    desk.run(50)
    assert desk.one(LinkOpened).at == sent + 50 * MS
    assert desk.inbox.tops == [
        (sent + 50 * MS, 7, sent + 50 * MS, 10000, 100_000, 10020, 100_000, 0)
    ]


def test_a_limit_that_does_not_cross_is_acked_and_rests() -> None:
    desk = Desk()
    desk.place(post_only=True)
    assert said(desk.run()) == [("ack", "OPEN", None, ""), ("stream", "OPEN", 0, "")]
    row = desk.read().rows[0]
    assert [(o.order, o.side, o.qty, o.cum, o.price) for o in row.orders] == [
        (1, BUY, 1000, 0, 10000)
    ]


def test_answers_and_frames_take_their_own_time() -> None:
    desk = Desk(delays=(10, 20, 70, 5))
    sent = desk.heap.now
    desk.place(price=10020)
    desk.venue.set_book(7, 10000, 5, 10020, 100_000)
    desk.run()
    ack, fill = desk.one(OrderReported), desk.one(FillReported)
    assert (ack.at, ack.venue_at) == (sent + 30 * MS, sent + 10 * MS)
    assert (fill.at, fill.venue_at) == (sent + 80 * MS, sent + 10 * MS)
    assert desk.inbox.times == [ack.at, fill.at]
    assert desk.inbox.tops[0][0] == sent + 5 * MS


def test_a_crossing_limit_fills_at_the_touch_as_taker() -> None:
    desk = Desk()
    desk.place(price=10050)
    assert said(desk.run()) == [("ack", "OPEN", None, ""), ("fill", 1000, 1000, 10020)]
    fill = desk.one(FillReported)
    assert (fill.maker, fill.fee) == (False, Decimal("0.501"))
    assert desk.position == 0


def test_a_resting_order_fills_at_its_own_price_as_maker() -> None:
    desk = Desk()
    desk.place(qty=1000)
    desk.run()
    desk.clear()
    desk.venue.set_book(7, 9980, 100, 9990, 300)
    assert said(desk.run()) == [("fill", 300, 300, 10000)]
    assert desk.one(FillReported).maker
    desk.clear()
    desk.venue.set_book(7, 9980, 100, 10000, 5000)
    assert said(desk.run()) == [("fill", 700, 1000, 10000)]


def test_republishing_a_book_fills_nothing_and_counts_as_idle() -> None:
    desk = Desk()
    desk.venue.start_republish()
    desk.place(price=10020, qty=100_000)
    desk.place(price=10020, qty=500)
    desk.run()
    desk.clear()
    desk.run(3000)
    assert desk.inbox.facts == []
    assert len(desk.inbox.tops) == 3
    assert desk.venue.idle_actions == 1


def test_a_book_that_is_never_sent_again_takes_no_time() -> None:
    desk = Desk()
    desk.venue.start_republish({7: 0})
    desk.run(3000)
    assert desk.inbox.tops == []
    assert desk.venue.idle_actions == 0


def test_size_that_we_took_stays_taken_until_the_next_update() -> None:
    desk = Desk()
    desk.venue.set_book(7, 10000, 10, 10020, 600)
    desk.place(qty=600, price=None)
    desk.place(qty=400, price=None)
    assert said(desk.run())[1::2] == [
        ("fill", 600, 600, 10020),
        ("stream", "EXPIRED", 0, "NO_LIQUIDITY"),
    ]
    desk.clear()
    desk.venue.set_book(7, 10000, 10, 10020, 600)
    desk.place(qty=400, price=None)
    desk.run()
    assert desk.one(FillReported).qty == 400


def test_the_rest_of_an_ioc_expires_with_its_cumulative() -> None:
    desk = Desk()
    desk.venue.set_book(7, 10000, 10, 10020, 600)
    desk.place(price=10030, tif="IOC")
    assert said(desk.run())[1:] == [
        ("fill", 600, 600, 10020),
        ("stream", "EXPIRED", 600, "NO_LIQUIDITY"),
    ]
    desk.clear()
    desk.place(price=10010, tif="IOC")
    assert said(desk.run())[1:] == [("stream", "EXPIRED", 0, "SLIPPAGE_BOUND")]


def test_a_cancel_answers_with_the_dead_order_and_echoes_on_the_stream() -> None:
    desk = Desk()
    order = desk.place()
    desk.run()
    desk.venue.script.fill(7, 400)
    desk.run()
    desk.clear()
    desk.cancel(order)
    assert said(desk.run()) == [
        ("cancel", "CANCELED", 400, "CANCELED"),
        ("stream", "CANCELED", 400, "CANCELED"),
    ]
    desk.clear()
    desk.cancel(order)
    desk.cancel(99)
    assert said(desk.run()) == [("refused", "UNKNOWN_ORDER")] * 2


def test_an_order_that_arrives_after_its_deadline_never_executes() -> None:
    desk = Desk(delays=(100, 0, 0, 0))
    order = desk.place(price=10050, deadline=desk.heap.now + 50 * MS)
    assert desk.run(500) == []
    assert desk.position == -1000
    missing = desk.query(order)
    assert isinstance(missing, OrderMissing)
    assert missing.authority == "history"
    desk = Desk(override={"deadline": "none"}, delays=(100, 0, 0, 0))
    desk.place(price=10050, deadline=desk.heap.now + 50 * MS)
    desk.run(500)
    assert desk.position == 0


@pytest.mark.parametrize(
    ("qty", "price", "reduce_only", "reason"),
    [
        (0, 10000, False, "BAD_LOT"),
        (4, 10000, False, "BELOW_MIN_NOTIONAL"),
        (4, None, True, "BELOW_MIN_NOTIONAL"),
        (5, 10000, True, ""),
    ],
)
def test_minimums_hold_unless_the_profile_waives_them(
    qty: int, price: int | None, reduce_only: bool, reason: str
) -> None:
    desk = Desk()
    desk.place(qty=qty, price=price, reduce_only=reduce_only)
    desk.run()
    refused = [fact.reason for fact in desk.all(OrderRefused)]
    assert refused == ([reason] if reason else [])


def test_quantity_minimum_binds_beside_the_notional_one() -> None:
    exact = instrument_x(min_qty="0.05", min_notional="1")
    desk = Desk(instrument=exact)
    desk.place(qty=2, reduce_only=True)
    desk.run()
    assert desk.one(OrderRefused).reason == "BELOW_MIN_QTY"
    desk = Desk(instrument=exact, override={"min_rule": "quote"})
    desk.place(qty=2, reduce_only=True)
    desk.run()
    assert desk.all(OrderRefused) == []
    desk = Desk(instrument=exact, override={"reduce_only_exempt": "notional"})
    desk.place(qty=2, reduce_only=True)
    desk.run()
    assert desk.one(OrderRefused).reason == "BELOW_MIN_QTY"


def test_the_account_follows_fills_through_zero() -> None:
    desk = Desk(position=500)
    desk.place(SELL, 800, 10000)
    desk.run()
    holding = desk.venue.exchange.account.holdings[7]
    account = desk.venue.exchange.account
    assert (holding.qty, holding.entry) == (-300, Decimal(100))
    assert account.realised == 0
    desk.venue.set_book(7, 9000, 1000, 9010, 1000)
    desk.place(BUY, 300, None)
    desk.run()
    assert holding.entry is None
    assert account.realised == Decimal("29.7")
    assert account.cash == account.balance + account.realised - holding.fees


def test_trades_are_read_again_within_the_overlap_and_once_after_it() -> None:
    desk = Desk()
    desk.place(price=10020, qty=300)
    desk.run()
    assert [trade.qty for trade in desk.read().rows[0].trades] == [300]
    assert [trade.qty for trade in desk.read().rows[0].trades] == [300]
    desk.run(61_000)
    assert desk.read().rows[0].trades == ()
    desk.place(price=10020, qty=200)
    desk.run(70_000)
    assert [trade.qty for trade in desk.read().rows[0].trades] == [200]
    desk.send(Connect(desk.heap.now, "a"))
    desk.run()
    assert [trade.qty for trade in desk.read().rows[0].trades] == [300, 200]


def test_a_truth_read_states_when_it_was_asked_and_taken_and_says_zero() -> None:
    desk = Desk(position=0, delays=(10, 50, 50, 0))
    sent = desk.heap.now
    truth = desk.read()
    assert (truth.sent_at, truth.taken_at, truth.at) == (sent, sent + 10 * MS, sent + 60 * MS)
    assert [(row.instrument, row.qty, row.entry) for row in truth.rows] == [(7, 0, None)]
    assert truth.rows[0].orders_complete
    assert truth.rows[0].trades_complete


def test_a_venue_without_positions_says_unknown_not_zero() -> None:
    assert Desk("edgex_grvt").read().rows[0].qty is None


def test_foreign_orders_show_without_an_order_number_and_can_be_cancelled() -> None:
    desk = Desk()
    desk.venue.script.foreign_order(7, SELL, 10, 10100, "web-1")
    order = desk.read().rows[0].orders[0]
    assert (order.order, order.text_id, order.price) == (0, "web-1", 10100)
    desk.send(CancelForeign(desk.heap.now, 7, "web-1"))
    assert desk.read().rows[0].orders == ()


def test_an_external_change_reports_its_origin_and_a_liquidation_cancels_orders() -> None:
    desk = Desk()
    desk.place()
    desk.run()
    desk.clear()
    desk.venue.script.external(7, 1000, 10500, "liquidation")
    desk.run()
    fill = desk.one(FillReported)
    assert (fill.order, fill.origin, fill.side, fill.qty, fill.cum) == (
        0,
        "liquidation",
        1,
        1000,
        None,
    )
    assert desk.one(OrderReported).reason == "LIQUIDATED"
    assert desk.position == 0
    desk.venue.script.external(7, -300, 10000, "manual")
    assert desk.position == -300
    desk.venue.script.external(7, -300, 10000, "adl")
    assert desk.position == 0


def test_funding_is_paid_on_the_marked_value() -> None:
    desk = Desk()
    desk.venue.script.funding(7, rate=Decimal("0.0001"), copies=2)
    desk.run()
    first, second = desk.all(FundingPaid)
    assert first.amount == Decimal("0.1001")
    assert first.key == second.key
    assert desk.venue.exchange.account.cash == Decimal("0.1001")


def test_rules_change_and_are_read_again() -> None:
    desk = Desk()
    desk.venue.script.set_rules(7, min_qty=50, lot=10)
    desk.place(qty=55)
    desk.place(qty=40)
    desk.send(ReadRules(desk.heap.now, 7))
    desk.run()
    assert [fact.reason for fact in desk.all(OrderRefused)] == ["BAD_LOT", "BELOW_MIN_QTY"]
    assert desk.one(RulesRead).rules == replace(desk.instrument, min_qty=50, lot=10, version=2)


@pytest.mark.parametrize(
    ("mode", "post_only", "reason"),
    [
        ("post_only", True, ""),
        ("post_only", False, "VENUE_MODE"),
        ("cancel_only", True, "VENUE_MODE"),
        ("maintenance", True, "VENUE_MODE"),
        ("halted", True, "HALTED"),
        ("online", False, ""),
    ],
)
def test_venue_modes_gate_creates(mode: str, post_only: bool, reason: str) -> None:
    desk = Desk()
    desk.venue.script.set_mode(mode)
    desk.place(post_only=post_only)
    desk.run()
    assert desk.one(ModeChanged).mode == mode
    assert [fact.reason for fact in desk.all(OrderRefused)] == ([reason] if reason else [])


# ---------------------------------------------------------------- reduce-only


@pytest.mark.parametrize(
    ("style", "side", "qty", "reason"),
    [
        ("enforced", BUY, 1001, "REDUCE_ONLY_VIOLATION"),
        ("enforced", SELL, 10, "REDUCE_ONLY_VIOLATION"),
        ("enforced", BUY, 1000, ""),
        ("ioc_only", BUY, 1000, "REDUCE_ONLY_VIOLATION"),
        ("clamped", BUY, 1500, ""),
        ("ignored", SELL, 10, ""),
    ],
)
def test_reduce_only_is_judged_as_the_profile_does(
    style: str, side: int, qty: int, reason: str
) -> None:
    desk = Desk(override={"reduce_only": style})
    desk.place(side, qty, 9990 if side == BUY else 10100, reduce_only=True)
    desk.run()
    assert [fact.reason for fact in desk.all(OrderRefused)] == ([reason] if reason else [])


def test_resting_reduce_only_orders_use_up_the_position_where_they_count() -> None:
    desk = Desk("binance_usdm")
    desk.place(qty=600, reduce_only=True)
    desk.place(qty=600, reduce_only=True)
    desk.run()
    refused = desk.one(OrderRefused)
    assert (refused.reason, refused.text) == ("REDUCE_ONLY_CAPACITY", "-4118")


def test_a_clamped_order_never_turns_the_position() -> None:
    desk = Desk(override={"reduce_only": "clamped"})
    desk.place(qty=1500, price=10020, reduce_only=True)
    assert said(desk.run())[1:] == [
        ("fill", 1000, 1000, 10020),
        ("stream", "CANCELED", 1000, "REDUCE_ONLY_VIOLATION"),
    ]
    assert desk.position == 0


def test_a_silently_dropped_order_leaves_an_ack_and_no_trace() -> None:
    desk = Desk(override={"reduce_only": "silent_drop"})
    order = desk.place(SELL, 10, 10100, reduce_only=True)
    assert said(desk.run()) == [("ack", "OPEN", None, "")]
    assert isinstance(desk.query(order), OrderMissing)


# ---------------------------------------------------------------- profiles


def test_every_profile_buys_back_its_short_position_at_the_touch() -> None:
    for name, known in PROFILES.items():
        desk = Desk(name)
        desk.place(price=10020, reduce_only=True, deadline=desk.heap.now + 9 * NS)
        desk.run(2000)
        assert desk.position == 0, name
        trades = [fact.cum for fact in desk.all(FillReported)]
        states = [fact.cum for fact in desk.all(OrderReported) if fact.status == "FILLED"]
        told = trades or states
        assert len(told) == 1, name
        assert told[0] == (None if known.capabilities.fill_report == "last_only" else 1000)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("sync_error", [("refused", "WOULD_CROSS")]),
        (
            "async_cancel",
            [("ack", "OPEN", None, ""), ("stream", "CANCELED", 0, "WOULD_CROSS")],
        ),
        (
            "accept_then_expire",
            [
                ("ack", "OPEN", None, ""),
                ("stream", "OPEN", 0, ""),
                ("stream", "EXPIRED", 0, "WOULD_CROSS"),
            ],
        ),
        ("reprice", [("ack", "OPEN", None, ""), ("stream", "OPEN", 0, "")]),
        ("none", [("ack", "OPEN", None, ""), ("fill", 1000, 1000, 10020)]),
    ],
)
def test_post_only_violations_take_the_form_of_the_profile(
    style: str, expected: list[tuple[Any, ...]]
) -> None:
    desk = Desk(override={"post_only": style})
    desk.place(price=10020, post_only=True)
    assert said(desk.run()) == expected
    if style == "reprice":
        assert [fact.price for fact in desk.all(OrderReported)] == [10019, 10019]


def test_lighter_acknowledges_receipt_and_judges_later() -> None:
    desk = Desk("lighter", {"verdict_ms": [300, 300]})
    sent = desk.heap.now
    desk.place(price=10020, post_only=True)
    desk.place(price=10000, post_only=True)
    assert said(desk.run(400)) == [
        ("ack", "PENDING", None, ""),
        ("ack", "PENDING", None, ""),
        ("stream", "CANCELED", 0, "WOULD_CROSS"),
        ("stream", "OPEN", 0, ""),
    ]
    ended = desk.all(OrderReported)[2]
    assert (ended.text, ended.at) == ("canceled-post-only", sent + 350 * MS)


def test_lighter_reports_cumulatives_without_a_price_and_keeps_its_trades_readable() -> None:
    desk = Desk("lighter", {"verdict_ms": 0})
    order = desk.place(price=10000)
    desk.run()
    desk.clear()
    desk.venue.trade(7, SELL, 9999, 400)
    assert said(desk.run()) == [("stream", "PARTIALLY_FILLED", 400, "")]
    assert desk.one(OrderReported).average is None
    assert [(trade.price, trade.qty) for trade in desk.read().rows[0].trades] == [(10000, 400)]
    desk.clear()
    desk.cancel(order)
    assert said(desk.run()) == [
        ("cancel", "PARTIALLY_FILLED", None, ""),
        ("stream", "CANCELED", 400, "CANCELED"),
    ]


def test_lighter_looks_up_the_past() -> None:
    desk = Desk("lighter", {"verdict_ms": 0, "lag_ms": 1000})
    order = desk.place()
    desk.run()
    assert isinstance(desk.query(order), OrderMissing)
    desk.run(1000)
    seen = desk.query(order)
    assert isinstance(seen, OrderReported)
    assert seen.status == "OPEN"


def test_aster_gives_a_market_order_no_price_until_it_is_queried() -> None:
    desk = Desk("aster")
    order = desk.place(price=None)
    assert said(desk.run()) == [("ack", "OPEN", None, ""), ("stream", "FILLED", 1000, "")]
    seen = desk.query(order)
    assert isinstance(seen, OrderReported)
    assert seen.average == Decimal("100.20")


def test_a_lookup_of_open_orders_only_does_not_find_a_dead_one() -> None:
    desk = Desk("backpack")
    order = desk.place()
    desk.run()
    assert isinstance(desk.query(order), OrderReported)
    desk.cancel(order)
    desk.run()
    missing = desk.query(order)
    assert isinstance(missing, OrderMissing)
    assert missing.authority == "open_only"


def test_a_market_order_that_rests_keeps_the_touch_as_its_price() -> None:
    desk = Desk(override={"market_rests": True})
    desk.venue.set_book(7, 10000, 10, 10020, 600)
    order = desk.place(price=None)
    assert said(desk.run())[1:] == [
        ("fill", 600, 600, 10020),
        ("stream", "PARTIALLY_FILLED", 600, ""),
    ]
    desk.clear()
    desk.cancel(order)
    assert said(desk.run())[0] == ("cancel", "CANCELED", 600, "CANCELED")


@pytest.mark.parametrize(("dedupe", "fills"), [("forever", 1), ("while_open", 2), ("none", 2)])
def test_a_repeated_id_executes_again_unless_the_venue_remembers(dedupe: str, fills: int) -> None:
    desk = Desk(override={"dedupe": dedupe})
    desk.place(price=10020, qty=100)
    desk.run()
    desk.numbers = 0
    desk.place(price=10020, qty=100)
    desk.run()
    assert len(desk.all(FillReported)) == fills
    assert len(desk.all(CallLost)) == 2 - fills


def test_an_override_lists_all_its_mistakes() -> None:
    with pytest.raises(ValueError, match="profile 'nowhere' is unknown; allowed: aster"):
        profile("nowhere")
    with pytest.raises(ValueError, match="unknown") as caught:
        profile("ideal", {"dedup": "none", "post_only": "maybe", "market_rests": "yes"})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "dedup",
        "post_only",
        "market_rests",
    ]


# ---------------------------------------------------------------- memory


def test_a_restarted_venue_remembers_orders_positions_and_trades() -> None:
    desk = Desk()
    desk.place(qty=600)
    desk.place(qty=300, price=10020)
    desk.run()
    desk.venue.script.fill(7, 100, order=1)
    data = desk.venue.export_state()
    fresh = Desk(position=0)
    fresh.venue.import_state(data)
    assert fresh.position == -600
    assert fresh.venue.export_state() == data
    row = fresh.read().rows[0]
    assert [(order.order, order.cum) for order in row.orders] == [(1, 100)]
    assert [trade.qty for trade in row.trades] == [300, 100]
    fresh.clear()
    fresh.venue.set_book(7, 9900, 10, 10000, 10_000)
    fresh.run()
    assert fresh.one(FillReported).qty == 500


def test_a_damaged_or_foreign_state_is_refused() -> None:
    desk = Desk()
    data = desk.venue.export_state()
    with pytest.raises(ValueError, match="damaged"):
        Desk().venue.import_state(data[:-3])
    with pytest.raises(ValueError, match="belongs to 'b'"):
        Desk().venue.import_state(data.replace(b"\xa1a", b"\xa1b", 1))


def test_a_lean_venue_keeps_no_history() -> None:
    desk = Desk(lean=True)
    desk.place(price=10020)
    order = desk.place(qty=100)
    desk.run()
    desk.cancel(order)
    desk.run()
    assert (desk.venue.orders, desk.venue.trades, desk.venue.exchange.orders) == ([], [], {})
    assert desk.position == 0
