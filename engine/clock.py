"""Time of a live process: nanoseconds that never run backwards, and actions that wait for it.

The base is the wall clock, raised to what an earlier process has already recorded; from there it
follows the monotonic clock, so that a corrected wall clock cannot reorder facts. This module must
not know venues, machines or the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import anyio
import anyio.lowlevel

from engine.dispatcher import WAKE_GAP_NS
from machines.types import NS

#: Work done before the loop gets a turn (limits.md A1).
SLICE_ACTIONS = 64
SLICE_NS = 200_000
#: How often the loop shows that it is awake.
BEAT_S = 0.25


class Clock:
    """The engine's time; `floor` is the newest time that an earlier process recorded."""

    __slots__ = ("_base", "_monotonic")

    def __init__(
        self,
        floor: int = 0,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._monotonic = monotonic
        self._base = max(wall(), floor + 1) - monotonic()

    def now(self) -> int:
        """Present time in nanoseconds, never before an earlier one."""
        return self._base + self._monotonic()


def _ticking() -> int:
    """Nanoseconds that go on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Pulse:
    """Notices that the process stood still: suspended, stopped, or kept from its loop.

    Whoever acts next has to ask first, and somebody has to ask every `BEAT_S` where nobody acts.
    """

    __slots__ = ("_last", "_ticking")

    def __init__(self, ticking: Callable[[], int] = _ticking) -> None:
        self._ticking = ticking
        self._last = ticking()

    def slept(self) -> int:
        """For how long nobody has asked, in ns, where that is a wake gap; else 0."""
        now = self._ticking()
        since, self._last = now - self._last, now
        return since if since > WAKE_GAP_NS else 0


class Wake:
    """A flag that one task waits for and that is down again once the task has been woken."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake the waiting task, or the next one to wait."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for `set`; cancelled, it leaves the flag as it is."""
        await self._event.wait()
        self._event = anyio.Event()

    async def wait_until(self, due: int | None, clock: Clock) -> None:
        """Wait for `set`, at the longest until `due` (ns); None waits without end."""
        if due is None:
            await self.wait()
            return
        with anyio.move_on_after(max(due - clock.now(), 0) / NS):
            await self.wait()


class LiveScheduler:
    """The loop's own time for the embedded venues; implements `venues.port.Scheduler`.

    Actions run in order of (due, lane, scheduling), as in simulation, only a little after they are
    due. `run` must be running.
    """

    __slots__ = ("_clock", "_count", "_heap", "_wake")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self._wake = Wake()

    @property
    def now(self) -> int:
        """Present time in nanoseconds."""
        return self._clock.now()

    def at(self, due: int, lane: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call `action(argument)` at `due`; a time before now means as soon as possible."""
        self._count += 1
        heappush(self._heap, (due, lane, self._count, action, argument))
        if self._heap[0][2] == self._count:
            self._wake.set()

    async def run(self) -> None:
        """Run actions as they come due, without end.

        Cancelled, it stops between two actions; those that wait are never run.
        """
        heap = self._heap
        while True:
            await self._wake.wait_until(heap[0][0] if heap else None, self._clock)
            while heap and heap[0][0] <= self._clock.now():
                self._run_slice()
                await anyio.lowlevel.checkpoint()

    def _run_slice(self) -> None:
        heap = self._heap
        now = self._clock.now
        end = now() + SLICE_NS
        for _ in range(SLICE_ACTIONS):
            _, _, _, action, argument = heappop(heap)
            action(argument)
            if not heap or heap[0][0] > now() or now() >= end:
                return
