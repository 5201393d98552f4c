"""The two legs of a close together: a table keyed by what both are doing, applied until nothing
changes. It only ever asks a leg for a higher rung.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from machines.table import Out
from machines.types import (
    AGGRESSIVE,
    MARKET,
)

if TYPE_CHECKING:
    from machines.close_model import Close
    from machines.leg_model import Leg


class Joint(NamedTuple):
    """A joint rule: what leg `a` is doing, where leg `b` stands, and the rung that `b` must reach.

    A tuple stands for one rule each; `rung` None asks for nothing.
    """

    a: str | tuple[str, ...]
    b: str | tuple[str, ...]
    rung: int | None
    why: str


#: What a leg may be doing, as its sibling sees it.
DOING = ("working", "ended", "liquidated")
#: Where a leg may stand, as the rung is concerned that is asked of it.
STANDING = ("passive", "aggressive", "market", "ended")


def doing(leg: Leg) -> str:
    """What a leg is doing, in the words of the joint table.

    One that had nothing to close when it started has ended like any other: its sibling is naked.
    One of which the venue took a part is `liquidated`, whether it still works or has ended.
    """
    if leg.liquidated:
        return "liquidated"
    return "ended" if leg.ended else "working"


def standing(leg: Leg) -> str:
    """The rung on which a leg stands, or for which it withdraws; `ended` when it has none."""
    if leg.ended:
        return "ended"
    if leg.state == "stuck":
        return "market"
    return ("passive", "aggressive", "market", "market")[max(leg.rung, leg.next_rung)]


JOINT = (
    Joint("ended", "passive", AGGRESSIVE, "one leg is closed: the other hedges at once"),
    Joint("ended", ("aggressive", "market"), None, "it hedges already; its own rung bounds it"),
    Joint("liquidated", ("passive", "aggressive"), MARKET,
        "the venue closed one leg: the other goes to market"),
    Joint("liquidated", "market", None, "it is there already"),
    Joint("working", ("passive", "aggressive", "market"), None,
        "each by its own time; when passive ends or the budget is spent, the lagging one first"),
    Joint(DOING, "ended", None, "nothing is left to close on this leg"),
)  # fmt: skip


def _expanded() -> dict[tuple[str, str], int]:
    """The rungs asked for, by (doing, standing)."""
    found: dict[tuple[str, str], int] = {}
    for row in JOINT:
        for a in row.a if isinstance(row.a, tuple) else (row.a,):
            for b in row.b if isinstance(row.b, tuple) else (row.b,):
                if row.rung is not None:
                    found[a, b] = row.rung
    return found


_JOINT = _expanded()


def apply_joint(close: Close, out: Out) -> None:
    """Tell each leg the rung that the joint table asks of it; idempotent, so a fixpoint."""
    first, second = close.legs
    for leg, other in ((first, second), (second, first)):
        rung = _JOINT.get((doing(other), standing(leg)))
        if rung is not None and leg.state != "idle":
            out.tell(leg, "escalate", rung)
