"""The pulse of a running process: by it the process notices that it stood still.

A process may be stopped, its machine may sleep, its loop may hang. It must not decide what follows
from that; `Dispatcher.wake` does.
"""

from __future__ import annotations

from engine.clock import Clock
from machines.types import MS

#: The loop gives a sign at least that often, so a longer pause between two is one of the process.
BEAT_NS = 100 * MS


class Heartbeat:
    """The time of the newest sign of life of the loop."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: int | None = None

    def beat(self) -> int:
        """Give a sign of life; return how long it is since the one before (ns), 0 at the first."""
        now = self._clock.now()
        last, self._last = self._last, now
        return 0 if last is None else now - last
