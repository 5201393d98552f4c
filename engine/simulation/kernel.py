"""Virtual time: one heap of actions in order of time, lane and insertion.

It knows nothing of venues or engines. An action may schedule only now or later; at one instant the
lanes give the order of work (`venues.port`). There is no event loop and no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol

from venues.port import DELIVER

if TYPE_CHECKING:
    from engine.dispatcher import Dispatcher


class Kernel:
    """A scheduler of virtual nanoseconds; implements `venues.port.Scheduler`."""

    __slots__ = ("_count", "heap", "now")

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self.heap: list[tuple[int, int, int, Callable[[Any], None], Any]] = []
        self._count = 0

    def at(self, due: int, lane: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call `action(argument)` at `due`; a time before now means now."""
        self._count += 1
        now = self.now
        heappush(self.heap, (due if due > now else now, lane, self._count, action, argument))

    def next_time(self) -> int | None:
        """Time of the earliest pending action."""
        return self.heap[0][0] if self.heap else None

    def run_one(self) -> None:
        """Run the earliest pending action."""
        _, _, _, action, argument = heappop(self.heap)
        action(argument)


class Host(Protocol):
    """Who owns the engine's process: it may end, sleep or be replaced at any moment."""

    @property
    def dispatcher(self) -> Dispatcher | None:
        """The engine, or None while its process is down."""

    def turn(self, dispatcher: Dispatcher) -> None:
        """Let the engine drain its inbox, make the batch durable and release it."""


def settle(kernel: Kernel, host: Host) -> None:
    """Do everything that is due now, in the order of work of one instant (venues.md 5.1).

    Facts due to the engine and all its timers come first, and again after every zero-latency
    consequence; then one action of the later lanes at a time.
    """
    heap = kernel.heap
    while True:
        dispatcher = host.dispatcher
        if dispatcher is not None and dispatcher.inbox:
            host.turn(dispatcher)
            continue
        now = kernel.now
        due = heap and heap[0][0] <= now
        if (
            dispatcher is not None
            and dispatcher.timers.earliest <= now
            and not (due and heap[0][1] == DELIVER)
        ):
            dispatcher.inbox.extend(dispatcher.timers.fire_due(dispatcher.core, now))
            if dispatcher.inbox:
                continue
        if not due:
            return
        kernel.run_one()
