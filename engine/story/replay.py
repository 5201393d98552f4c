"""`unwind replay`: folds a recording record by record, verifies it, shows states at any of them.

Hash chain, numbering and every intent are checked on the way; nothing is connected, sent or
written. The same state comes out as the engine had, so its digest is that of the live one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from engine.dispatcher import fold
from engine.journal import Record
from engine.simulation.outcome import decimal_text
from engine.story.tape import Tape
from engine.story.words import Words, clock, price, quantity, rung
from engine.texts import printable
from machines.close_model import Close
from machines.digest import digest
from machines.messages import Arm
from machines.order_model import Order
from machines.table import Out

#: Digits of a digest that are shown; the whole one is 64.
DIGEST_SHOWN = 16


class Replay:
    """One recording being folded. `core` is at the record that was folded last."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.core = tape.build()
        self.core.tracing = True
        self.seq = 0
        self.epochs = 0
        self.origin = tape.origin
        self.words = Words(self.core, 0)

    def run(self, until: int | None, on_step: Callable[[Record, Out], None] | None = None) -> int:
        """Fold up to record `until`, or all; returns how many there were.

        Raises JournalError and ReplayDiverged at the first record that is not right.
        """
        return fold(self.core, self._records(until), on_step)

    def _records(self, until: int | None) -> Iterator[Record]:
        for record in self.tape.records():
            if until is not None and record.seq > until:
                return
            if self.origin is None:
                self.origin = record.at
            self.words.origin = self.origin
            self.epochs += type(record.fact).__name__ == "EngineStarted"
            self.seq = record.seq
            yield record

    # ------------------------------------------------------------ showing

    def digest(self) -> str:
        """The digest of the state, as the engine had it after the same record."""
        return digest(self.core).hex()

    def step_lines(self, record: Record, out: Out) -> list[str]:
        """One record: the fact, the rows taken, what was commanded."""
        at = clock(record.at - (self.origin or 0))
        lines = [f"{record.seq:>6} {at:>10} {self.words.fact(record.fact)}"]
        lines += [
            f"{'':>19}{each.machine} {each.id}: {each.trigger}: {each.source} > {each.dest}"
            for each in out.trace or ()
        ]
        lines += [
            f"{'':>19}> {self.words.command(command)}"
            for command in out.commands
            if not isinstance(command, Arm)
        ]
        return lines

    def state_lines(self) -> list[str]:
        """Every machine of the core as it is now."""
        core = self.core
        lines = [f"state after record {self.seq}, digest {self.digest()[:DIGEST_SHOWN]}"]
        if core.env.halted:
            lines.append(f"  halted by {printable(core.env.halted_by)}")
        for session in core.sessions.values():
            lines.append(f"  venue {session.id}: {session.state}, {session.mode}")
        closed = {id(leg.holding) for close in core.closes.values() for leg in close.legs}
        for holding in core.holdings:
            if id(holding) not in closed and (holding.qty or holding.declared_at):
                held = decimal_text(holding.instrument.base(holding.qty))
                lines.append(f"  position {holding.instrument.key}: {held}")
        for close in core.closes.values():
            lines += _close_lines(close, self._timers(close))
        return lines

    def _timers(self, machine: Close) -> str:
        return _timers(machine.timers, self.words.time)


def _close_lines(close: Close, timers: str) -> Iterable[str]:
    end = f", {close.outcome}" if close.outcome else ""
    naked = f", naked {decimal_text(close.naked)}" if close.naked else ""
    why = f"{printable(close.reason)}, {close.urgency}"
    yield f"  close {close.id}: {close.state}{end}, {why}{naked}{timers}"
    for leg in close.legs:
        rules = leg.instrument
        left = decimal_text(rules.base(leg.rest))
        wait = f" ({leg.wait_reason})" if leg.state == "waiting" else ""
        yield (
            f"    leg {leg.id}: {leg.state}{wait}, rung {rung(leg.rung)}, left {left}, "
            f"{len(leg.orders)} order{'' if len(leg.orders) == 1 else 's'}"
        )
        yield from (f"      {_order(order)}" for order in leg.orders if order.alive)


def _order(order: Order) -> str:
    rules = order.instrument
    filled = f"{quantity(order.cum, rules)} of {quantity(order.qty, rules)}"
    return f"order {order.id}: {order.state}, {filled} @ {price(order.price, rules)}"


def _timers(timers: dict[str, int], time: Callable[[int], str]) -> str:
    if not timers:
        return ""
    parts = ", ".join(f"{tag} at {time(due)} s" for tag, due in sorted(timers.items()))
    return f"; timers: {parts}"
