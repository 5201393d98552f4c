"""Parts that a restart and a report lean on: timers put back, a book put back, a word of nobody.

Each is small enough to look right without a test, and wrong only on the day when it is needed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest
from msgspec.structs import replace

from engine.aftermath import Aftermath
from engine.report import close_report
from engine.summary import describe
from engine.timers import Timers
from machines.book import Book
from machines.close_model import Close, shown
from machines.messages import CloseRequested, OperatorCommanded, TopSeen
from machines.types import NS
from tests.picture import picture
from tests.rows import Bench


def test_restored_timers_come_up_by_time_and_those_of_one_instant_by_machine() -> None:
    bench = Bench()
    first, second = bench.core.holdings
    first.timers = {"ask": bench.now + NS, "suspect": bench.now - NS}
    second.timers = {"ask": bench.now + NS, "suspect": bench.now - 2 * NS}
    # The later machine is found first: the order must not hang on where a machine stands.
    bench.core.env.machines = dict(reversed(bench.core.env.machines.items()))
    timers = Timers()
    timers.restore(bench.core, bench.now)
    fired = [(each.machine, each.tag) for each in timers.fire_due(bench.core, bench.now + 5 * NS)]
    ours = [each for each in fired if each[0] in (first.uid, second.uid)]
    assert ours == [
        (second.uid, "suspect"),
        (first.uid, "suspect"),
        (first.uid, "ask"),
        (second.uid, "ask"),
    ]


def test_a_restored_book_is_what_was_consumed_and_not_news() -> None:
    book = Book()
    book.fresh = True
    book.restore(TopSeen(11, 12, 0, 13, 14, 15, 16, 17))
    shown = (book.at, book.venue_at, book.bid, book.bid_qty, book.ask, book.ask_qty, book.mark)
    assert shown == (11, 12, 13, 14, 15, 16, 17)
    assert not book.fresh


def test_a_word_that_nobody_knows_does_nothing_and_is_not_answered_as_done() -> None:
    bench = Bench()
    bench.step(CloseRequested(bench.now, "x", "MANUAL"))
    before = picture(bench.core)
    out = bench.step(OperatorCommanded(bench.now, "bogus"))
    assert out.answer == "unknown command 'bogus'; nothing was done"
    assert out.commands == []
    assert picture(bench.core) == before


def test_the_summary_says_where_a_close_has_spent_its_time() -> None:
    bench = Bench()
    bench.step(CloseRequested(bench.now, "x", "MANUAL"))
    close = bench.core.closes["x"]
    close.dwell = {"preparing": NS // 100, "passive_limit": 12 * NS, "market": 3 * NS // 2}
    lines = describe(close_report(close, bench.now), bench.core, bench.now)
    assert "  passive_limit 12.0 s, market 1.5 s" in lines


@pytest.mark.parametrize(
    ("quantity", "text"),
    [("7.00", "7.00"), ("0.12345678", "0.12345678"), ("4.997501249375312", "4.99750125")],
)
def test_a_person_is_shown_no_more_digits_than_a_quantity_has(quantity: str, text: str) -> None:
    assert f"{shown(Decimal(quantity)):f}" == text


class Broken:
    """An engine that has ended, with one close and without an answer of any venue."""

    failure = "committer: OSError"
    fenced = False

    def __init__(self, close: Close) -> None:
        self.ports: dict[str, Any] = {}
        self._close = close

    def alive(self) -> list[Close]:
        return [self._close]

    def live_orders(self) -> list[Any]:
        return []


def inverse_pair() -> Bench:
    """A pair whose second leg is worth its contracts at any price: even only up to a division."""
    bench = Bench()
    bench.close()
    leg = bench.core.closes["x"].legs[1]
    leg.instrument = replace(leg.instrument, type="inverse")
    return bench


def test_last_words_tell_what_is_naked_in_eight_digits() -> None:
    close = inverse_pair().core.closes["x"]
    lines = Aftermath(cast(Any, Broken(close))).lines()
    assert "naked: x 9.9000999 (a:X 10, b:X -10), as last known, the venues did not answer" in lines


def test_the_summary_tells_what_was_naked_in_eight_digits() -> None:
    bench = inverse_pair()
    close = bench.core.closes["x"]
    close.naked_max = close.entry_imbalance = Decimal(1) / 3
    lines = describe(close_report(close, bench.now), bench.core, bench.now)
    assert "  naked 0 base·s, at most 0.33333333; result 0.00 in quote currency" in lines
    assert "  the legs differed by 0.33333333 base at the start" in lines
