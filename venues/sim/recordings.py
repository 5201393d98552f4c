"""Recorded books: replays one venue's rows of a CSV slice into a simulated venue.

The columns are `recv_ns, exch_ms, venue, kind, bid, bid_qty, ask, ask_qty, price, qty,
buyer_maker`, ordered by `recv_ns`; times count from the first row of the file, so that several
venues of one file stay aligned. This module must not open files or repair data: a row that cannot
be read, or holds what no market has, is an error with its line; where the data ends the book stays
as it was.
"""

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from machines.types import BUY, SELL, Instrument
from venues.instruments import ceil_tick, floor_tick, floor_units
from venues.numbers import TIME_MAX_NS, NumberRefused, exact, whole
from venues.port import MARKET, Scheduler
from venues.sim.venue import SimVenue

COLUMNS = ("recv_ns", "venue", "kind", "bid", "bid_qty", "ask", "ask_qty", "price", "qty")


class RecordedTop(NamedTuple):
    """A top of book `offset_ns` after the start of the file, in ticks and units."""

    offset_ns: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


class RecordedTrade(NamedTuple):
    """A trade `offset_ns` after the start of the file; `side` is the aggressor's."""

    offset_ns: int
    side: int
    price: int
    qty: int


Recorded = RecordedTop | RecordedTrade


def split_source(recording: str) -> tuple[str, str]:
    """Split `path#venue` of a scenario; the venue is empty where none is named."""
    path, _, venue = recording.partition("#")
    return path, venue


def _size(row: dict[str, str], name: str) -> Decimal:
    """Read a price or size of a row, which is never below 0."""
    number = exact(row[name], name)
    if number < 0:
        raise NumberRefused(name, row[name], "at least 0")
    return number


def _top(row: dict[str, str], offset: int, instrument: Instrument) -> RecordedTop:
    """Convert a book row; prices finer than the tick move away from the middle."""
    return RecordedTop(
        offset,
        floor_tick(_size(row, "bid"), instrument, "bid"),
        floor_units(_size(row, "bid_qty"), instrument, "bid_qty"),
        ceil_tick(_size(row, "ask"), instrument, "ask"),
        floor_units(_size(row, "ask_qty"), instrument, "ask_qty"),
    )


def _trade(row: dict[str, str], offset: int, instrument: Instrument) -> RecordedTrade:
    """Convert a trade row: where the buyer was the maker, the seller was the aggressor."""
    side = SELL if row["buyer_maker"] == "1" else BUY
    price = _size(row, "price")
    # A print between ticks reached no tick beyond it.
    ticks = floor_tick(price, instrument) if side == BUY else ceil_tick(price, instrument)
    qty = floor_units(_size(row, "qty"), instrument)
    return RecordedTrade(offset, side, ticks, qty)


def read_recording(
    lines: Iterable[str], venue: str, instrument: Instrument, name: str = "recording"
) -> Iterator[Recorded]:
    """Yield one venue's rows of a slice, given as lines of text, in the order of the file.

    Quantities are the venue's contracts. With `venue` empty the file must hold one venue only.
    Raises ValueError, naming `name` and the line, for a file that is no such slice, holds no row of
    the venue, or has a bad row.
    """
    rows = csv.DictReader(iter(lines))
    found = False
    try:
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        for row in _rows(rows, venue, instrument):
            found = True
            yield row
    except (ValueError, csv.Error) as error:
        where = f", line {rows.line_num}" if rows.line_num > 1 else ""
        raise ValueError(f"{name}{where}: {error}") from None
    if not found:
        raise ValueError(f"{name}: no row of venue {venue!r}")


def _rows(rows: Iterable[dict[str, str]], venue: str, instrument: Instrument) -> Iterator[Recorded]:
    start: int | None = None
    latest = 0
    wanted = venue
    for row in rows:
        at = whole(row["recv_ns"], "recv_ns", latest)
        start, latest = at if start is None else start, at
        if at - start > TIME_MAX_NS:
            raise NumberRefused("recv_ns", at, f"at most {TIME_MAX_NS} after the first")
        wanted = wanted or row["venue"]
        if row["venue"] == wanted:
            convert = _top if row["kind"] == "bbo" else _trade
            yield convert(row, at - start, instrument)
        elif not venue:
            raise ValueError("several venues; name one as path#venue")


class RecordedFeed:
    """Replays a recording into one instrument from the present time on."""

    __slots__ = ("_index", "_rows", "_scheduler", "_start", "_venue", "idle_actions")

    def __init__(
        self,
        venue: SimVenue,
        instrument: Instrument,
        rows: Iterator[Recorded],
        scheduler: Scheduler,
    ) -> None:
        self._venue = venue
        self._index = instrument.index
        self._rows = rows
        self._scheduler = scheduler
        self._start = scheduler.now
        #: Scheduled actions that must not keep a run alive.
        self.idle_actions = 0

    def start(self) -> None:
        """Begin: the first row of the file is now."""
        self._start = self._scheduler.now
        self._schedule()

    def _schedule(self) -> None:
        row = next(self._rows, None)
        if row is not None:
            self.idle_actions += 1
            self._scheduler.at(self._start + row.offset_ns, MARKET, self._play, row)

    def _play(self, row: Recorded) -> None:
        self.idle_actions -= 1
        if isinstance(row, RecordedTop):
            self._venue.set_book(self._index, row.bid, row.bid_qty, row.ask, row.ask_qty)
        elif row.qty:
            self._venue.trade(self._index, row.side, row.price, row.qty)
        self._schedule()
