"""The fault `crash`: where in the send protocol the process dies, and for how long.

Windows (simulation.md 9): w1 before the intent is durable, w2 durable but not sent, w3 sent and
unanswered, w4 answered but not journaled, w5 journaled but its commands not executed. It decides
when; the world kills.
"""

from __future__ import annotations

from engine.dispatcher import Batch
from engine.simulation.actions import Crash
from machines.messages import CallLost, FillReported, OrderRefused, OrderReported
from machines.types import MS
from venues.sim.draws import Draws

_ANSWERS = (OrderReported, OrderRefused, CallLost, FillReported)
DOWN_MS_MAX = 60_000


class _Armed:
    __slots__ = ("crash", "left", "seen", "until")

    def __init__(self, crash: Crash, now: int) -> None:
        self.crash = crash
        self.seen = 0
        self.until = None if crash.for_ns is None else now + crash.for_ns
        single = crash.for_ns is None and crash.probability is None
        default = len(crash.nth) if crash.nth else 1 if single else 0
        self.left = crash.count if crash.count is not None else default


class CrashPlan:
    """All armed crashes of a run."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.armed: list[_Armed] = []
        self.last: Crash | None = None

    def add(self, crash: Crash, now: int) -> None:
        """Arm one."""
        self.armed.append(_Armed(crash, now))

    def window_of(self, batch: Batch, now: int) -> str:
        """The window at which this batch's commit is to be hit; empty for none."""
        if not self.armed:
            return ""
        answered = any(isinstance(record.fact, _ANSWERS) for record in batch.records)
        for armed in self.armed:
            crash = armed.crash
            concerns = answered if crash.window == "w4" else batch.has_intent
            if not concerns or (armed.until is not None and now > armed.until):
                continue
            armed.seen += 1
            if crash.nth and armed.seen not in crash.nth:
                continue
            if crash.probability and not self.draws.chance(*crash.probability):
                continue
            if armed.left:
                armed.left -= 1
                if not armed.left:
                    self.armed.remove(armed)
            self.last = crash
            return crash.window
        return ""

    def down_ns(self) -> int:
        """How long the process that was just killed stays down."""
        crash = self.last
        if crash is not None and crash.down_ns is not None:
            return crash.down_ns
        return self.draws.between(1, DOWN_MS_MAX) * MS
