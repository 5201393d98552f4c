"""The checkers' own count of what the engine must know: it decides what an order may be for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.simulation.watch import Watch
from machines.messages import (
    Fact,
    FillReported,
    InstrumentTruth,
    OperatorCommanded,
    Place,
    TradeRow,
    TruthRead,
)
from machines.types import BUY, NS, SELL
from tests.rows import TEN, instrument


def watch() -> Watch:
    """A watch over one short position of ten, which is being closed."""
    made = Watch([instrument(0, "b")], {"x": (0,)})
    made.declare(0, -TEN)
    made.closing("x", {0: -TEN})
    return made


def stranger(trade: str, side: int, qty: int) -> FillReported:
    return FillReported(NS, NS, 0, 0, trade, side, 10_000, qty, None, Decimal(0), False, "manual")


def read(at: int, qty: int | None) -> TruthRead:
    row = InstrumentTruth(0, qty, Decimal(100))
    return TruthRead(at, at, at, "b", 0, (row,))


def larger(made: Watch, qty: int) -> bool:
    """Whether the watch objects to a closing order of this size."""
    made.durable.add(1)
    made.sent(Place(0, 1, 0, BUY, qty, None, "IOC", False, True, 0, 0, 1, "market", ""))
    return bool(made.order_larger)


def larger_after(facts: list[Fact], qty: int) -> bool:
    """Whether an order of this size would be objected to after these facts."""
    made = watch()
    for fact in facts:
        made.told(fact)
    return larger(made, qty)


def test_a_strangers_trade_that_is_told_twice_counts_once() -> None:
    twice: list[Fact] = [stranger("t1", SELL, 300)] * 2
    assert larger_after(twice, TEN + 301)
    assert not larger_after(twice, TEN + 300)


def test_a_trade_that_a_read_shows_is_known_and_counts_once() -> None:
    trade = TradeRow(7, "t1", NS, BUY, 10_000, 300, Decimal(0), False)
    shown = TruthRead(NS, NS, NS, "b", 0, (InstrumentTruth(0, None, None, (), (trade,)),))
    told = FillReported(NS, NS, 0, 7, "t1", BUY, 10_000, 300, 300, Decimal(0), False)
    made = watch()
    made.sides[7] = (BUY, 0)
    for fact in (shown, told):
        made.told(fact)
        assert made.known[0] == 300 - TEN


ADOPT = OperatorCommanded(5 * NS, "adopt", "x")


@pytest.mark.parametrize(
    ("facts", "objects"),
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
def test_what_two_reads_show_is_known_once_an_operator_has_adopted_it(
    facts: list[Fact], objects: bool
) -> None:
    assert larger_after(facts, 1300) == objects


@pytest.mark.parametrize(("traded_at", "is_wrong"), [(NS, True), (3 * NS, False)])
def test_a_claim_is_wrong_by_a_strangers_trade_only_if_a_read_could_show_it(
    traded_at: int, is_wrong: bool
) -> None:
    made = watch()
    made.told(read(2 * NS, 0))
    made.strange[0] = traded_at
    made.claimed("x", {0: 0}, {0: 0}, {0: 0}, {}, {0: 5})
    assert bool(made.violated) is is_wrong
