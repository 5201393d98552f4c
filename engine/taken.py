"""How often rows were taken and how long states were held, counted from transitions.

Counts only; it must not judge a run, nor look inside a machine. Live, simulated and replayed
transitions are the same, so it does not matter where they come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from machines.table import Transition

#: Times taken, by machine and row number of its expanded table.
Rows = Counter[tuple[str, int]]
#: Spans in nanoseconds, by machine and state.
Stays = dict[tuple[str, str], list[int]]


class Taken:
    """Rows taken and spans of time in states.

    A stay counts when it ends, and only where its begin was seen: neither the first one of a
    machine does, nor that of one which took the name of another.
    """

    def __init__(self) -> None:
        self.rows: Rows = Counter()
        self.stays: Stays = {}
        self._since: dict[tuple[str, str], tuple[str, int]] = {}

    def take(self, trace: Iterable[Transition]) -> None:
        """Count the transitions of one step."""
        rows, since = self.rows, self._since
        for at, machine, identity, _, source, dest, row in trace:
            rows[machine, row] += 1
            if source == dest:
                continue
            state, entered = since.get((machine, identity), ("", 0))
            if state == source:
                self.stays.setdefault((machine, source), []).append(at - entered)
            since[machine, identity] = (dest, at)

    def add(self, other: Taken) -> None:
        """Add what another run took."""
        self.rows.update(other.rows)
        for state, spans in other.stays.items():
            self.stays.setdefault(state, []).extend(spans)
