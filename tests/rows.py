"""A core on the bench: machines put by hand into a state, to take single rows of their tables.

Counts the rows taken in `TAKEN`, from which the row coverage is told. It must not decide what a
row should do; the tests that use it say that.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from machines.close_model import Close
from machines.core import TABLES, Core
from machines.leg_model import Leg
from machines.messages import (
    Arm,
    CloseRequested,
    EngineStarted,
    Fact,
    InstrumentTruth,
    LinkOpened,
    OpenOrder,
    PositionDeclared,
    TradeRow,
    TruthRead,
)
from machines.order_model import Order
from machines.table import Out, Transition
from machines.types import (
    AGGRESSIVE,
    BUY,
    MARKET,
    NS,
    PASSIVE,
    RUNGS,
    Capabilities,
    CloseSettings,
    Instrument,
    PairSettings,
    VenueSettings,
)

#: How often each row was taken on any bench, by machine and row number.
TAKEN: Counter[tuple[str, int]] = Counter()

#: Ten base units in units of the bench's instruments.
TEN = 1000
REASONS = {PASSIVE: "MANUAL", AGGRESSIVE: "SOFT_STOP", MARKET: "KILL"}


def instrument(index: int, venue: str) -> Instrument:
    """A linear contract with a tick and a unit of 0.01 and a minimum notional of 5."""
    return Instrument(
        index=index,
        key=f"{venue}:X",
        venue=venue,
        symbol="X",
        tick=Decimal("0.01"),
        unit=Decimal("0.01"),
        lot=1,
        min_qty=1,
        min_notional=50_000,
    )


class Bench:
    """Venues a and b, trusted, with 10 held on a and -10 on b, books 100.00/100.20."""

    def __init__(
        self,
        settings: CloseSettings | None = None,
        capabilities: Capabilities | None = None,
        *,
        single: bool = False,
    ) -> None:
        venues = [VenueSettings(name, capabilities or Capabilities()) for name in "ab"]
        legs = (1,) if single else (0, 1)
        self.core = Core(
            [instrument(0, "a"), instrument(1, "b")],
            venues,
            [PairSettings("x", legs, replace(settings or CloseSettings(), break_even=False))],
            tracing=True,
        )
        self.now = 1_000 * NS
        self.trades = 0
        self.step(EngineStarted(self.now, 1))
        self.step(PositionDeclared(self.now, 0, TEN, Decimal(100)))
        self.step(PositionDeclared(self.now, 1, -TEN, Decimal(100)))
        for index in (0, 1):
            self.quote(index, 10_000, 10_020)
        for venue in "ab":
            self.step(LinkOpened(self.now, venue))
            for _ in range(3):
                self.tick()
                self.read(venue)

    # ------------------------------------------------------------ driving

    def tick(self, seconds: int = 1) -> None:
        """Let time pass, with the books sent again at its end."""
        self.now += seconds * NS
        for index, book in enumerate(self.core.books):
            self.quote(index, book.bid, book.ask)

    def step(self, fact: Fact) -> Out:
        """Let a fact run to completion."""
        out = self.core.step(fact)
        self._count(out)
        return out

    def fire(self, machine: Any, trigger: str, message: Any = None) -> Out:
        """Take one row, and none of those that it leads to; its mail stays in the answer."""
        out = Out([])
        out.now = self.now
        TABLES[type(machine)].fire(machine, trigger, message, out)
        self._count(out)
        return out

    def drain(self, out: Out) -> Out:
        """Let what a row has told others run to completion."""
        self.core.drain(out)
        self._count(out)
        return out

    @staticmethod
    def _count(out: Out) -> None:
        trace: list[Transition] = out.trace or []
        for each in trace:
            TAKEN[each.machine, each.row] += 1

    def quote(self, index: int, bid: int, ask: int) -> None:
        """Set a book."""
        mark = (bid + ask) // 2
        self.core.quote(index, self.now, self.now, bid, TEN * 10, ask, TEN * 10, mark)

    def read(
        self,
        venue: str,
        qty: int | None = 0,
        *,
        believed: bool = True,
        orders: tuple[OpenOrder, ...] = (),
        trades: tuple[TradeRow, ...] = (),
    ) -> Out:
        """Answer a complete read of a venue that was asked and taken just now."""
        index = "ab".index(venue)
        held = self.core.holdings[index].qty if believed else qty
        row = InstrumentTruth(index, held, Decimal(100), orders, trades)
        return self.step(TruthRead(self.now, self.now, self.now, venue, -1, (row,)))

    # ------------------------------------------------------------ models in a state

    def close(self, rung: int = PASSIVE) -> Close:
        """Start the close whose first rung is this one."""
        self.step(CloseRequested(self.now, "x", REASONS[rung]))
        return self.core.closes["x"]

    def leg(
        self,
        state: str,
        rung: int = PASSIVE,
        order: str = "",
        rest: int = TEN,
        **attributes: Any,
    ) -> Leg:
        """The leg on b in a state, with an order in a state or none, and `rest` units to buy."""
        leg = self.close(rung).legs[-1]
        for old in leg.orders:
            old.state = "cancelled"
            old.timers.clear()
        leg.orders.clear()
        leg.holding.orders.clear()
        leg.order = None
        leg.timers.clear()
        leg.state = state
        leg.rung = rung
        leg.attempts = leg.refusals = leg.requotes = 0
        leg.holding.accept(-rest)
        for name, value in attributes.items():
            setattr(leg, name, value)
        if order:
            self.order(leg, order)
        return leg

    def order(self, leg: Leg, state: str, qty: int = TEN, cum: int = 0) -> Order:
        """An order of a leg in a state; it becomes the leg's present one."""
        env = self.core.env
        leg.holding.order_count += 1
        order = Order(
            env.next_order(),
            f"{leg.id}#{leg.holding.order_count}",
            leg.holding,
            leg.venue,
            leg,
            BUY,
            qty,
            10_000,
            self.now,
        )
        order.state = state
        order.cum = cum
        order.rung = RUNGS[leg.rung]
        order.post_only = leg.rung == PASSIVE
        env.orders[order.uid] = order
        if order.alive:
            leg.holding.orders.append(order)
        leg.orders.append(order)
        leg.order = order
        return order


# ---------------------------------------------------------------- what came of it


def kinds(out: Out) -> list[str]:
    """Names of the commands of an answer, timers left out."""
    return [type(command).__name__ for command in out.commands if type(command) is not Arm]


def told(out: Out) -> list[tuple[str, str]]:
    """Who was told what and has not heard it yet."""
    return [(machine.id, trigger) for machine, trigger, _ in out.mail]
