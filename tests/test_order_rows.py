"""Rows of the order machine: every kind of evidence meets an order in every state.

The expectations are written here a second time, from what the machine is meant to be: what a fact
does in a state, and what must hold whatever it does. Nothing is read off the table.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from machines.messages import (
    Alarm,
    CallLost,
    CancelRefused,
    EngineStarted,
    FillReported,
    OperatorCommanded,
    OrderMissing,
    OrderRefused,
    OrderReported,
    OrderSent,
    QueryFailed,
)
from machines.order_model import Order
from machines.table import Out
from machines.types import BUY, MS, NS, Capabilities
from tests.rows import TEN, Bench, kinds, told

STATES = (
    "pending",
    "sent",
    "live",
    "cancelling",
    "unknown",
    "contradicted",
    "filled",
    "cancelled",
    "rejected",
    "expired",
)
DEAD = STATES[6:]
LETTERS = dict(zip("PSLCUXFNRE", STATES, strict=True))

Act = Callable[[Bench, Order], Out]


# ---------------------------------------------------------------- bringing an order about


def report(status: str, cum: int | None = 0, path: str = "stream", age_ns: int = 0) -> Act:
    """A report of the order, with the venue time of now less an age."""

    def act(bench: Bench, order: Order) -> Out:
        at = bench.now
        return bench.step(OrderReported(at, at - age_ns, order.uid, path, status, cum))  # type: ignore[arg-type]

    return act


def fill(qty: int) -> Act:
    """One new trade of the order."""

    def act(bench: Bench, order: Order) -> Out:
        bench.trades += 1
        now, trade = bench.now, f"t{bench.trades}"
        fee = Decimal(0)
        return bench.step(
            FillReported(now, now, 1, order.uid, trade, BUY, 10_000, qty, None, fee, True)
        )

    return act


def fired(trigger: str) -> Act:
    """A trigger that another machine, a timer or a read gives."""
    return lambda bench, order: bench.drain(bench.fire(order, trigger))


def steps(*acts: Act) -> Act:
    """Several facts, a second apart."""

    def act(bench: Bench, order: Order) -> Out:
        out = Out([])
        for each in acts:
            out = each(bench, order)
            bench.tick()
        return out

    return act


def sent(bench: Bench, order: Order) -> Out:
    return bench.step(OrderSent(bench.now, order.uid))


def place_lost(bench: Bench, order: Order) -> Out:
    return bench.step(CallLost(bench.now, order.uid, "place", "reset"))


def cancel_lost(bench: Bench, order: Order) -> Out:
    return bench.step(CallLost(bench.now, order.uid, "cancel", "reset"))


def cancel_refused(bench: Bench, order: Order) -> Out:
    return bench.step(CancelRefused(bench.now, order.uid, "UNKNOWN_ORDER"))


def refused(bench: Bench, order: Order) -> Out:
    return bench.step(OrderRefused(bench.now, order.uid, "INSUFFICIENT_MARGIN"))


def missing(bench: Bench, order: Order) -> Out:
    return bench.step(OrderMissing(bench.now, order.uid, bench.now, "history"))


def query_failed(bench: Bench, order: Order) -> Out:
    return bench.step(QueryFailed(bench.now, order.uid, bench.now, "dns"))


def settled(bench: Bench, order: Order) -> Out:
    return bench.step(OperatorCommanded(bench.now, "settle", order=order.uid, cum=order.cum))


def restarted(bench: Bench, order: Order) -> Out:
    if not order.alive:
        return fired("restarted")(bench, order)
    return bench.step(EngineStarted(bench.now, bench.core.env.epoch + 1))


def nothing(bench: Bench, order: Order) -> Out:
    return Out([])


CANCELLED = report("CANCELED")
WAYS: dict[str, Act] = {
    "pending": nothing,
    "sent": steps(sent),
    "live": steps(sent, report("OPEN")),
    "cancelling": steps(sent, report("OPEN"), fired("cancel_asked")),
    "unknown": steps(sent, place_lost),
    "contradicted": steps(sent, CANCELLED, report("OPEN")),
    "filled": steps(sent, fill(TEN)),
    "cancelled": steps(sent, CANCELLED),
    "rejected": steps(sent, refused),
    "expired": steps(sent, report("EXPIRED")),
}


def order_in(state: str, bench: Bench) -> Order:
    """The first order of the passive leg on b, brought into a state by facts."""
    bench.close()
    order = next(iter(bench.core.closes["x"].legs[1].orders))
    WAYS[state](bench, order)
    assert order.state == state
    return order


# ---------------------------------------------------------------- what a fact does in a state

#: One letter per state in the order of STATES: the state that follows, "." for the same.
FACTS: dict[str, tuple[Act, str]] = {
    "our note of the send": (sent, "S........."),
    "a receipt": (report("PENDING", None, "ack"), ".........."),
    "a lost call": (place_lost, "UU........"),
    "a refusal": (refused, "RRUUR....."),
    "an open order on the stream": (report("OPEN"), "LL..L..XXX"),
    "an open order of long ago": (report("OPEN", age_ns=60 * NS), "LL..L....."),
    "a late ack": (report("OPEN", None, "ack"), "LL..L....."),
    "a trade": (fill(300), "LL........"),
    "a trade of the whole": (fill(TEN), "FFFFFF...."),
    "filled": (report("FILLED", TEN), "FFFFFF...."),
    "cancelled": (CANCELLED, "NNNNNN...."),
    "expired": (report("EXPIRED"), "EEEEEE...."),
    "rejected": (report("REJECTED", 0), "RRRRRR...."),
    "cancelled without a quantity": (report("CANCELED", None), "UUUU......"),
    "filled with too small a quantity": (report("FILLED", 300), "UUUU......"),
    "a status nobody knows": (report("UNRECOGNISED", 0), "UUUU......"),
    "a wish to cancel": (fired("cancel_asked"), "CCC......."),
    "a lost cancel": (cancel_lost, "...U......"),
    "a refused cancel": (cancel_refused, "...U......"),
    "not found": (missing, ".........."),
    "a failed query": (query_failed, ".........."),
    "not in a complete list": (fired("unlisted"), ".........."),
    "not in a list of trades": (fired("untraced"), ".........."),
    "lacked by a round": (fired("lacked"), ".........."),
    "an operator's word": (settled, "....NN...."),
    "a new process": (restarted, "UUUU......"),
}
CASES = [(fact, state) for fact in FACTS for state in STATES]


@pytest.mark.parametrize(("fact", "state"), CASES)
def test_a_fact_moves_an_order_as_the_facts_table_says(fact: str, state: str) -> None:
    bench = Bench()
    order = order_in(state, bench)
    held, cum = order.holding.qty, order.cum
    bench.tick()
    act, row = FACTS[fact]
    out = act(bench, order)
    letter = row[STATES.index(state)]
    assert order.state == (state if letter == "." else LETTERS[letter])
    assert order.cum >= cum
    assert order.holding.qty == held + order.cum - cum, "every unit is credited, once"
    if order.alive:
        assert "Place" not in kinds(out), "nothing is placed beside an order that may still fill"
    _check_arrival(order, out, entered=letter != ".")


def _check_arrival(order: Order, out: Out, *, entered: bool) -> None:
    leg = order.leg
    assert leg is not None
    if order.state in DEAD:
        assert order.timers == {}
    elif order.state in ("unknown", "contradicted"):
        assert leg.state == "doubtful"
        assert {"ask", "alarm"} <= order.timers.keys()
        assert not entered or "QueryOrder" in kinds(out)
        assert not (entered and order.state == "contradicted") or "Cancel" in kinds(out)
    elif order.state == "cancelling" and entered:
        assert kinds(out) == ["Cancel"]
        assert set(order.timers) == {"cancel_silent"}


# ---------------------------------------------------------------- timers


@pytest.mark.parametrize(
    ("timer", "state", "dest", "commands"),
    [
        ("silent", "sent", "unknown", ["QueryOrder"]),
        ("cancel_silent", "cancelling", "unknown", ["QueryOrder"]),
        ("ask", "unknown", "unknown", ["QueryOrder"]),
        ("ask", "contradicted", "contradicted", ["Cancel", "QueryOrder"]),
        ("alarm", "unknown", "unknown", ["Alarm"]),
        ("alarm", "contradicted", "contradicted", ["Alarm"]),
    ],
)
def test_a_timer_asks_alarms_or_begins_doubt_and_never_places(
    timer: str, state: str, dest: str, commands: list[str]
) -> None:
    bench = Bench()
    order = order_in(state, bench)
    out = bench.drain(bench.fire(order, timer))
    assert (order.state, kinds(out)) == (dest, commands)


def test_the_alarm_of_a_doubt_is_raised_once() -> None:
    bench = Bench()
    order = order_in("unknown", bench)
    assert kinds(bench.fire(order, "alarm")) == ["Alarm"]
    assert kinds(bench.fire(order, "alarm")) == []


# ---------------------------------------------------------------- dead by witnesses

LISTS_OPEN_ONLY = Capabilities(lookup="open_only")


def round_without(bench: Bench, order: Order, *, position: int | None = None) -> None:
    """A complete round of the venue that lists no order, and shows what we believe or this."""
    held = order.holding.qty if position is None else position
    bench.read("b", held, believed=False)


@pytest.mark.parametrize("state", ["unknown", "contradicted"])
def test_two_rounds_that_lack_an_order_which_was_seen_end_it(state: str) -> None:
    bench = Bench(capabilities=LISTS_OPEN_ONLY)
    order = order_in("cancelling" if state == "unknown" else state, bench)
    if state == "unknown":
        cancel_lost(bench, order)
    assert order.state == state
    bench.now = max(order.countable_from, bench.now) + NS
    round_without(bench, order)
    assert order.state == state, "one round proves nothing"
    bench.now += order.venue.read_lag_ns
    round_without(bench, order)
    assert (order.state, order.end_reason) == ("cancelled", "VANISHED")


@pytest.mark.parametrize(
    "why",
    [
        "before it could be counted",
        "too close together",
        "not adding up",
        "history",
        "partial list",
    ],
)
def test_rounds_that_are_no_witnesses_end_nothing(why: str) -> None:
    capabilities = {
        "history": Capabilities(lookup="history"),
        "partial list": Capabilities(lookup="open_only", open_orders="partial"),
    }.get(why, LISTS_OPEN_ONLY)
    bench = Bench(capabilities=capabilities)
    order = order_in("contradicted", bench)
    lag = order.venue.read_lag_ns
    if why == "before it could be counted":
        order.seen_at = bench.now + 100 * NS
    else:
        bench.now = max(order.countable_from, bench.now) + NS
    round_without(bench, order)
    bench.now += lag - MS if why == "too close together" else lag
    round_without(bench, order, position=-300 if why == "not adding up" else None)
    assert order.state == "contradicted"


def test_an_order_that_was_never_seen_is_counted_only_behind_an_enforced_deadline() -> None:
    for deadline in ("none", "matching"):
        bench = Bench(capabilities=replace(LISTS_OPEN_ONLY, deadline=deadline))
        order = order_in("unknown", bench)
        assert (order.countable_from > 0) == (deadline != "none")
        for _ in range(8):
            bench.tick(10)
            round_without(bench, order)
        assert order.state == ("unknown" if deadline == "none" else "cancelled")


# ---------------------------------------------------------------- ends without their quantity


@pytest.mark.parametrize("state", ["unknown", "contradicted"])
def test_an_unclear_end_in_doubt_is_asked_about_unless_it_is_the_answer_itself(state: str) -> None:
    bench = Bench()
    order = order_in(state, bench)
    asked = report("CANCELED", None, "query")(bench, order)
    assert (order.state, kinds(asked)) == (state, []), "the next question waits for its time"
    unasked = report("CANCELED", None, "stream")(bench, order)
    assert (order.state, kinds(unasked)) == (state, ["QueryOrder"])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("state", ["pending", "sent"])
def test_a_refusal_after_a_receipt_is_doubt(state: str) -> None:
    bench = Bench()
    order = order_in(state, bench)
    report("PENDING", None, "ack")(bench, order)
    refused(bench, order)
    assert order.state == "unknown"


def test_a_refusal_of_a_doubtful_order_that_was_seen_is_asked_about() -> None:
    bench = Bench()
    order = order_in("live", bench)
    restarted(bench, order)
    out = refused(bench, order)
    assert (order.state, kinds(out)) == ("unknown", ["QueryOrder"])


def test_a_refusal_of_an_order_cancelled_before_any_word_of_it_is_its_end() -> None:
    bench = Bench()
    order = order_in("sent", bench)
    fired("cancel_asked")(bench, order)
    refused(bench, order)
    assert order.state == "rejected"


# ---------------------------------------------------------------- an operator's word


@pytest.mark.parametrize("state", STATES)
def test_what_an_operator_settles_is_booked_if_it_was_in_doubt_and_else_refused(state: str) -> None:
    bench = Bench()
    order = order_in(state, bench)
    held, cum = order.holding.qty, order.cum
    out = bench.step(OperatorCommanded(bench.now, "settle", order=order.uid, cum=cum + 400))
    if state in ("unknown", "contradicted"):
        assert (order.state, order.cum, order.holding.qty) == ("cancelled", cum + 400, held + 400)
        assert out.answer == "settle"
    else:
        assert (order.state, order.cum, order.holding.qty) == (state, cum, held)
        assert out.answer == f"b:X#1 is {state}, not in doubt; nothing was changed"


def test_an_operators_smaller_figure_takes_nothing_back() -> None:
    bench = Bench()
    order = order_in("live", bench)
    fill(300)(bench, order)
    restarted(bench, order)
    held = order.holding.qty
    bench.step(OperatorCommanded(bench.now, "settle", order=order.uid, cum=0))
    assert (order.state, order.cum, order.holding.qty) == ("cancelled", 300, held)


def test_an_unknown_code_is_announced_once_per_venue() -> None:
    bench = Bench()
    order = order_in("live", bench)
    other = bench.core.closes["x"].legs[0].orders[0]
    alarms = []
    for each, text in [(order, "odd"), (order, "odd"), (order, "odder"), (other, "odd")]:
        status = OrderReported(bench.now, bench.now, each.uid, "stream", "UNRECOGNISED", text=text)
        alarms += [a.text for a in bench.step(status).commands if isinstance(a, Alarm)]
    assert alarms == ["odd", "odder", "odd"]


# ---------------------------------------------------------------- absence


def doubted_long(bench: Bench) -> Order:
    """An order nobody has seen, so old that not-found may count."""
    order = order_in("unknown", bench)
    bench.now = order.sent_at + order.venue.absent_after_ns
    return order


def test_absence_needs_two_answers_a_second_apart_and_then_the_trades() -> None:
    bench = Bench()
    order = doubted_long(bench)
    assert kinds(missing(bench, order)) == []
    bench.now += 999 * MS
    assert kinds(missing(bench, order)) == []
    bench.now += MS
    assert kinds(missing(bench, order)) == ["ReadTruth"]
    assert order.state == "unknown"
    bench.tick()
    bench.read("b")
    assert (order.state, order.end_reason) == ("rejected", "ABSENT")


def test_absence_is_also_proved_by_the_answer_that_comes_after_the_trades() -> None:
    bench = Bench()
    order = doubted_long(bench)
    missing(bench, order)
    bench.read("b")
    assert order.state == "unknown", "one not-found proves nothing"
    bench.tick()
    missing(bench, order)
    assert (order.state, order.end_reason) == ("rejected", "ABSENT")


def test_a_not_found_that_was_asked_too_early_does_not_count() -> None:
    bench = Bench()
    order = order_in("unknown", bench)
    asked = bench.now
    bench.now = order.sent_at + order.venue.absent_after_ns
    for _ in range(3):
        bench.tick()
        bench.step(OrderMissing(bench.now, order.uid, asked, "history"))
    bench.read("b")
    assert order.state == "unknown"


def test_an_order_once_acknowledged_is_never_absent() -> None:
    bench = Bench()
    order = order_in("live", bench)
    restarted(bench, order)
    bench.now += 10 * order.venue.absent_after_ns
    for _ in range(4):
        bench.tick()
        missing(bench, order)
    bench.read("b")
    assert order.state == "unknown"


@pytest.mark.parametrize(
    "trigger",
    ["received", "opened", "grew", "cancelled", "expired", "rejected", "unrecognised"],
)
def test_a_filled_order_stays_filled_whatever_is_said_of_it(trigger: str) -> None:
    bench = Bench()
    order = order_in("filled", bench)
    order.grown = 0
    out = bench.fire(order, trigger, None)
    assert (order.state, out.commands, told(out)) == ("filled", [], [])


@pytest.mark.parametrize("state", ["pending", "sent", "live", "cancelling"])
def test_a_new_process_sends_a_cancel_again_that_may_never_have_left(state: str) -> None:
    bench = Bench()
    order = order_in(state, bench)
    out = restarted(bench, order)
    assert order.state == "unknown"
    assert ("Cancel" in kinds(out)) == (state == "cancelling")


def test_more_than_an_order_was_sent_for_is_not_settled() -> None:
    bench = Bench()
    order = order_in("live", bench)
    order.cum = 400
    restarted(bench, order)
    out = bench.step(OperatorCommanded(bench.now, "settle", order=order.uid, cum=TEN + 1))
    assert (order.state, order.cum) == ("unknown", 400)
    assert out.answer == f"{order.id} is of 10.00, more cannot have filled; nothing was changed"
