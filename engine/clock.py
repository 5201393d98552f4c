"""Time of a live process: nanoseconds that never run backwards, and actions that wait for it.

The base is the wall clock, raised to what an earlier process has already recorded; from there it
follows a clock that only goes forward, also while the machine sleeps where the system has such a
clock, so that a corrected wall clock cannot reorder facts. This module must not know venues,
machines or the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

import anyio
import anyio.lowlevel

from machines.types import NS

#: Work done before the loop gets a turn (limits.md A1).
SLICE_ACTIONS = 64
SLICE_NS = 200_000


if hasattr(time, "CLOCK_BOOTTIME"):
    steady_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
else:
    steady_ns = partial(time.monotonic_ns)


class Clock:
    """The engine's time; `floor` is the newest time that an earlier process recorded."""

    __slots__ = ("_base", "_monotonic")

    def __init__(
        self,
        floor: int = 0,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = steady_ns,
    ) -> None:
        self._monotonic = monotonic
        self._base = max(wall(), floor + 1) - monotonic()

    def now(self) -> int:
        """Present time in nanoseconds, never before an earlier one."""
        return self._base + self._monotonic()


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

    def look_again(self) -> None:
        """Look at the clock now: the machine slept, and the loop did not notice."""
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
