"""What all machines of one core share: numbers to hand out, the halt flag, the live orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from machines.order_model import Order

SEQ_BITS = 40
#: `by` of the halt with which a process parks its machines when it is told to stop.
STOP = "engine:stop"


class Env:
    """Shared state of a core; deterministic, journaled by way of the facts that change it."""

    __slots__ = ("alarmed", "epoch", "halted", "halted_by", "machines", "orders", "seq", "uid")

    def __init__(self) -> None:
        self.epoch = 1
        self.seq = 0
        self.uid = 0
        self.halted = False
        #: Who halted; a stop's halt ends with the process that stopped.
        self.halted_by = ""
        #: Codes that nobody knows and of which a person was told, by venue.
        self.alarmed: set[tuple[str, str]] = set()
        self.orders: dict[int, Order] = {}
        self.machines: dict[int, Any] = {}

    def next_order(self) -> int:
        """A new logical order number; never repeats, since every process has its own epoch."""
        self.seq += 1
        return self.epoch << SEQ_BITS | self.seq

    def enlist(self, machine: Any) -> int:
        """Give a machine other than an order its address for timers."""
        self.uid += 1
        self.machines[self.uid] = machine
        return self.uid
