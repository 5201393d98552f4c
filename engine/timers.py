"""One heap of timers for all machines; it orders, it does not wait.

A disarmed or re-armed timer stays in the heap and is skipped when it comes up: whether it is still
wanted is the machine's knowledge.
"""

from heapq import heappop, heappush

from machines.core import Core
from machines.messages import TimerFired

NEVER = 1 << 63


class Timers:
    """Armed timers by due time, ties in order of arming."""

    __slots__ = ("_count", "_new", "earliest", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int, str]] = []
        self._count = 0
        self._new: list[tuple[int, int, int, str]] = []
        #: Due time of the earliest timer not taken in yet.
        self.earliest = NEVER

    def arm(self, machine: int, tag: str, due: int) -> None:
        """Remember that `machine` wants to be woken at `due`; `take_in` makes it count."""
        self._count += 1
        self._new.append((due, self._count, machine, tag))
        if due < self.earliest:
            self.earliest = due

    def take_in(self, core: Core) -> None:
        """Put new timers into the heap, without those that were disarmed meanwhile.

        Called before time goes on or is asked for: most timers guard an answer that comes at once.
        """
        new = self._new
        if new:
            for entry in new:
                due, _, machine, tag = entry
                if core.is_due(machine, tag, due):
                    heappush(self.heap, entry)
            new.clear()
            self.earliest = NEVER

    def restore(self, core: Core, now: int) -> None:
        """Arm every timer the machines hold; those overdue come up at once."""
        self.heap.clear()
        for machine, tag, due in sorted(core.timers(), key=lambda timer: (timer[2], timer[0])):
            self.arm(machine, tag, due)

    def next_due(self, core: Core) -> int | None:
        """When the next timer that is still wanted comes up; None if there is none."""
        self.take_in(core)
        heap = self.heap
        while heap:
            due, _, machine, tag = heap[0]
            if core.is_due(machine, tag, due):
                return due
            heappop(heap)
        return None

    def fire_due(self, core: Core, now: int) -> list[TimerFired]:
        """Take all timers due by `now`, in order; stale ones are dropped."""
        fired = []
        self.take_in(core)
        heap = self.heap
        while heap and heap[0][0] <= now:
            due, _, machine, tag = heappop(heap)
            if core.is_due(machine, tag, due):
                fired.append(TimerFired(now, machine, tag, due))
        return fired
