"""A canonical picture of a core's state, to compare a live core with a replayed one (I12).

Reads every slot of every machine in a fixed order. It must not contain addresses, floats or the
books, which are inputs and recorded where a decision consumed them.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Any

from machines.core import Core

#: Links between machines and inputs; the picture names machines instead of following them.
_LINKS = frozenset(
    {"close", "holding", "book", "env", "sibling", "order", "orders", "legs", "owner", "session"}
    | {"venue", "settings", "instrument", "lane", "leg", "grown", "latest"}
)


def _picture(value: Any) -> str:
    if isinstance(value, set):
        return "{" + ",".join(sorted(map(str, value))) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}={value[key]}" for key in sorted(value)) + "}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_picture(item) for item in value) + "]"
    return str(value)


def describe(machine: Any) -> str:
    """One machine as text: every slot that is its own."""
    parts = (
        f"{name}={_picture(getattr(machine, name))}"
        for name in type(machine).__slots__
        if name not in _LINKS
    )
    return f"{type(machine).__name__}({';'.join(parts)})"


def describe_core(core: Core) -> list[str]:
    """Every machine of a core, in a fixed order."""
    env = core.env
    lines = [f"env epoch={env.epoch} seq={env.seq} halted={env.halted} by={env.halted_by}"]
    lines += [describe(session) for session in core.sessions.values()]
    lines += [describe(lane) for lane in core.lanes.values()]
    lines += [describe(holding) for holding in core.holdings]
    lines += [f"follows {name} {wanted}" for name, wanted in core.following.items()]
    for close in core.closes.values():
        lines.append(describe(close))
        for leg in close.legs:
            lines.append(describe(leg))
            lines += [describe(order) for order in leg.orders]
    return lines


def digest(core: Core) -> bytes:
    """BLAKE2b-256 of the picture."""
    return blake2b("\n".join(describe_core(core)).encode(), digest_size=32).digest()
