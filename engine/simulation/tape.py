"""What the venues' tapes say of each position: its course, our own trades, and what others changed.

A change by somebody else is kept with the moment at which the engine was first shown it: before
that, and for a reaction after it, nothing that follows from it can be held against the engine. The
course is added up from the trades alone. It must not ask the engine, nor judge what it did.
"""

from __future__ import annotations

from collections.abc import Iterable

from machines.types import MS

#: How long after the first evidence of a change the engine may take to heed it (invariants.md, I6).
REACTION_NS = 250 * MS
#: Changes that are weighed in every combination; of more, the newest.
COMBINED_MAX = 8


class Change:
    """A change of position that the engine did not order, by the venue itself or by a `stranger`.

    `place` is its place in the course, `shown_at` when the first evidence of it reached the engine,
    None before; `named` says that a trade was shown, not only a position that has it in.
    """

    __slots__ = ("at", "named", "place", "qty", "shown_at", "stranger", "trade")

    def __init__(self, at: int, qty: int, trade: str, place: int, *, stranger: bool) -> None:
        self.at = at
        self.stranger = stranger
        self.qty = qty
        self.trade = trade
        self.place = place
        self.shown_at: int | None = None
        self.named = False

    @property
    def is_venues(self) -> bool:
        """Whether it is known to be the venue's own doing: it lasts, and needs nobody's word."""
        return self.named and not self.stranger

    def is_due(self, now: int) -> bool:
        """Whether the engine must have heeded it by now."""
        return self.shown_at is not None and now >= self.shown_at + REACTION_NS


class Course:
    """One position over time: `steps` are (since when, signed units), oldest first.

    `own` is the sum of our own trades, `fresh` the changes that had not to be heeded when last
    looked at, `by_trade` all that a trade can name.
    """

    __slots__ = ("by_trade", "changes", "fresh", "own", "qty", "steps")

    def __init__(self, at: int, qty: int) -> None:
        self.qty = qty
        self.steps = [(at, qty)]
        self.own = 0
        self.changes: list[Change] = []
        self.by_trade: dict[str, Change] = {}
        self.fresh: list[Change] = []

    def _move(self, at: int, change: int) -> None:
        self.qty += change
        self.steps.append((at, self.qty))

    def traded(self, at: int, change: int) -> None:
        """A trade of our own."""
        self.own += change
        self._move(at, change)

    def changed(self, at: int, change: int, trade: str = "", *, stranger: bool = True) -> None:
        """A change by somebody else, of which the engine has not heard yet."""
        self._move(at, change)
        found = Change(at, change, trade, len(self.steps) - 1, stranger=stranger)
        self.changes.append(found)
        self.by_trade[trade] = found
        self.fresh.append(found)

    # ------------------------------------------------------------ evidence

    def unshown(self) -> list[Change]:
        """The changes of which nothing has reached the engine."""
        return [each for each in self.fresh if each.shown_at is None]

    def shown_by_position(self, qty: int, taken_at: int) -> list[Change]:
        """The changes that a position read shows for the first time.

        A view is as young as it can be: it is of the latest moment up to `taken_at` at which the
        venue held just this. One that was never so, or not since the change, shows nothing.
        """
        unshown = self.unshown()
        if not unshown:
            return unshown
        for place in range(len(self.steps) - 1, unshown[0].place - 1, -1):
            since, held = self.steps[place]
            if since <= taken_at and held == qty:
                return [each for each in unshown if each.place <= place]
        return []

    def ever_was(self, qty: int) -> bool:
        """Whether the venue has ever held just this."""
        return any(qty == held for _, held in self.steps)

    def open_at(self, now: int) -> list[Change]:
        """The changes that need not be heeded yet: not shown, or just now.

        Times never fall from call to call, so that what is due is forgotten here.
        """
        if self.fresh:
            self.fresh = [each for each in self.fresh if not each.is_due(now)]
        return self.fresh


def without_some(qty: int, changes: Iterable[Change]) -> set[int]:
    """Every position that leaves out some, none or all of the changes."""
    found = {qty}
    for each in tuple(changes)[-COMBINED_MAX:]:
        found |= {value - each.qty for value in found}
    return found
