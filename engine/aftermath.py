"""What is still done when a part that the engine cannot do without has failed.

Theory of operation. Whatever has failed, the core may be half-way through a step, the journal may
be down, and nobody may be left to step, commit or wake. So none of that is used any more: the
cancels of own orders, which change nothing but for the better and are allowed without a record
(I1), go straight to the ports, again and again until the venue has said that each order is dead and
with how much. The facts that come back are read here instead of being stepped. At the end the
venues are asked for the positions, so that what is left can be named.

It must not create anything, step the core or write to the journal: to the next start all this is a
process that died.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
from loguru import logger

from engine.live import Engine
from engine.supervisor import attempted, describe
from machines.close_model import Close, base_per_unit, shown
from machines.messages import (
    Cancel,
    Command,
    FillReported,
    OrderRefused,
    OrderReported,
    QueryOrder,
    ReadTruth,
    TruthFailed,
    TruthRead,
)
from machines.order_model import DEAD, Order, join_fill, join_report, trigger_of
from machines.types import BUY, MS, NS

#: How long the venues may take to confirm the cancels, and to answer the last reads.
CONFIRM_NS = 30 * NS
READ_NS = 3 * NS
#: Pause before the cancels are repeated; it doubles.
REPEAT_NS = 500 * MS
REPEAT_MAX_NS = 5 * NS
_LOOK_NS = 20 * MS


class Aftermath:
    """The last words of one engine. `open` are own orders that may still fill, by number."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.open: dict[int, Order] = {order.uid: order for order in engine.live_orders()}
        self._found = len(self.open)
        self._unread = set(engine.ports)
        self._asked_at = 0
        self._shown: dict[int, int] = {}
        self._refused: dict[str, str] = {}

    async def run(self) -> None:
        """Cancel until nothing of ours may fill, at most 30 s; then read the positions, at most 3.

        A process that another one has replaced sends nothing at all. Cancellation waits.
        """
        if self._engine.fenced:
            return
        clock = self._engine.clock
        with anyio.CancelScope(shield=True):
            end, pause = clock.now() + CONFIRM_NS, REPEAT_NS
            while self.open and clock.now() < end:
                self._cancel_all(ask=pause > REPEAT_NS)
                await self._listen(min(clock.now() + pause, end), self.open)
                pause = min(2 * pause, REPEAT_MAX_NS)
            self._asked_at = clock.now()
            for venue in self._engine.ports:
                self._submit(venue, ReadTruth(self._asked_at, venue, -1))
            await self._listen(self._asked_at + READ_NS, self._unread)

    def _cancel_all(self, *, ask: bool) -> None:
        now = self._engine.clock.now()
        for order in tuple(self.open.values()):
            venue, index = order.venue.name, order.instrument.index
            self._submit(venue, Cancel(now, order.uid, index))
            if ask:
                self._submit(venue, QueryOrder(now, order.uid, index))

    def _submit(self, venue: str, command: Command) -> None:
        failed = attempted(lambda: self._engine.ports[venue].submit(command))
        if failed is not None:
            self._refused[venue] = describe(failed)

    # ------------------------------------------------------------ what comes back

    async def _listen(self, until: int, waiting: dict[int, Order] | set[str]) -> None:
        """Take what the venues say until nothing is waited for any more, at most until a time."""
        clock, inbox = self._engine.clock, self._engine.dispatcher.inbox
        while True:
            while inbox:
                self._hear(inbox.popleft())
            now = clock.now()
            if not waiting or now >= until:
                return
            await anyio.sleep(min(until - now, _LOOK_NS) / NS)

    def _hear(self, fact: Any) -> None:
        """Take one fact; one that cannot be read, as on which the core broke, is passed over."""
        failed = attempted(lambda: self._take(fact))
        if failed is not None:
            logger.info("{} is not understood: {}", type(fact).__name__, describe(failed))

    def _take(self, fact: Any) -> None:
        kind = type(fact)
        if kind in (OrderReported, FillReported, OrderRefused):
            order = self.open.get(fact.order)
            if order is not None and _ends(order, fact):
                del self.open[order.uid]
        elif kind in (TruthRead, TruthFailed) and self._asked_at <= fact.sent_at:
            self._unread.discard(fact.venue)
            if kind is TruthRead:
                for row in fact.rows:
                    if row.qty is not None:
                        self._shown[row.instrument] = row.qty

    # ------------------------------------------------------------ what is left

    def lines(self) -> list[str]:
        """What is left, for the person who has to look after it: one sentence per line."""
        lines = [f"ended early: {self._engine.failure}"]
        if self._engine.fenced:
            lines.append("another process owns the accounts: nothing was sent any more")
        elif self._found:
            done = self._found - len(self.open)
            lines.append(f"nothing is created any more; own orders that have ended: {done}")
        lines += [f"venue {venue} takes no command: {why}" for venue, why in self._refused.items()]
        lines += [_may_fill(order) for order in self.open.values()]
        if not self.open:
            lines.append("no own order may still fill")
        naked: list[str] = []
        failed = attempted(lambda: naked.extend(self._naked()))
        if failed is not None:
            naked = [f"which pair is naked cannot be told: {describe(failed)}"]
        return [*lines, *(naked or ["no pair is naked"])]

    def _naked(self) -> list[str]:
        texts = [self._naked_text(close) for close in self._engine.alive()]
        return [text for text in texts if text is not None]

    def _naked_text(self, close: Close) -> str | None:
        """The net quantity of a pair whose close has begun, None if its legs are even."""
        if len(close.legs) < 2 or not close.started_at:
            return None
        net, parts, known = Decimal(0), [], True
        for leg in close.legs:
            held = self._shown.get(leg.instrument.index)
            units = leg.holding.qty if held is None else held
            known = known and held is not None
            net += units * base_per_unit(leg)
            parts.append(f"{leg.id} {leg.instrument.base(units).normalize():f}")
        net = shown(net)
        if not net:
            return None
        source = "as the venues show it" if known else "as last known, the venues did not answer"
        return f"naked: {close.id} {net.normalize():f} ({', '.join(parts)}), {source}"


def _ends(order: Order, fact: Any) -> bool:
    """Join what a fact tells; whether the order is dead by it, as the order machine would say."""
    if isinstance(fact, OrderReported):
        join_report(order, fact)
        return trigger_of(order, fact) in DEAD
    if isinstance(fact, FillReported):
        join_fill(order, fact)
        return order.cum >= order.qty
    return not order.acked


def _may_fill(order: Order) -> str:
    quantity = order.instrument.quantity
    side = "buy" if order.side == BUY else "sell"
    return (
        f"may still fill: {order.id}, {side} {quantity(order.qty):f}, "
        f"of which {quantity(order.cum):f} has filled"
    )
