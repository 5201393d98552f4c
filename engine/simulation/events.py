"""Entries of a timeline that wait for an event of the engine instead of the clock (`after`).

It counts what happens and schedules; it must not carry out an action itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from engine.simulation.actions import Action, After, Entry
from engine.simulation.kernel import Kernel
from machines.messages import Cancel, Command, Place
from machines.table import Transition
from venues.port import MARKET

#: What an order has done when it enters a state.
_OF_ORDER = {"live": "order_live", "filled": "filled", "cancelled": "cancel_acked"}


class Events:
    """The waiting entries of one timeline; `perform` gets an action when its time has come."""

    __slots__ = ("_counts", "_kernel", "_perform", "_waiting")

    def __init__(
        self, timeline: Iterable[Entry], kernel: Kernel, perform: Callable[[Action], None]
    ) -> None:
        self._kernel = kernel
        self._perform = perform
        self._waiting = [(each.after, each.action) for each in timeline if each.after is not None]
        self._counts: Counter[int] = Counter()

    def moved(self, transition: Transition) -> None:
        """A machine took a row."""
        if not self._waiting or transition.source == transition.dest:
            return
        machine, identity, dest = transition.machine, transition.id, transition.dest
        key = identity.rpartition("#")[0]
        if machine == "order" and dest in _OF_ORDER:
            self._happened(_OF_ORDER[dest], key, "", "")
        self._happened("state", key or identity, machine, dest)

    def sent(self, command: Command, key: str) -> None:
        """A command for the instrument `key` left the engine."""
        if isinstance(command, Place):
            self._happened("order_sent", key, "", "")
        elif isinstance(command, Cancel):
            self._happened("cancel_sent", key, "", "")

    def _happened(self, event: str, key: str, machine: str, state: str) -> None:
        for number, (after, action) in enumerate(self._waiting):
            if not _concerns(after, event, key, machine, state):
                continue
            self._counts[number] += 1
            if self._counts[number] == after.nth:
                self._kernel.at(self._kernel.now + after.plus_ns, MARKET, self._perform, action)


def _concerns(after: After, event: str, key: str, machine: str, state: str) -> bool:
    return (
        after.event == event
        and after.instrument in (None, key)
        and after.machine in (None, machine, key)
        and after.state in (None, state)
    )
