"""What a person must not overlook is shown whole in every width, or goes on in the next line."""

import io
from decimal import Decimal
from itertools import pairwise

import pytest
from rich.console import Console, Group

from engine.board import make_board
from engine.pairs_table import headline, status_parts
from engine.snapshot import CloseView, LegView, SessionView, Snapshot
from machines.types import NS

#: Digits that stand nowhere else in the picture, by what they are.
NAKED, FILLED, LEFT = Decimal("777777.777"), Decimal("4444444"), Decimal("9999999.99")


def leg(instrument: str, waits_for: str = "") -> LegView:
    return LegView(instrument, "aggressive_limit", "aggressive", FILLED, LEFT, waits_for, None)


def pair(name: str) -> CloseView:
    return CloseView(
        pair=name,
        state="quarantined",
        outcome="",
        reason="TAKE_PROFIT",
        urgency="immediate",
        legs=[leg("hyperliquid:BTC", "a book that is not too old"), leg("backpack:BTC")],
        naked=NAKED,
        naked_s=Decimal("1.5"),
        naked_max=NAKED,
        deadline_s=Decimal("60.0"),
        progress=Decimal("0.5"),
        last="leg hyperliquid:BTC passive_limit > aggressive_limit: its time is over",
        alarms=[],
        dust={},
    )


def snapshot(*names: str) -> Snapshot:
    sessions = [SessionView("hyperliquid", "stale", "online"), SessionView("backpack", "live", "")]
    sessions[1].lane = "banned"
    pairs = [pair(name) for name in names]
    return Snapshot(Decimal("1000.5"), 1, 123, True, True, sessions, pairs, [])


def shown(picture: Snapshot, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(Group(*status_parts(picture, width)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [*range(20, 60, 4), *range(60, 140, 3)])
def test_no_size_nothing_naked_and_no_halt_is_cut_in_any_width(width: int) -> None:
    text = shown(snapshot("btc"), width)
    assert max(map(len, text.splitlines())) <= width
    assert "HALTED" in text
    assert "stopping" in text
    assert "".join(text.split()).count("banned") == 1
    assert [text.count(digit) for digit in "749"] == [9, 2 * 7, 2 * 9]
    if width >= 55:
        assert str(NAKED) in text
        assert text.count(f"{FILLED}/{LEFT}") == 2


def test_columns_of_less_use_give_way_first() -> None:
    seen = []
    for width in (60, 80, 90, 100, 140):
        heads = [line for line in shown(snapshot("btc"), width).splitlines() if line[:4] == "pair"]
        assert len(heads) == 1
        seen.append(set(heads[0].split()))
    assert {"naked", "filled/left"} <= seen[0]
    assert all(fewer <= more for fewer, more in pairwise(seen))
    assert "flat" not in seen[1]
    assert seen[-1] >= {"why", "flat", "due", "venue", "leg"}


def test_a_long_name_goes_on_in_the_next_line_and_takes_no_column_away() -> None:
    name = "a-pair-with-a-name-of-many-letters-that-nobody-would-choose"
    text = shown(snapshot("btc", name), 100)
    assert str(NAKED) in text
    assert "venue" in text
    firsts = "".join(line[:20].strip() for line in text.splitlines() if line[:1].strip())
    assert name in firsts


def test_what_stops_the_engine_comes_before_what_it_is_connected_to() -> None:
    assert headline(snapshot("btc")).plain.startswith("unwind  HALTED  stopping  1000.5 s")


def test_a_table_that_is_longer_than_the_terminal_says_so() -> None:
    console = Console(width=80, height=12, file=io.StringIO(), force_terminal=True)
    board = make_board(
        console, lambda: snapshot(*(f"pair{number}" for number in range(9))), lambda: NS
    )
    board.finish()
    assert isinstance(console.file, io.StringIO)
    # What is drawn while it runs; the last picture may be as long as it is.
    assert "..." in console.file.getvalue()
