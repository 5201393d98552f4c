"""Decides which requests and frames a scripted answer or a fault applies to.

Events are named as in scenario files (`create`, `cancel`, `query`, ...) and counted from the start
of the run, so that `nth` means the same whenever a rule is added. This module must not know what a
rule does to the event.
"""

from collections.abc import Sequence

from venues.sim.draws import Draws

#: Requests that a command makes; a truth read makes positions, open_orders and fills, in order.
REQUESTS = (
    "create",
    "cancel",
    "replace",
    "batch",
    "query",
    "fills",
    "open_orders",
    "positions",
    "time",
    "rules",
)
FRAMES = ("book", "user")
SHORT = {"stream": FRAMES, "snapshot": ("positions", "open_orders")}
ON = (*REQUESTS, *FRAMES, *SHORT, "any")

ALL = -1


def expand(on: str, scope: str = "R") -> tuple[str, ...]:
    """Return the events that a value of `on` names; `any` are all of the scope (R, else S)."""
    if on == "any":
        return REQUESTS if scope == "R" else FRAMES
    if on in SHORT:
        return SHORT[on]
    if on not in ON:
        raise ValueError(f"on: {on!r} is unknown; allowed: {', '.join(ON)}")
    return (on,)


class Counters:
    """How often each event has occurred, in all and per instrument."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}

    def count(self, on: str, instrument: int) -> None:
        """Count one event; `instrument` is -1 for one that concerns them all."""
        counts = self._counts
        counts[on, ALL] = counts.get((on, ALL), 0) + 1
        if instrument != ALL:
            counts[on, instrument] = counts.get((on, instrument), 0) + 1

    def of(self, on: tuple[str, ...], instrument: int | None) -> int:
        """Return the number of events so far that match."""
        key = ALL if instrument is None else instrument
        return sum(self._counts.get((name, key), 0) for name in on)


class Selector:
    """The selection keys of one rule.

    Without `nth`, `until` and `chance` it matches the next event only; `count` 0 means no limit.
    With `until` (end of its `for_s`, exclusive) or `chance` alone there is none either. One `nth`
    with a `count` means that many in a row.
    """

    __slots__ = ("chance", "instrument", "left", "nth", "on", "until")

    def __init__(
        self,
        on: tuple[str, ...],
        instrument: int | None = None,
        nth: int | tuple[int, ...] | None = None,
        count: int | None = None,
        until: int | None = None,
        chance: tuple[int, int] | None = None,
    ) -> None:
        self.on = on
        self.instrument = instrument
        self.until = until
        self.chance = chance
        self.left: int | None
        if isinstance(nth, tuple) and len(nth) == 1:
            nth = nth[0]
        self.nth: Sequence[int] | None = (
            range(nth, nth + max(count or 1, 1)) if isinstance(nth, int) else nth
        )
        if nth is not None or count == 0:
            self.left = None
        elif count is None:
            self.left = None if until is not None or chance is not None else 1
        else:
            self.left = count

    def spent(self, now: int) -> bool:
        """Return whether it can never match again."""
        return self.left == 0 or (self.until is not None and now >= self.until)

    def concerns(self, on: str, instrument: int) -> bool:
        """Return whether the event is of its kind; one for all instruments concerns each."""
        return on in self.on and (self.instrument is None or instrument in (ALL, self.instrument))

    def takes(
        self, on: str, instrument: int, now: int, counters: Counters, draws: Draws | None
    ) -> bool:
        """Return whether the rule applies to the event that was just counted, and note its use."""
        if self.spent(now) or not self.concerns(on, instrument):
            return False
        if self.nth is not None and counters.of(self.on, self.instrument) not in self.nth:
            return False
        if self.chance is not None:
            assert draws is not None
            if not draws.chance(*self.chance):
                return False
        if self.left is not None:
            self.left -= 1
        return True
