"""Rows of the holding machine, taken one by one on a position that was put into a state by hand.

What a row should do is written here from the rule that truth adds up (recovery.md 5), not read off
the table.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest

from machines.close_model import Close
from machines.holding_model import Holding
from machines.messages import (
    Alarm,
    FillReported,
    InstrumentTruth,
    OperatorCommanded,
    PositionMoved,
    TradeRow,
    TruthRead,
)
from machines.table import Out
from machines.types import BUY, NS, SELL
from tests.picture import picture
from tests.rows import TEN, Bench, kinds, told

ALL = ("unread", "doubted", "settled")
ASKING = ("unread", "doubted")


def position(bench: Bench, state: str, *, closing: bool = True, **how: Any) -> Holding:
    """The ten short on b in a state, being closed or not; nothing has traded for a minute."""
    if closing:
        leg = bench.leg("waiting")
        leg.close.state = "passive_limit"
    holding = bench.core.holdings[1]
    if not closing:
        bench.tick()
    holding.last_fill_at = holding.last_fill_venue_at = 0
    holding.state = state
    holding.timers.clear()
    holding.doubted_at = bench.now
    for name, value in how.items():
        setattr(holding, name, value)
    return holding


def shown(bench: Bench, holding: Holding, qty: int | None, rounds: int = 2) -> None:
    """The newest read, asked and taken just now, shows this; so do the ones before it."""
    holding.read_at = holding.read_sent_at = holding.read_taken_at = bench.now
    holding.read_qty, holding.read_ok = qty, qty is not None
    holding.read_equal = rounds
    holding.read_agreed = qty == holding.qty


def read(bench: Bench, holding: Holding) -> Out:
    """Let the newest read be judged, again where it puts what was settled in question."""
    out = bench.fire(holding, "read")
    if told(out) == [(holding.id, "read")]:
        assert holding.state == "doubted"
        out = bench.fire(holding, "read")
    return out


def listed(origin: Literal["liquidation", "adl"] = "liquidation") -> TradeRow:
    """What the fills endpoint tells of the venue's own doing: 300 bought at 95."""
    fee = Decimal("0.30")
    return TradeRow(0, f"{origin}-1", 1_001 * NS, BUY, 9_500, 300, fee, False, origin)


def said(out: Out) -> list[tuple[str, str]]:
    return [(each.kind, each.machine) for each in out.commands if isinstance(each, Alarm)]


def close_of(holding: Holding) -> Close:
    assert holding.owner is not None
    return holding.owner.close


def asks_on(bench: Bench, holding: Holding) -> bool:
    return holding.timers == {"ask": bench.now + 10 * NS}


# ---------------------------------------------------------------- nothing can be said


@pytest.mark.parametrize("state", ALL)
def test_a_gap_leaves_the_position_unread_whatever_was_known(state: str) -> None:
    bench = Bench()
    holding = position(bench, state, timers={"ask": bench.now + NS})
    shown(bench, holding, -TEN, rounds=7)
    out = bench.fire(holding, "gap")
    assert (holding.state, holding.timers) == ("unread", {})
    assert (holding.read_equal, holding.read_agreed) == (0, False)
    assert (out.commands, told(out)) == ([], [])


VOID: dict[str, dict[str, Any]] = {
    "incomplete, and no position in it": {"read_ok": False, "read_qty": None},
    "incomplete, and behind our own fill": {
        "read_ok": False,
        "last_fill_at": 10**18,
        "last_fills": -TEN,
    },
    "asked before our own fill was told": {"last_fill_at": 10**18},
    "taken before our own fill happened": {"last_fill_at": 1, "last_fill_venue_at": 10**18},
    "older than a stranger's trade": {"announced": 300, "announced_at": 10**18},
}


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("how", VOID.values(), ids=VOID.keys())
def test_a_read_that_cannot_know_counts_for_nothing(how: dict[str, Any], state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    shown(bench, holding, -300)
    for name, value in how.items():
        setattr(holding, name, value)
    before = holding.qty, holding.owned
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == (state, *before)
    assert said(out) == []
    assert (holding.timers == {}) if state == "settled" else asks_on(bench, holding)


@pytest.mark.parametrize("state", ALL)
def test_a_read_of_a_venue_that_is_not_trusted_counts_for_nothing(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    shown(bench, holding, -300, rounds=9)
    bench.core.sessions["b"].state = "recovering"
    read(bench, holding)
    assert (holding.state, holding.qty) == (state, -TEN)


# ---------------------------------------------------------------- it adds up


@pytest.mark.parametrize("state", ALL)
def test_a_round_that_adds_up_settles_what_was_in_question(state: str) -> None:
    bench = Bench()
    holding = position(bench, state, timers={"ask": bench.now + NS}, told_qty=-300)
    shown(bench, holding, -TEN, rounds=1)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.timers) == ("settled", -TEN, {})
    assert (holding.read_agreed, holding.told_qty) == (True, None)
    assert (out.commands, told(out)) == ([], [])


def test_a_read_that_may_lag_behind_our_own_fill_shows_nothing_new() -> None:
    bench = Bench()
    bench.core.holdings[1].venue = bench.core.sessions["b"].venue
    holding = position(bench, "settled", qty=-700, owned=-700)
    shown(bench, holding, -TEN)
    holding.last_fill_at, holding.last_fills = bench.now, 300
    before = picture(bench.core)
    lagging = holding.venue.read_lag_ns
    assert lagging, "the bench's venues lag"
    out = read(bench, holding)
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


@pytest.mark.parametrize("state", ALL)
def test_an_incomplete_read_of_another_position_ends_our_orders_and_proves_nothing(
    state: str,
) -> None:
    bench = Bench()
    holding = position(bench, state, read_ok=False)
    shown(bench, holding, -300)
    holding.read_ok = False
    leg = holding.owner
    assert leg is not None
    bench.order(leg, "live")
    out = read(bench, holding)
    assert (holding.state, holding.qty) == ("doubted" if state == "settled" else state, -TEN)
    assert (said(out), "suspect" in holding.timers) == ([], True)
    assert not holding.read_agreed
    out = bench.fire(holding, "suspect")
    assert told(out) == [("b:X", "order_suspected")]


def test_an_incomplete_read_of_a_venue_without_trust_ends_our_orders_too() -> None:
    bench = Bench()
    bench.core.sessions["b"].state = "syncing"
    holding = position(bench, "unread")
    shown(bench, holding, -300)
    holding.read_ok = False
    leg = holding.owner
    assert leg is not None
    bench.order(leg, "live")
    read(bench, holding)
    assert (holding.state, "suspect" in holding.timers) == ("unread", True)


def test_a_read_that_lags_behind_more_than_we_have_filled_is_no_lag() -> None:
    bench = Bench()
    bench.core.holdings[1].venue = bench.core.sessions["b"].venue
    holding = position(bench, "settled", qty=-700, owned=-700)
    holding.last_fill_at, holding.last_fills = bench.now, 300
    shown(bench, holding, -TEN - 1)
    read(bench, holding)
    assert holding.state == "doubted", "a lot more than our own fills is somebody else's"


def test_fills_of_one_side_within_the_read_lag_of_each_other_add_up() -> None:
    holding = Bench().core.holdings[1]
    lag = holding.venue.read_lag_ns
    holding.note_fill(3, 100, 90)
    holding.note_fill(4, 100 + lag, 80)
    assert (holding.last_fills, holding.last_fill_at, holding.last_fill_venue_at) == (
        7,
        100 + lag,
        90,
    )
    holding.note_fill(5, 101 + 2 * lag, 95)
    assert holding.last_fills == 5, "a read that shows the one shows the other"
    holding.note_fill(-2, 102 + 2 * lag, 96)
    assert holding.last_fills == -2, "the other side"


# ---------------------------------------------------------------- the venue did it


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("origin", ["liquidation", "adl"])
def test_what_the_venue_lists_is_booked_with_its_price(
    origin: Literal["liquidation", "adl"], state: str
) -> None:
    bench = Bench()
    holding = position(bench, state)
    leg = holding.owner
    assert leg is not None
    holding.list(listed(origin))
    shown(bench, holding, -700)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -700, -700)
    assert said(out) == [("leg_liquidated", "b:X")]
    assert (leg.taken_units, leg.taken_priced, leg.taken_value) == (300, 300, 300 * 9_500)
    assert (leg.taken_fees, leg.liquidated) == (Decimal("0.30"), True)
    assert holding.listed == {}
    holding.list(listed(origin))
    assert holding.listed == {}, "what is booked is not listed again"


@pytest.mark.parametrize("state", ALL)
def test_one_round_with_a_listed_liquidation_proves_nothing_yet(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    holding.list(listed())
    shown(bench, holding, -700, rounds=1)
    out = read(bench, holding)
    assert (holding.qty, said(out)) == (-TEN, [])
    assert holding.state == ("doubted" if state == "settled" else state)
    assert asks_on(bench, holding)


@pytest.mark.parametrize("state", ALL)
def test_what_a_stream_says_that_the_venue_took_counts_at_once(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    fact = FillReported(
        bench.now, bench.now, 1, 0, "adl-1", BUY, 9_500, 300, None, Decimal(0), False, "adl"
    )
    out = bench.fire(holding, "taken", fact)
    assert (holding.state, holding.qty) == (state, -700)
    assert said(out) == [("leg_liquidated", "b:X")]
    assert told(out) == [("b:X", "order_filling")]


@pytest.mark.parametrize("state", ALL)
def test_a_settlement_is_booked_and_nobodys_alarm(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    fact = FillReported(
        bench.now, bench.now, 1, 0, "s-1", BUY, 9_500, TEN, None, Decimal(0), False, "settlement"
    )
    out = bench.fire(holding, "taken", fact)
    assert (holding.qty, said(out)) == (0, [])
    assert holding.owner is not None
    assert not holding.owner.liquidated


def test_what_the_venue_takes_where_nothing_is_closed_is_told_as_well() -> None:
    bench = Bench()
    holding = position(bench, "settled", closing=False)
    holding.list(listed())
    shown(bench, holding, -700)
    out = read(bench, holding)
    assert (holding.qty, said(out), told(out)) == (-700, [("leg_liquidated", "b:X")], [])


# ---------------------------------------------------------------- nothing explains it


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("qty", [-300, 0, -1300, 300, None])
def test_one_round_that_differs_proves_nothing(qty: int | None, state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    shown(bench, holding, qty, rounds=1)
    out = read(bench, holding)
    assert (holding.qty, holding.owned, said(out)) == (-TEN, -TEN, [])
    known = state == "settled" and qty is None
    assert holding.state == ("doubted" if state == "settled" and not known else state)
    assert known or asks_on(bench, holding)
    assert known or told(out) == [("b:X", "position_doubted")]


@pytest.mark.parametrize("state", ALL)
def test_two_rounds_too_soon_after_our_own_fill_prove_nothing_yet(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    shown(bench, holding, -300)
    holding.last_fill_at, holding.last_fills = bench.now, 300
    out = read(bench, holding)
    assert (holding.qty, said(out)) == (-TEN, [])
    assert holding.state == ("doubted" if state == "settled" else state)


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize("state", ["doubted", "settled"])
def test_less_than_known_is_believed_told_and_gone_on_with(state: str, *, closing: bool) -> None:
    bench = Bench()
    holding = position(bench, state, closing=closing)
    shown(bench, holding, -300)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -300, -300)
    assert said(out) == [("foreign_exposure", "x" if closing else "b:X")]
    assert told(out) == []
    assert holding.believed_at == bench.now
    assert (holding.unexplained, holding.unexplained_until) == (700, bench.now)


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize("state", ALL)
def test_more_than_known_is_believed_but_is_not_ours_to_close(state: str, *, closing: bool) -> None:
    bench = Bench()
    holding = position(bench, state, closing=closing)
    shown(bench, holding, -1300)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -1300, -TEN)
    assert holding.unowned == -300
    assert said(out) == [("foreign_exposure", "x" if closing else "b:X")]
    assert told(out) == ([("x", "foreign")] if closing else [])


def test_a_position_where_nothing_was_held_is_believed_with_its_entry_and_not_ours() -> None:
    bench = Bench()
    holding = position(bench, "settled", closing=False)
    holding.accept(0)
    shown(bench, holding, 400)
    holding.read_entry = Decimal("98.5")
    read(bench, holding)
    assert (holding.qty, holding.owned, holding.entry) == (400, 0, Decimal("98.5"))


def test_a_part_taken_in_a_gap_freezes_though_less_is_held() -> None:
    bench = Bench()
    holding = position(bench, "unread")
    shown(bench, holding, -300)
    out = read(bench, holding)
    assert (holding.state, holding.qty) == ("settled", -300)
    assert said(out) == [("foreign_exposure", "x")]
    assert told(out) == [("x", "foreign")], "own fills may have fallen into the same gap"


def test_a_position_that_is_gone_after_a_gap_ends_what_was_closing_it() -> None:
    bench = Bench()
    holding = position(bench, "unread")
    shown(bench, holding, 0)
    out = read(bench, holding)
    assert (holding.state, holding.qty) == ("settled", 0)
    assert said(out) == [("foreign_exposure", "x")]
    assert told(out) == []


@pytest.mark.parametrize("state", ALL)
def test_the_other_side_is_never_believed_without_a_trade_that_explains_it(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    shown(bench, holding, 300)
    out = read(bench, holding)
    assert (holding.qty, holding.owned) == (-TEN, -TEN)
    assert holding.state == ("doubted" if state == "settled" else state)
    assert said(out) == [("foreign_exposure", "x")]
    assert ("x", "foreign") in told(out)
    again = read(bench, holding)
    assert said(again) == [], "each figure is told once"


@pytest.mark.parametrize("state", ALL)
def test_an_operator_who_adopts_is_not_frozen_again(state: str) -> None:
    for qty in (-1300, 300, -300):
        bench = Bench()
        holding = position(bench, state)
        close_of(holding).adopting = True
        shown(bench, holding, qty)
        assert ("x", "foreign") not in told(read(bench, holding))


# ---------------------------------------------------------------- our own orders may explain it


@pytest.mark.parametrize("state", ALL)
def test_our_own_order_that_may_have_filled_untold_ends_first(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    leg = holding.owner
    assert leg is not None
    old = bench.order(leg, "live", 300)
    bench.order(leg, "live", 700)
    shown(bench, holding, -300)
    out = read(bench, holding)
    assert (holding.qty, said(out)) == (-TEN, [])
    assert holding.state == ("doubted" if state == "settled" else state)
    assert ("b:X", "order_suspected") in told(out), "the leg ends its present order by its own row"
    assert (old.id, "cancel_asked") in told(out)


@pytest.mark.parametrize("state", ALL)
def test_what_no_order_of_ours_can_explain_is_told_before_it_has_ended(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    leg = holding.owner
    assert leg is not None
    bench.order(leg, "live", TEN)
    shown(bench, holding, -1300)
    out = read(bench, holding)
    assert (holding.qty, said(out)) == (-TEN, [("foreign_exposure", "x")])
    assert holding.state == ("doubted" if state == "settled" else state)
    assert {("x", "foreign"), ("b:X", "order_suspected")} <= set(told(out))


# ---------------------------------------------------------------- asking


@pytest.mark.parametrize("state", ASKING)
def test_what_is_in_question_is_asked_for_by_itself(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    bench.now += 10 * NS
    out = bench.fire(holding, "ask")
    assert (kinds(out), holding.state) == (["ReadTruth"], state)
    assert asks_on(bench, holding)


@pytest.mark.parametrize("state", ASKING)
@pytest.mark.parametrize("by", ["leg", "preparing", "reconciling"])
def test_nobody_asks_twice(by: str, state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    leg = holding.owner
    assert leg is not None
    if by == "leg":
        leg.timers["reread"] = bench.now + NS
    else:
        leg.close.state = by
    assert kinds(bench.fire(holding, "ask")) == []
    assert asks_on(bench, holding)


# ---------------------------------------------------------------- told by others


def strangers(bench: Bench, side: int, qty: int) -> FillReported:
    return FillReported(
        bench.now, bench.now, 1, 0, f"m-{qty}", side, 10_000, qty, None, Decimal(0), False, "manual"
    )


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("closing", [True, False])
def test_a_strangers_trade_is_told_at_once_and_believed_when_two_rounds_show_it(
    state: str, *, closing: bool
) -> None:
    bench = Bench()
    holding = position(bench, state, closing=closing)
    out = bench.fire(holding, "strange", strangers(bench, SELL, 300))
    assert (holding.qty, holding.announced) == (-TEN, -300)
    assert holding.state == ("doubted" if state == "settled" else state)
    assert said(out) == [("foreign_exposure", "b:X")]
    assert (("x", "foreign") in told(out)) == closing
    bench.tick(5)
    shown(bench, holding, -1300, rounds=1)
    read(bench, holding)
    assert holding.qty == -TEN
    bench.tick()
    shown(bench, holding, -1300)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -1300, -TEN)
    assert (holding.announced, said(out)) == (0, []), "it was told already"


def test_a_position_frame_is_no_more_than_a_reason_to_read() -> None:
    bench = Bench()
    holding = position(bench, "settled")
    frame = PositionMoved(bench.now, bench.now, 1, -300, "manual")
    out = bench.fire(holding, "moved", frame)
    assert (holding.state, holding.qty, kinds(out)) == ("doubted", -TEN, ["ReadTruth"])
    assert asks_on(bench, holding)


@pytest.mark.parametrize("state", ASKING)
def test_a_position_frame_says_nothing_where_a_read_is_awaited(state: str) -> None:
    bench = Bench()
    holding = position(bench, state)
    before = picture(bench.core)
    out = bench.fire(holding, "moved", PositionMoved(bench.now, bench.now, 1, -300, "manual"))
    assert picture(bench.core) == before
    assert (out.commands, told(out)) == ([], [])


# ---------------------------------------------------------------- a person


@pytest.mark.parametrize("state", ALL)
def test_what_a_person_counts_is_believed_and_ours(state: str) -> None:
    bench = Bench()
    holding = position(bench, state, announced=200)
    bench.fire(holding, "counted", -400)
    assert (holding.state, holding.qty, holding.owned) == (state, -400, -400)
    assert (holding.announced, holding.read_agreed) == (0, False)


@pytest.mark.parametrize("state", ALL)
def test_what_is_adopted_is_settled(state: str) -> None:
    bench = Bench()
    holding = position(bench, state, timers={"ask": bench.now + NS})
    bench.fire(holding, "adopted")
    assert (holding.state, holding.timers) == ("settled", {})


# ---------------------------------------------------------------- each fill counts once


def test_a_fill_of_ours_that_a_read_had_shown_is_not_counted_again() -> None:
    bench = Bench()
    leg = bench.leg("aggressive_limit", rung=1, order="live")
    order, holding = leg.order, leg.holding
    assert order is not None
    order.state = "cancelled"
    holding.orders.clear()
    bench.tick(20)
    for _ in range(2):
        bench.tick()
        bench.read("b", -600, believed=False)
    assert (holding.qty, holding.unexplained) == (-600, 400)
    late = FillReported(
        bench.now,
        bench.now - 10 * NS,
        1,
        order.uid,
        "t1",
        BUY,
        10_000,
        400,
        None,
        Decimal(0),
        False,
    )
    bench.step(late)
    assert (order.cum, holding.qty, holding.unexplained) == (400, -600, 0)
    newer = FillReported(
        bench.now, bench.now, 1, order.uid, "t2", BUY, 10_000, 100, None, Decimal(0), False
    )
    bench.step(newer)
    assert (order.cum, holding.qty) == (500, -500)


def believed_without_a_reason(bench: Bench, qty: int, *, closing: bool = True) -> Holding:
    """A position of which two reads showed this, and nothing explained it."""
    if closing:
        bench.leg("waiting")
    bench.tick(20)
    for _ in range(2):
        bench.tick()
        bench.read("b", qty, believed=False)
    holding = bench.core.holdings[1]
    assert (holding.qty, holding.unexplained) == (qty, qty + TEN)
    return holding


@pytest.mark.parametrize("path", ["list", "stream"])
def test_a_liquidation_that_is_told_after_reads_had_shown_it_is_not_taken_twice(path: str) -> None:
    bench = Bench()
    holding = believed_without_a_reason(bench, -700)
    row = TradeRow(
        0, "l-1", bench.now - 5 * NS, BUY, 9_500, 300, Decimal("0.30"), False, "liquidation"
    )
    out = Out([])
    for _ in range(3):
        bench.tick(20)
        if path == "list":
            out.commands += bench.read("b", trades=(row,)).commands
        else:
            fact = FillReported(
                bench.now, row.venue_at, 1, 0, "l-1", BUY, 9_500, 300, None, row.fee, False,
                "liquidation",
            )  # fmt: skip
            out.commands += bench.step(fact).commands
            bench.read("b")
    leg = holding.owner
    assert leg is not None
    assert (holding.state, holding.qty, holding.owned) == ("settled", -700, -700)
    assert said(out) == [("leg_liquidated", "b:X")]
    assert (leg.taken_units, leg.taken_value, leg.liquidated) == (300, 300 * 9_500, True)


def test_what_the_venue_took_after_the_reads_is_taken_from_what_is_left() -> None:
    bench = Bench()
    holding = believed_without_a_reason(bench, -700, closing=False)
    row = TradeRow(0, "l-2", bench.now + NS, BUY, 9_500, 200, Decimal(0), False, "liquidation")
    for _ in range(3):
        bench.tick(20)
        bench.read("b", -500, believed=False, trades=(row,))
    assert (holding.qty, holding.owned, holding.unexplained) == (-500, -500, 300)


def test_the_venues_deeds_before_an_adoption_are_in_what_was_adopted() -> None:
    bench = Bench()
    holding = position(bench, "unread")
    close = close_of(holding)
    close.state = "frozen"
    for leg in close.legs:
        leg.state, leg.order = "idle", None
        leg.orders.clear()
        leg.holding.orders.clear()
    bench.tick(20)
    bench.step(OperatorCommanded(bench.now, "adopt", target="x"))
    for _ in range(2):
        bench.tick()
        bench.read("a")
        bench.read("b", -700, believed=False)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -700, -700)
    row = TradeRow(0, "l-3", bench.now - 9 * NS, BUY, 9_500, 300, Decimal(0), False, "adl")
    bench.tick(20)
    out = bench.read("b", trades=(row,))
    assert (holding.state, holding.qty, said(out)) == ("settled", -700, [])


# ---------------------------------------------------------------- an order larger than what is left


def with_order(bench: Bench, state: str, qty: int = TEN) -> Holding:
    holding = position(bench, state)
    assert holding.owner is not None
    bench.order(holding.owner, "live", qty)
    return holding


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("qty", [-300, -1300, 0, 300])
def test_an_order_does_not_stay_for_long_where_a_gap_hid_something(
    qty: int, *, trusted: bool
) -> None:
    bench = Bench()
    holding = with_order(bench, "unread")
    if not trusted:
        bench.core.sessions["b"].state = "recovering"
    shown(bench, holding, qty, rounds=1)
    out = read(bench, holding)
    assert holding.timers["suspect"] == bench.now + NS // 5
    assert ("b:X", "order_suspected") not in told(out), "one read may be wrong"
    del holding.timers["suspect"]
    assert told(bench.fire(holding, "suspect")) == [("b:X", "order_suspected")]


@pytest.mark.parametrize(("qty", "ends"), [(-300, True), (0, True), (300, True), (-1300, False)])
def test_without_a_gap_only_an_order_that_may_be_too_large_ends(qty: int, *, ends: bool) -> None:
    bench = Bench()
    holding = with_order(bench, "settled")
    shown(bench, holding, qty, rounds=1)
    read(bench, holding)
    assert ("suspect" in holding.timers) == ends


@pytest.mark.parametrize("state", ALL)
def test_a_read_that_adds_up_lifts_the_suspicion(state: str) -> None:
    bench = Bench()
    holding = with_order(bench, state)
    holding.timers["suspect"] = bench.now + NS
    shown(bench, holding, -TEN, rounds=1)
    read(bench, holding)
    assert holding.timers == {}


def test_where_no_order_of_ours_rests_nothing_is_suspected() -> None:
    bench = Bench()
    holding = position(bench, "unread")
    shown(bench, holding, -300, rounds=1)
    read(bench, holding)
    assert "suspect" not in holding.timers


def test_a_fill_of_an_order_that_was_sized_by_what_reads_showed_counts_whole() -> None:
    bench = Bench()
    leg = bench.leg("aggressive_limit", rung=1, order="live")
    assert leg.order is not None
    leg.order.state = "cancelled"
    leg.holding.orders.clear()
    bench.tick(20)
    for _ in range(2):
        bench.tick()
        bench.read("b", -600, believed=False)
    order = bench.order(leg, "live", 600)
    fact = FillReported(
        bench.now, bench.now, 1, order.uid, "t1", BUY, 10_000, 600, None, Decimal(0), False
    )
    bench.step(fact)
    assert (leg.holding.qty, leg.holding.unexplained) == (0, 400)


# ---------------------------------------------------------------- a part is gone without a word


def lost_a_part(bench: Bench) -> Holding:
    """Two rounds have just shown that a part of a position is gone that is being closed."""
    holding = position(bench, "doubted")
    assert holding.owner is not None
    holding.owner.start_qty = holding.qty
    shown(bench, holding, -300)
    read(bench, holding)
    assert (holding.state, holding.qty, holding.unexplained) == ("settled", -300, 700)
    return holding


def test_what_took_a_part_is_asked_for_as_long_as_its_list_may_lag() -> None:
    bench = Bench()
    holding = lost_a_part(bench)
    began, pauses = bench.now, []
    while "ask" in holding.timers:
        pauses.append(holding.timers["ask"] - bench.now)
        bench.now = holding.timers.pop("ask")
        out = bench.fire(holding, "ask")
        assert kinds(out) == (["ReadTruth"] if bench.now < began + 15 * NS else [])
    assert pauses[:5] == [NS // 4, NS // 2, NS, 2 * NS, 4 * NS]
    assert holding.state == "settled"


def test_a_read_that_only_confirms_does_not_hurry_the_next_question() -> None:
    bench = Bench()
    holding = lost_a_part(bench)
    bench.fire(holding, "ask")
    bench.now += NS // 10
    read(bench, holding)
    assert holding.timers == {"ask": bench.now + NS // 2}


def test_what_is_explained_is_asked_for_no_more() -> None:
    bench = Bench()
    holding = lost_a_part(bench)
    holding.unexplained = 0
    read(bench, holding)
    assert holding.timers == {}


@pytest.mark.parametrize("state", ["unread", "doubted"])
def test_what_the_venue_took_and_what_a_stranger_added_do_not_cancel_out(state: str) -> None:
    bench = Bench()
    holding = position(bench, state, announced=-500, announced_at=bench.now - NS)
    bench.now += 20 * NS
    holding.list(TradeRow(0, "t-1", bench.now - 21 * NS, BUY, 9_000, 500, Decimal(0), False, "adl"))
    shown(bench, holding, -TEN, rounds=1)
    read(bench, holding)
    assert holding.state == state, "one read that shows what was believed explains neither"
    shown(bench, holding, -TEN, rounds=2)
    out = read(bench, holding)
    assert (holding.state, holding.qty, holding.owned) == ("settled", -TEN, -500)
    assert ("leg_liquidated", "b:X") in said(out)


# ---------------------------------------------------------------- after a contradiction


def show(bench: Bench, qty: int) -> None:
    """Answer a complete read of b that was asked and taken just now."""
    row = InstrumentTruth(1, qty, Decimal(100))
    bench.step(TruthRead(bench.now, bench.now, bench.now, "b", 1, (row,)))


@pytest.mark.parametrize("first", [-300, TEN])
def test_a_read_that_agrees_may_lag_behind_one_that_did_not(first: int) -> None:
    bench = Bench()
    holding = position(bench, "unread")
    lag = holding.venue.read_lag_ns
    began = bench.now
    show(bench, first)
    for bench.now in (began + NS, began + lag - 1):
        show(bench, -TEN)
    turned = first == TEN
    assert (holding.state == "settled") == turned, "a lost sign says nothing of the size"
    bench.now = began + lag
    show(bench, -TEN)
    assert (holding.state, holding.qty) == ("settled", -TEN)
    assert holding.contradicted_qty is None


def test_what_a_read_had_shown_before_anybody_told_it_contradicts_nothing() -> None:
    bench = Bench()
    holding = position(bench, "unread")
    show(bench, -300)
    holding.change(700)
    bench.now += NS
    show(bench, -300)
    assert (holding.state, holding.qty) == ("settled", -300)
