"""All pairs as a table for people, and the line above it, in whatever width there is.

A size, what is naked and what stops the engine are never cut: columns of less use give way to them,
and where even that is not enough they go on in the next line. It must not read machines, only a
snapshot of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from engine.snapshot import CloseView, LegView, Snapshot
from engine.texts import printable

#: From this width on, the table has columns for the reason and the last transition.
WIDE = 130

STYLES = {
    "passive_limit": "cyan",
    "aggressive_limit": "yellow",
    "market": "magenta",
    "reconciling": "blue",
    "reconciled": "green",
    "done": "green",
    "dust": "green",
    "flat": "green",
    "live": "green",
    "stuck": "bold red",
    "frozen": "bold red",
    "quarantined": "bold red",
    "doubtful": "red",
    "backoff": "red",
    "waiting": "yellow",
}
_SHORT = {"passive_limit": "passive", "aggressive_limit": "aggressive"}


def headline(snapshot: Snapshot) -> Text:
    """What stops the process, its venues and times; in one line where there is room."""
    text = Text("unwind", "bold", overflow="fold")
    if snapshot.halted:
        text.append("  HALTED", "bold red")
    if snapshot.stopping:
        text.append("  stopping", "bold yellow")
    text.append(f"  {snapshot.uptime_s} s", "not bold")
    for session in snapshot.sessions:
        text.append(f"  {printable(session.venue)} ", "not bold")
        text.append(session.state, f"not bold {STYLES.get(session.state, '')}")
        if session.lane:
            text.append(f" {session.lane}", "bold red")
    text.append(f"  {snapshot.records} records", "not bold dim")
    return text


# ---------------------------------------------------------------- cells


def _name(pair: CloseView) -> Text:
    return _plain(pair.pair)


def _state(pair: CloseView) -> Text:
    text = Text(_SHORT.get(pair.state, pair.state), STYLES.get(pair.state, "dim"))
    text.append(f"\n{pair.outcome or pair.urgency}", "green" if pair.outcome else "dim")
    return text


def _why(pair: CloseView) -> Text:
    return _plain(pair.reason).append(f"\n{pair.urgency}", "dim")


def _venues(pair: CloseView) -> Text:
    return _lines([_plain(leg.instrument.partition(":")[0]) for leg in pair.legs])


def _legs(pair: CloseView) -> Text:
    return _lines([_leg_state(leg) for leg in pair.legs])


def _sizes(pair: CloseView) -> Text:
    return _lines([Text(f"{leg.filled:f}/{leg.remaining:f}") for leg in pair.legs])


def _naked(pair: CloseView) -> Text:
    text = Text(f"{pair.naked:f}" if pair.naked else "")
    if pair.naked:
        text.append(f"\n{pair.naked_s} s", "yellow")
    return text


def _due(pair: CloseView) -> Text:
    return Text(f"{pair.deadline_s} s" if pair.deadline_s is not None else "", "dim")


def _last(pair: CloseView) -> Text:
    source, _, reason = pair.last.partition(": ")
    return Text(source).append(f"\n{reason}", "dim")


def _leg_state(leg: LegView) -> Text:
    text = Text(_SHORT.get(leg.state, leg.state), STYLES.get(leg.state, "dim"))
    if leg.waits_for:
        text.append(f" {leg.waits_for}", "dim")
    return text


def _plain(text: str, style: str = "") -> Text:
    """A text of others, which neither ends a line nor steers the terminal."""
    return Text(printable(text), style)


def _lines(parts: Sequence[Text]) -> Text:
    return Text("\n").join(parts)


def _flat(pair: CloseView) -> Text:
    return bar(pair.progress, 7)


def _flat_broad(pair: CloseView) -> Text:
    return bar(pair.progress, 12)


def bar(share: Decimal, width: int) -> Text:
    """Progress towards flat as a bar with the percentage below."""
    full = int(share * width)
    text = Text("━" * full, "green")
    text.append("━" * (width - full), "bright_black")
    text.append(f"\n{share * 100:.0f} %", "dim")
    return text


# ---------------------------------------------------------------- columns


class _Column(NamedTuple):
    """One column, of at least `least` cells.

    What is too long for `most` goes on in the next line; one that `gives_way` is cut down to
    `least` instead, with three dots.
    """

    name: str
    cell: Callable[[CloseView], Text]
    least: int
    most: int = 1000
    gives_way: bool = False
    right: bool = False


_PAIR = _Column("pair", _name, 6, most=20)
_WHY = _Column("why", _why, 12)
_STATE = _Column("state", _state, 11)
_VENUE = _Column("venue", _venues, 7)
_LEG = _Column("leg", _legs, 11, gives_way=True)
_FILLED = _Column("filled/left", _sizes, 14, right=True)
_NAKED = _Column("naked", _naked, 7, right=True)
_DUE = _Column("due", _due, 5, right=True)
_FLAT = _Column("flat", _flat, 7)
_FLAT_BROAD = _Column("flat", _flat_broad, 12)
_LAST = _Column("last", _last, 20, gives_way=True)

_NARROW = (_PAIR, _STATE, _VENUE, _LEG, _FILLED, _NAKED, _DUE, _FLAT)
_BROAD = (_PAIR, _WHY, _STATE, _VENUE, _LEG, _FILLED, _NAKED, _DUE, _FLAT_BROAD, _LAST)
#: What is left out where there is no room, in this order.
_LEAST_USE = (_LAST, _WHY, _FLAT_BROAD, _FLAT, _DUE, _VENUE, _LEG)


def pairs_table(snapshot: Snapshot, width: int) -> Table:
    """All pairs, two lines each, in `width` cells; a wide one says why and what happened last."""
    columns = [*(_BROAD if width >= WIDE else _NARROW)]
    needs = {each: _width(each, snapshot.pairs) for each in columns}
    for column in _LEAST_USE:
        if _least(columns, needs) <= width:
            break
        if column in columns:
            columns.remove(column)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", expand=False)
    room = width - _least(columns, needs)
    for column in columns:
        cells = None
        if room >= 0:
            cells = min(column.least, needs[column]) if column.gives_way else needs[column]
            more = min(needs[column] - cells, room)
            cells, room = cells + more, room - more
        table.add_column(
            column.name,
            style="bold" if column is _PAIR else "",
            justify="right" if column.right else "left",
            no_wrap=column.gives_way,
            overflow="ellipsis" if column.gives_way else "fold",
            width=cells,
        )
    for pair in snapshot.pairs:
        table.add_row(*(column.cell(pair) for column in columns))
    return table


def _width(column: _Column, pairs: Sequence[CloseView]) -> int:
    """The cells that a column needs to show everything."""
    texts = [line for pair in pairs for line in column.cell(pair).plain.split("\n")]
    return min(
        max(cell_len(text) for text in [column.name, *texts, " " * column.least]), column.most
    )


def _least(columns: Sequence[_Column], needs: dict[_Column, int]) -> int:
    """The cells that columns take at least, with one between two of them."""
    return sum(1 + (each.least if each.gives_way else needs[each]) for each in columns)


def status_parts(snapshot: Snapshot, width: int) -> list[Table | Text]:
    """What `unwind status` prints: the table, then alarms and dust in plain words."""
    parts: list[Table | Text] = [headline(snapshot), pairs_table(snapshot, width)]
    for pair in snapshot.pairs:
        if pair.last:
            parts.append(_plain(f"{pair.pair}: {pair.last}", "dim"))
        parts += [_plain(f"{pair.pair}: alarm {text}", "red") for text in pair.alarms]
        parts += [_plain(f"{pair.pair}: dust {key} {qty:f}") for key, qty in pair.dust.items()]
    parts += [_plain(f"alarm {text}", "red") for text in snapshot.alarms]
    return parts
