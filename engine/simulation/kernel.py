"""Virtual time: one heap of actions in order of time, lane and insertion.

It knows nothing of venues or engines. An action may schedule only now or later; at one instant the
lanes give the order of work (`venues.port`). There is no event loop and no thread.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Kernel:
    """A scheduler of virtual nanoseconds; implements `venues.port.Scheduler`.

    `idle_actions` counts those pending actions of the world that must not keep a run alive.
    """

    __slots__ = ("_count", "heap", "idle_actions", "now")

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self.heap: list[tuple[int, int, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self.idle_actions = 0

    def at(self, due: int, lane: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call `action(argument)` at `due`; a time before now means now."""
        self._count += 1
        now = self.now
        heappush(self.heap, (due if due > now else now, lane, self._count, action, argument))

    def next_time(self) -> int | None:
        """Time of the earliest pending action."""
        return self.heap[0][0] if self.heap else None

    def next_lane(self) -> int | None:
        """Lane of the earliest pending action if it is due now."""
        if self.heap and self.heap[0][0] <= self.now:
            return self.heap[0][1]
        return None

    def run_one(self) -> None:
        """Run the earliest pending action."""
        _, _, _, action, argument = heappop(self.heap)
        action(argument)
