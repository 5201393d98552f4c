"""Where the books of a simulated venue come from, and how late they arrive."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any

import pytest
from msgspec import Struct

from machines.messages import FillReported
from machines.types import BUY, MS, NS, SELL
from tests.test_sim_venue import Desk
from venues.instruments import scale_instrument
from venues.numbers import TICKS_MAX, UNITS_MAX
from venues.sim.draws import Draws
from venues.sim.latency import RECORDED, Latency, Path, latency_of, sample
from venues.sim.markets import RATE_HZ, SyntheticFeed, Walks
from venues.sim.recordings import (
    RecordedFeed,
    RecordedTop,
    RecordedTrade,
    read_recording,
    split_source,
)

SLICES = FilePath(__file__).parents[2] / "shared" / "data" / "slices"


class Spec(Struct, frozen=True):
    mid: Decimal = Decimal("100.1")
    spread_ticks: int = 4
    vol_bps_per_sqrt_s: Decimal = Decimal("1.5")
    depth: Decimal = Decimal(50)
    trade_rate_per_s: Decimal = Decimal(0)
    correlation: str = ""


def fed(spec: Spec, seed: int = 1, walks: Walks | None = None) -> tuple[Desk, SyntheticFeed]:
    desk = Desk()
    draws = Draws(seed)
    walk = (walks or Walks(draws)).of(spec, desk.instrument)
    return desk, SyntheticFeed(desk.venue, desk.instrument, spec, walk, desk.heap, draws)


def mids(desk: Desk) -> list[int]:
    return [top[3] + top[5] for top in desk.inbox.tops]


# ---------------------------------------------------------------- synthetic


def test_a_synthetic_book_starts_at_its_mid_and_keeps_its_spread() -> None:
    desk, feed = fed(Spec())
    feed.start()
    desk.run(10_000)
    tops = desk.inbox.tops
    assert len(tops) == 10 * RATE_HZ + 1
    assert (tops[0][3], tops[0][5]) == (10008, 10012)
    assert all(ask - bid == 4 for _, _, _, bid, _, ask, _, _ in tops)
    assert all(2500 <= size <= 7500 for top in tops for size in (top[4], top[6]))
    assert len(set(mids(desk))) > 5
    assert feed.idle_actions == 1


def test_a_seed_gives_the_same_books_again_and_another_seed_others() -> None:
    runs = []
    for seed in (1, 1, 2):
        desk, feed = fed(Spec(trade_rate_per_s=Decimal(3)), seed)
        feed.start()
        desk.run(5000)
        runs.append([top[1:] for top in desk.inbox.tops])
    assert runs[0] == runs[1] != runs[2]


def test_instruments_of_one_correlation_move_together() -> None:
    walks = Walks(Draws(5))
    spec = Spec(correlation="zec")
    first, feed = fed(spec, 1, walks)
    second, other = fed(spec, 2, walks)
    feed.start()
    other.start()
    for _ in range(200):
        first.run(100)
        second.run(100)
    assert len(set(mids(first))) > 5
    assert mids(first) == mids(second)
    assert [top[4] for top in first.inbox.tops] != [top[4] for top in second.inbox.tops]


def test_the_volatility_is_that_of_the_table() -> None:
    desk, feed = fed(Spec(mid=Decimal(10_000), vol_bps_per_sqrt_s=Decimal(10)))
    feed.start()
    desk.run(300_000)
    seconds = mids(desk)[::RATE_HZ]
    moves = [later - earlier for earlier, later in pairwise(seconds)]
    variance = sum(move * move for move in moves) // len(moves)
    # 10 bps of 2,000,000 half ticks is 2,000.
    assert 1600**2 < variance < 2400**2


def test_a_quiet_market_stands_still() -> None:
    desk, feed = fed(Spec(vol_bps_per_sqrt_s=Decimal(0)))
    feed.start()
    desk.run(3000)
    assert len(set(mids(desk))) == 1


def test_synthetic_trades_fill_orders_at_the_touch() -> None:
    desk, feed = fed(Spec(vol_bps_per_sqrt_s=Decimal(0), trade_rate_per_s=Decimal(20)))
    feed.start()
    desk.place(price=10007, qty=5000)
    desk.place(price=10008, qty=5000, side=BUY)
    desk.run(20_000)
    assert {fill.order for fill in desk.all(FillReported)} == {2}


def test_a_walk_ends_at_the_largest_price_and_size_that_there_are() -> None:
    spec = Spec(Decimal("9.9999e12"), 1000, Decimal(1000), Decimal("9.99e12"))
    desk, feed = fed(spec)
    feed.start()
    desk.run(60_000)
    asks = [top[5] for top in desk.inbox.tops]
    assert max(asks) == TICKS_MAX
    assert min(asks) < TICKS_MAX - 1000
    assert all(0 < top[3] < top[5] and top[7] <= TICKS_MAX for top in desk.inbox.tops)
    assert all(0 < size <= UNITS_MAX for top in desk.inbox.tops for size in (top[4], top[6]))


# ---------------------------------------------------------------- recorded

HEADER = "recv_ns,exch_ms,venue,kind,bid,bid_qty,ask,ask_qty,price,qty,buyer_maker"
ROWS = [
    HEADER,
    "1000,,spot,bbo,100.003,1.239,100.201,2,,,",
    "3000,1,usdm,bbo,99.90,5,100.10,6,,,",
    "4000,1,usdm,trade,,,,,99.95,0.4,1",
    "5000,,spot,trade,,,,,100.201,0.4,0",
]


def test_a_recording_is_read_in_ticks_and_units_on_the_files_clock() -> None:
    instrument = scale_instrument(7, "a:X", "0.01", "0.01")
    assert list(read_recording(ROWS, "spot", instrument)) == [
        RecordedTop(0, 10000, 123, 10021, 200),
        RecordedTrade(4000, BUY, 10020, 40),
    ]
    assert list(read_recording(ROWS, "usdm", instrument)) == [
        RecordedTop(2000, 9990, 500, 10010, 600),
        RecordedTrade(3000, SELL, 9995, 40),
    ]


@pytest.mark.parametrize(
    ("rows", "venue", "problem"),
    [
        (ROWS, "coinm", "no row of venue 'coinm'"),
        (ROWS, "", "line 3: several venues"),
        (["a,b"], "spot", "no column recv_ns"),
        ([HEADER, "x,,spot,bbo,1,1,2,2,,,"], "spot", "line 2: recv_ns: 'x' must be a plain"),
        ([HEADER, "1,,spot,bbo,nan,1,2,2,,,"], "spot", "line 2: bid: 'nan' must be a plain"),
        ([HEADER, "9" * 5000 + ",,spot,bbo,1,1,2,2,,,"], "spot", "line 2: recv_ns: '999"),
        ([HEADER, "9e30,,spot,bbo,1,1,2,2,,,"], "spot", "recv_ns: '9e30' must be a whole"),
        ([HEADER, "5,,spot,bbo,1,1,2,2,,,", "4,,spot,bbo,1,1,2,2,,,"], "spot", "line 3: recv_ns"),
        ([HEADER, "5,,x,bbo,,,,,,,", "2e18,,spot,bbo,1,1,2,2,,,"], "spot", "line 3: recv_ns"),
        ([HEADER, "1,,spot,bbo,-1,1,2,2,,,"], "spot", "line 2: bid: '-1' must be at least 0"),
        ([HEADER, "1,,spot,bbo,1,1e20,2,2,,,"], "spot", "line 2: bid_qty: .* at most 1E"),
        ([HEADER, "1,,spot,trade,,,,,1e-999999999,1,1"], "spot", "line 2: price: .* plain decimal"),
        ([HEADER, "1,,spot,bbo"], "spot", "line 2: bid: None must be a decimal"),
        ([HEADER, '1,,"' + "x" * 200_000], "spot", "recording: field larger than"),
    ],
)
def test_a_bad_recording_is_an_error_with_its_line(
    rows: list[str], venue: str, problem: str
) -> None:
    instrument = scale_instrument(7, "a:X", "0.01", "0.01")
    with pytest.raises(ValueError, match=problem):
        list(read_recording(rows, venue, instrument))


def test_a_recording_plays_at_its_own_pace_and_then_stands_still() -> None:
    desk = Desk()
    feed = RecordedFeed(
        desk.venue, desk.instrument, read_recording(ROWS, "usdm", desk.instrument), desk.heap
    )
    desk.place(price=9995, qty=30)
    desk.run()
    desk.clear()
    begin = desk.heap.now
    feed.start()
    assert feed.idle_actions == 1
    desk.run()
    assert [top[0] - begin for top in desk.inbox.tops] == [2000]
    assert desk.one(FillReported).venue_at - begin == 3000
    assert feed.idle_actions == 0


def test_the_source_of_a_recording_names_file_and_venue() -> None:
    assert split_source("slices/x.csv.gz#usdm") == ("slices/x.csv.gz", "usdm")
    assert split_source("x.csv") == ("x.csv", "")


def lines_of(name: str) -> Iterator[str]:
    with gzip.open(SLICES / name, "rt", newline="", encoding="utf-8") as file:
        yield from file


@pytest.mark.slow  # decompresses and reads 39,641 recorded rows three times
@pytest.mark.skipif(not SLICES.is_dir(), reason="the recorded slices are not beside the project")
@pytest.mark.parametrize(
    ("venue", "tick", "lot", "tops", "trades"),
    [
        ("spot", "0.01", "0.00001", 6705, 3261),
        ("usdm", "0.1", "0.001", 16251, 7552),
        ("coinm", "0.1", "1", 4951, 921),
    ],
)
def test_the_busy_slice_is_read_whole(
    venue: str, tick: str, lot: str, tops: int, trades: int
) -> None:
    instrument = scale_instrument(0, "a:BTC", tick, lot)
    rows = list(read_recording(lines_of("btc_3books_busy60s.csv.gz"), venue, instrument))
    books = [row for row in rows if isinstance(row, RecordedTop)]
    assert (len(books), len(rows) - len(books)) == (tops, trades)
    assert all(book.bid < book.ask for book in books)
    assert [row.offset_ns for row in rows] == sorted(row.offset_ns for row in rows)
    assert rows[-1].offset_ns < 61 * NS


# ---------------------------------------------------------------- latency


def test_a_path_never_reorders() -> None:
    path = Path(5 * MS, RECORDED["recorded-usdm"]["stream"], Draws(4))
    dues = [path.due(now) for now in range(0, 200 * MS, MS)]
    assert dues == sorted(dues)
    assert all(due >= now + 5 * MS for now, due in zip(range(0, 200 * MS, MS), dues, strict=True))


def test_a_distribution_has_the_percentiles_of_its_table() -> None:
    draws = Draws(9)
    lags = sorted(sample(RECORDED["recorded-usdm"]["public"], draws) for _ in range(4000))
    assert lags[2000] // 100_000 in range(19, 24)
    assert lags[3800] // 100_000 in range(120, 155)
    assert lags[-1] <= 53 * MS


def delays(latency: Latency) -> list[int]:
    return [path.base_ns for path in (latency.request, latency.response, latency.stream)]


def test_latency_is_read_from_constants_names_and_percentiles() -> None:
    latency = latency_of({"response": Decimal("0.5"), "stream": "3"}, "a", Draws(1))
    assert delays(latency) == [0, 500_000, 3 * MS]
    assert latency.request.direct
    assert delays(latency_of("recorded-spot", "a", Draws(1))) == [5 * MS] * 3
    spread = latency_of({"public": {"p50": 2, "max": 4}}, "a", Draws(1)).public
    assert not spread.direct
    assert all(0 <= spread.due(now) - now <= 4 * MS for now in range(0, 100 * NS, NS))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("recorded-moon", "unknown; allowed: recorded-coinm"),
        (3, "expected a table"),
        ({"reply": 3}, "'reply' is unknown"),
        ({"request": "-1"}, "must be at least 0"),
        ({"request": 0.5}, "must be a decimal"),
        ({"public": {"q50": 3}}, "is no percentile"),
        ({"public": {"p50": 3, "p99": 1}}, "do not rise"),
    ],
)
def test_a_malformed_latency_is_an_error(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        latency_of(value, "a", Draws(1))
