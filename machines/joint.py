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
    """A joint rule: what leg `a` and leg `b` are doing, and the rung that `b` must reach."""

    a: str
    b: str
    rung: int
    why: str


def phase(leg: Leg) -> str:
    """What a leg is doing, in the words of the joint table.

    A leg that had nothing to close when it started is `absent`: its sibling closes alone.
    """
    if leg.liquidated:
        return "liquidated"
    if leg.ended:
        return "ended" if leg.start_qty != leg.keep else "absent"
    if leg.state == "stuck":
        return "market"
    return ("passive", "aggressive", "market", "market")[max(leg.rung, leg.next_rung)]


JOINT = (
    Joint("ended", "passive", AGGRESSIVE, "one leg is closed: the other hedges at once"),
    Joint("liquidated", "passive", MARKET, "the venue closed one leg: the other goes to market"),
    Joint("liquidated", "aggressive", MARKET, "the venue closed one leg: the other goes to market"),
)
_JOINT: dict[tuple[str, str], int] = {(row.a, row.b): row.rung for row in JOINT}


def apply_joint(close: Close, out: Out) -> None:
    """Tell each leg the rung that the joint table asks of it; idempotent, so a fixpoint."""
    first, second = close.legs
    for leg, other in ((first, second), (second, first)):
        rung = _JOINT.get((phase(other), phase(leg)))
        if rung is not None and leg.state != "idle":
            out.tell(leg, "escalate", rung)
