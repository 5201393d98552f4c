"""Shows a run to whoever watches: a live table on a terminal, else one line per transition.

It renders in a thread, from values that no longer change, so that a slow terminal stops nobody. It
must not read machines (except through a snapshot) nor hold anything back at the end of a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import anyio
import anyio.to_thread
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from engine.pairs_table import STYLES, headline, pairs_table
from engine.snapshot import Snapshot
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
            console=console, auto_refresh=False, vertical_overflow="ellipsis", redirect_stderr=False
        )

    def trace(self, transitions: list[Transition]) -> None:
        """Take the transitions of one step."""
        for each in transitions:
            if _moves(each):
                text = self._stamped(each.at)
                text.append(printable(each.id), "bold")
                text.append(f" {each.source} → ")
                text.append(each.dest, STYLES.get(each.dest, ""))
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
        head, table = headline(snapshot), pairs_table(snapshot, width)
        used = 2 + sum(max(len(pair.legs), 2) for pair in snapshot.pairs)
        used += len(head.wrap(self._console, width))
        room = max(height - used - 2, 2)
        shown = alarms[-min(len(alarms), max(room // 2, 1)) :] if alarms else []
        latest = news[-max(room - len(shown), 1) :]
        parts: list[RenderableType] = [head, table, *latest, *shown]
        self._live.update(Group(*parts), refresh=True)
