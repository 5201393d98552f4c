"""Shows a run to whoever watches: a live table on a terminal, else one line per transition.

It renders in a thread, from values that no longer change, so that a slow terminal stops nobody. It
must not read machines (except through a snapshot) nor hold anything back at the end of a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple, Protocol

import anyio
import anyio.to_thread
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.snapshot import CloseView, LegView, Snapshot
from engine.texts import printable
from engine.words import why
from machines.messages import Alarm
from machines.table import Transition
from machines.types import NS

#: Lines a second, and lines that may wait; more are counted instead of shown.
LINES_PER_S = 50
LINES_MAX = 2000
_TICK_S = 0.1
_REFRESH_S = 0.25
_LATEST_MAX = 12
#: From this width on, the table has columns for the reason and the last transition.
WIDE = 130

_STYLES = {
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
_SHOWN = frozenset({"leg", "close", "session"})


class Board(Protocol):
    """Where a run is shown. The first three calls only take note and return at once."""

    def trace(self, transitions: list[Transition]) -> None:
        """Take the transitions of one step."""

    def alarm(self, alarm: Alarm) -> None:
        """Take an alarm."""

    def say(self, text: str) -> None:
        """Take a sentence for the person who watches."""

    async def run(self) -> None:
        """Show what comes, without end. Cancelled, it leaves the rest to `finish`."""

    def finish(self) -> None:
        """Show all that is left. Blocks."""


def make_board(
    console: Console, snapshot: Callable[[], Snapshot], clock: Callable[[], int]
) -> Board:
    """The board that suits an output: the live table for a terminal, lines for anything else."""
    if console.is_terminal and not console.is_dumb_terminal:
        return TableBoard(console, snapshot, clock)
    return LineBoard(console, clock)


def _moves(transition: Transition) -> bool:
    return transition.source != transition.dest and transition.machine in _SHOWN


# ---------------------------------------------------------------- lines


class LineBoard:
    """One line per change of state of a leg, close or session, and per alarm."""

    def __init__(self, console: Console, clock: Callable[[], int]) -> None:
        self._console = console
        self._clock = clock
        self._start = clock()
        self._lines: deque[str] = deque()
        self._lost = 0

    def trace(self, transitions: list[Transition]) -> None:
        """Take the transitions of one step."""
        for each in transitions:
            if _moves(each):
                source, dest = each.source, each.dest
                self._add(each.at, f"{each.machine} {each.id} {source} > {dest}: {why(each)}")

    def alarm(self, alarm: Alarm) -> None:
        """Take an alarm."""
        self._add(self._clock(), f"ALARM {alarm.kind} {alarm.machine}: {alarm.text}")

    def say(self, text: str) -> None:
        """Take a sentence for the person who watches."""
        self._add(self._clock(), text)

    def _add(self, at: int, text: str) -> None:
        if len(self._lines) >= LINES_MAX:
            self._lost += 1
            return
        self._lines.append(f"{max(at - self._start, 0) / NS:8.3f} {printable(text)}\n")

    async def run(self) -> None:
        """Write at most 50 lines a second, without end. Cancelled, it leaves the rest."""
        while True:
            await anyio.sleep(_TICK_S)
            if self._lines:
                count = min(len(self._lines), int(LINES_PER_S * _TICK_S))
                text = "".join(self._lines.popleft() for _ in range(count))
                await anyio.to_thread.run_sync(self._write, text)

    def finish(self) -> None:
        """Write all that is left. Blocks."""
        rest = "".join(self._lines)
        self._lines.clear()
        if self._lost:
            rest += f"         {self._lost} more lines are in the journal only\n"
        self._write(rest)

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


# ---------------------------------------------------------------- the table


class TableBoard:
    """A table of all pairs that is drawn again four times a second, the latest news below it."""

    def __init__(
        self, console: Console, snapshot: Callable[[], Snapshot], clock: Callable[[], int]
    ) -> None:
        self._console = console
        self._snapshot = snapshot
        self._clock = clock
        self._start = clock()
        self._news: deque[Text] = deque(maxlen=_LATEST_MAX)
        self._alarms: deque[Text] = deque(maxlen=_LATEST_MAX)
        self._live = Live(
            console=console, auto_refresh=False, vertical_overflow="crop", redirect_stderr=False
        )

    def trace(self, transitions: list[Transition]) -> None:
        """Take the transitions of one step."""
        for each in transitions:
            if _moves(each):
                text = self._stamped(each.at)
                text.append(printable(each.id), "bold")
                text.append(f" {each.source} → ")
                text.append(each.dest, _STYLES.get(each.dest, ""))
                text.append(f"  {why(each)}", "dim")
                self._news.append(text)

    def alarm(self, alarm: Alarm) -> None:
        """Take an alarm."""
        text = self._stamped(self._clock())
        text.append(f"{alarm.kind} ", "bold red")
        text.append(printable(f"{alarm.machine}: {alarm.text}"))
        self._alarms.append(text)

    def say(self, text: str) -> None:
        """Take a sentence for the person who watches."""
        stamped = self._stamped(self._clock())
        stamped.append(printable(text), "bold")
        self._news.append(stamped)

    def _stamped(self, at: int) -> Text:
        return Text(
            f"{max(at - self._start, 0) / NS:6.1f} ", "dim", no_wrap=True, overflow="ellipsis"
        )

    async def run(self) -> None:
        """Draw without end. Cancelled, it leaves the last picture to `finish`."""
        await anyio.to_thread.run_sync(self._live.start)
        while True:
            await self._draw_in_thread()
            await anyio.sleep(_REFRESH_S)

    async def _draw_in_thread(self) -> None:
        # Shielded: a picture that was begun would go on in its thread and meet the last one.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(
                self._draw, self._snapshot(), list(self._news), list(self._alarms)
            )

    def finish(self) -> None:
        """Draw the last picture and leave it on the screen. Blocks."""
        self._live.start()
        self._draw(self._snapshot(), list(self._news), list(self._alarms))
        self._live.stop()

    def _draw(self, snapshot: Snapshot, news: list[Text], alarms: list[Text]) -> None:
        width, height = self._console.size
        table = pairs_table(snapshot, width)
        used = 3 + sum(max(len(pair.legs), 2) for pair in snapshot.pairs)
        room = max(height - used - 2, 2)
        shown = alarms[-min(len(alarms), max(room // 2, 1)) :] if alarms else []
        latest = news[-max(room - len(shown), 1) :]
        parts: list[RenderableType] = [headline(snapshot), table, *latest, *shown]
        self._live.update(Group(*parts), refresh=True)


def headline(snapshot: Snapshot) -> Text:
    """Flags of the process, time and venues in one line; what a narrow terminal cuts comes last."""
    text = Text("unwind", "bold", no_wrap=True, overflow="ellipsis")
    if snapshot.halted:
        text.append("  HALTED", "bold red")
    if snapshot.stopping:
        text.append("  stopping", "bold yellow")
    text.append(f"  {snapshot.uptime_s} s", "not bold")
    for session in snapshot.sessions:
        text.append(f"  {printable(session.venue)} ", "not bold")
        text.append(session.state, f"not bold {_STYLES.get(session.state, '')}")
        if session.lane:
            text.append(f" {session.lane}", "bold red")
    text.append(f"  {snapshot.records} records", "not bold dim")
    return text


class Column(NamedTuple):
    """One column of the table: its least width, and how it is laid out."""

    name: str
    min_width: int
    right: bool = False


#: What is shown of a pair; the wide table has `why` and `last` as well.
_COLUMNS = (
    Column("pair", 6), Column("why", 12), Column("state", 11), Column("venue", 7),
    Column("leg", 11), Column("filled/left", 14, right=True), Column("naked", 7, right=True),
    Column("due", 5, right=True), Column("flat", 7), Column("last", 0),
)  # fmt: skip
_WIDE_ONLY = ("why", "last")
#: What a narrow terminal does without, first to last; sizes and states are never cut.
_DROPPED = ("flat", "due", "venue", "leg")


def pairs_table(snapshot: Snapshot, width: int) -> Table:
    """All pairs, two lines each, within `width` columns; a wide one says why and what was last."""
    wide = width >= WIDE
    rows = [_cells(pair, wide=wide) for pair in snapshot.pairs]
    shown = [each for each in _COLUMNS if wide or each.name not in _WIDE_ONLY]
    for name in _DROPPED:
        if sum(_needed(each, rows) + 1 for each in shown if each.name != "last") <= width:
            break
        shown = [each for each in shown if each.name != name]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", expand=False)
    for column in shown:
        if column.name == "last":
            table.add_column("last", no_wrap=True, overflow="ellipsis", ratio=1)
            continue
        table.add_column(
            column.name,
            style="bold" if column.name == "pair" else "",
            justify="right" if column.right else "left",
            overflow="fold",
            min_width=min(_needed(column, rows), width),
        )
    for cells in rows:
        table.add_row(*(cells[each.name] for each in shown))
    return table


def _needed(column: Column, rows: list[dict[str, Text]]) -> int:
    """The width in which nothing of a column is cut."""
    lines = [line for cells in rows for line in cells[column.name].plain.split("\n")]
    return max(column.min_width, len(column.name), *map(cell_len, lines), 0)


def _cells(pair: CloseView, *, wide: bool) -> dict[str, Text]:
    """What is shown of one pair, by column."""
    state = Text(_SHORT.get(pair.state, pair.state), _STYLES.get(pair.state, "dim"))
    below = pair.outcome or pair.urgency
    state.append(f"\n{below}", "green" if pair.outcome else "dim")
    why_text = _plain(pair.reason)
    why_text.append(f"\n{pair.urgency}", "dim")
    naked = Text(f"{pair.naked:f}" if pair.naked else "")
    if pair.naked:
        naked.append(f"\n{pair.naked_s} s", "yellow")
    source, _, reason = pair.last.partition(": ")
    last = Text(source)
    last.append(f"\n{reason}", "dim")
    return {
        "pair": _plain(pair.pair),
        "why": why_text,
        "state": state,
        "venue": _lines(_plain(leg.instrument.partition(":")[0]) for leg in pair.legs),
        "leg": _lines(_leg_state(leg) for leg in pair.legs),
        "filled/left": _lines(Text(f"{leg.filled:f}/{leg.remaining:f}") for leg in pair.legs),
        "naked": naked,
        "due": Text(f"{pair.deadline_s} s" if pair.deadline_s is not None else "", "dim"),
        "flat": bar(pair.progress, 12 if wide else 7),
        "last": last,
    }


def _leg_state(leg: LegView) -> Text:
    text = Text(_SHORT.get(leg.state, leg.state), _STYLES.get(leg.state, "dim"))
    if leg.waits_for:
        text.append(f" {leg.waits_for}", "dim")
    return text


def _plain(text: str, style: str = "") -> Text:
    """A text of others, which neither ends a line nor steers the terminal."""
    return Text(printable(text), style)


def _lines(parts: object) -> Text:
    return Text("\n").join(parts)  # type: ignore[arg-type]


def bar(share: Decimal, width: int) -> Text:
    """Progress towards flat as a bar with the percentage below."""
    full = int(share * width)
    text = Text("━" * full, "green")
    text.append("━" * (width - full), "bright_black")
    text.append(f"\n{share * 100:.0f} %", "dim")
    return text


def _wrapping(text: Text) -> Text:
    """The same text, of which nothing is cut."""
    text.no_wrap, text.overflow = False, "fold"
    return text


def status_parts(snapshot: Snapshot, width: int) -> list[Table | Text]:
    """What `unwind status` prints: the same table, then alarms and dust in plain words."""
    parts: list[Table | Text] = [_wrapping(headline(snapshot)), pairs_table(snapshot, width)]
    for pair in snapshot.pairs:
        if pair.last:
            parts.append(_plain(f"{pair.pair}: {pair.last}", "dim"))
        parts += [_plain(f"{pair.pair}: alarm {text}", "red") for text in pair.alarms]
        parts += [_plain(f"{pair.pair}: dust {key} {qty:f}") for key, qty in pair.dust.items()]
    parts += [_plain(f"alarm {text}", "red") for text in snapshot.alarms]
    return parts
