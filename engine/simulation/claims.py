"""What the engine says at the end of a close and at the end of the run, held against the venues.

What the engine could not know, and what it may still be asking about, is no wrong claim. It must
not look at how the engine came to what it says.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.simulation.sent import Sent
from engine.simulation.tape import without_some
from engine.simulation.told import Told
from engine.simulation.violations import Violations
from machines.types import NS, Instrument

#: A question about a position has its answer within the venue's read lag and this: the pauses
#: between two questions, and the ways there and back.
ANSWERED_NS = 20 * NS


class Claims:
    """Judges claims; `read_lag_ns` is how far the reads of each instrument may lag."""

    def __init__(
        self,
        instruments: list[Instrument],
        read_lag_ns: Mapping[int, int],
        told: Told,
        sent: Sent,
        found: Violations,
    ) -> None:
        self.instruments = instruments
        self.read_lag_ns = read_lag_ns
        self.told = told
        self.sent = sent
        self.found = found

    def close_ended(
        self, index: int, claimed: int, kept: int, held: int, *, has_live_order: bool
    ) -> None:
        """A close has ended: no order lives, and the venue holds what is claimed and kept (I9)."""
        key = self.instruments[index].key
        if has_live_order:
            self.found.note("I9", f"{key}: reconciled with a live order")
        course = self.told.courses[index]
        # Of somebody else's trade the news may be on its way, or has only just come.
        if kept + claimed not in without_some(held, course.open_at(self.found.now)):
            text = f"{key}: reconciled with {held} units at the venue, claimed {claimed}"
            self.found.note("I9", text)

    def is_open(self, index: int) -> bool:
        """Whether a question about the position may still be under way.

        News is to be looked into, and what was asked is to be asked again until it is answered.
        """
        asked_at = self.sent.asked_at[index]
        since = self.told.news_at[index]
        if asked_at > self.told.usable_at[index]:
            since = max(since, asked_at)
        return self.found.now < since + self.read_lag_ns[index] + ANSWERED_NS

    def is_wrong(self, index: int, believed: int, held: int, *, all_told: bool) -> bool:
        """Whether the engine's belief differs from the truth for no reason that excuses it.

        Excused are changes of which no evidence has reached it, own fills that may still be told
        (none if `all_told`), and a turned sign, which it must not believe unless a trade explains
        it: so where no trade was shown, or a read has lied about the side before.
        """
        if believed == held:
            return False
        course = self.told.courses[index]
        possible = without_some(held, course.unshown())
        if not all_told:
            possible |= {each - self.told.untold(index) for each in possible}
        if believed in possible:
            return False
        unexplained = any(not each.named for each in course.changes) or index in self.told.deceived
        return not (unexplained and believed * held < 0)

    def run_ended(self, index: int, believed: int, held: int, *, all_told: bool) -> None:
        """The run is over and quiet for this instrument: belief and truth must be the same (I5)."""
        if self.is_wrong(index, believed, held, all_told=all_told) and not self.is_open(index):
            key = self.instruments[index].key
            text = f"{key}: the engine believes {believed} units, the venue holds {held}"
            self.found.note("I5", text)
