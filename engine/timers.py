"""One heap of timers for all machines; it orders, it does not wait.

A disarmed or re-armed timer stays in the heap and is skipped when it comes up: whether it is still
wanted is the machine's knowledge.
"""

from heapq import heappop, heappush

from machines.core import Core
from machines.messages import Arm, TimerFired

NEVER = 1 << 63


class Timers:
    """Armed timers by due time, ties in order of arming."""

    __slots__ = ("_count", "_heap", "_new", "earliest")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, str]] = []
        self._count = 0
        self._new: list[Arm] = []
        #: No timer, wanted or stale, is due before this time.
        self.earliest = NEVER

    def arm(self, timer: Arm) -> None:
        """Remember that a machine wants to be woken.

        The heap takes it in when the earliest timer may be due: most timers guard an answer that
        comes soon, and are disarmed by then.
        """
        self._new.append(timer)
        if timer.due < self.earliest:
            self.earliest = timer.due

    def _take_in(self, core: Core) -> None:
        """Put new timers into the heap, without those that were disarmed meanwhile."""
        count = self._count
        for timer in self._new:
            if core.is_due(timer.machine, timer.tag, timer.due):
                count += 1
                heappush(self._heap, (timer.due, count, timer.machine, timer.tag))
        self._count = count
        self._new.clear()

    def restore(self, core: Core, now: int) -> None:
        """Arm every timer the machines hold; those overdue come up at once."""
        self._heap.clear()
        for machine, tag, due in sorted(core.timers(), key=lambda timer: (timer[2], timer[0])):
            self.arm(Arm(machine, tag, due))

    def next_due(self, core: Core) -> int | None:
        """When the next timer that is still wanted comes up; None if there is none."""
        self._take_in(core)
        heap = self._heap
        while heap:
            due, _, machine, tag = heap[0]
            if core.is_due(machine, tag, due):
                self.earliest = due
                return due
            heappop(heap)
        self.earliest = NEVER
        return None

    def fire_due(self, core: Core, now: int) -> list[TimerFired]:
        """Take all timers due by `now`, in order; stale ones are dropped."""
        fired = []
        self._take_in(core)
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, machine, tag = heappop(heap)
            if core.is_due(machine, tag, due):
                fired.append(TimerFired(now, machine, tag, due))
        self.earliest = heap[0][0] if heap else NEVER
        return fired
