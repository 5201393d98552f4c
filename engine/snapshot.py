"""The present state of an engine as plain values, for the live table and for `unwind status`.

Reads machines, changes nothing, decides nothing. Quantities are base units and times seconds, both
as text or numbers that a person reads; what is unknown is None, never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from engine.words import sentence
from machines.close_model import Close, shown
from machines.core import Core
from machines.lane import Lane
from machines.leg_model import Leg
from machines.messages import Alarm
from machines.table import Transition
from machines.types import NS, RUNGS


class OrderView(Struct):
    """An order that may still fill."""

    id: str
    state: str
    qty: Decimal
    filled: Decimal
    price: Decimal | None


class LegView(Struct):
    """One leg: how much of its target is filled and what remains."""

    instrument: str
    state: str
    rung: str
    filled: Decimal
    remaining: Decimal
    waits_for: str
    order: OrderView | None


class CloseView(Struct):
    """One pair. A pair without a close is in state `held`, or `flat` when nothing is held."""

    pair: str
    state: str
    outcome: str
    reason: str
    urgency: str
    legs: list[LegView]
    naked: Decimal
    naked_s: Decimal
    naked_max: Decimal
    deadline_s: Decimal | None
    progress: Decimal
    last: str
    alarms: list[str]
    dust: dict[str, Decimal]


class SessionView(Struct):
    """The link to one venue. `lane` is why it takes no orders of ours; empty where it does."""

    venue: str
    state: str
    mode: str
    lane: str = ""


class Snapshot(Struct):
    """The engine at one instant; `records` are those that are on disk."""

    uptime_s: Decimal
    epoch: int
    records: int
    halted: bool
    stopping: bool
    sessions: list[SessionView]
    pairs: list[CloseView]
    alarms: list[str]


class Watch:
    """Remembers per pair what the machines do not keep: last transition, since when it is naked.

    `take` is called for every step, so it does next to nothing.
    """

    def __init__(self, core: Core) -> None:
        self.last: dict[str, Transition] = {}
        self.naked_since: dict[str, int] = {}
        self.alarms: dict[str, list[Alarm]] = {}
        self._core = core
        self._pair_of = {
            core.holdings[index].instrument.key: pair.name
            for pair in core.pairs.values()
            for index in pair.legs
        }

    def pair_of(self, machine: str) -> str:
        """The pair that a machine id belongs to; empty if it belongs to none."""
        if machine in self._core.pairs:
            return machine
        return self._pair_of.get(machine.partition("#")[0], "")

    def take(self, trace: Sequence[Transition]) -> None:
        """Note the transitions of one step."""
        for each in trace:
            if each.machine == "order":
                continue
            pair = self.pair_of(each.id)
            if not pair:
                continue
            if each.source != each.dest:
                self.last[pair] = each
            close = self._core.closes.get(pair)
            if close is None or not close.naked or close.state == "reconciled":
                self.naked_since.pop(pair, None)
            else:
                self.naked_since.setdefault(pair, close.naked_at)

    def alarm(self, alarm: Alarm) -> None:
        """Note an alarm under its pair."""
        self.alarms.setdefault(self.pair_of(alarm.machine), []).append(alarm)


def seconds(span_ns: int) -> Decimal:
    """A span in seconds with one decimal."""
    return (Decimal(span_ns) / NS).quantize(Decimal("0.1"))


def take_snapshot(
    core: Core, watch: Watch, now: int, *, started: int, records: int, stopping: bool
) -> Snapshot:
    """Picture the engine at `now`."""
    return Snapshot(
        uptime_s=seconds(now - started),
        epoch=core.env.epoch,
        records=records,
        halted=core.env.halted,
        stopping=stopping,
        sessions=[
            SessionView(session.id, session.state, session.mode, _shut(session.lane))
            for session in core.sessions.values()
        ],
        pairs=[view_pair(core, watch, name, now) for name in core.pairs],
        alarms=[f"{each.kind}: {each.text}" for each in watch.alarms.get("", [])],
    )


def _shut(lane: Lane) -> str:
    """Why a venue takes no orders: all of them, or those on an instrument."""
    return lane.state if lane.state != "open" else "unfit" if lane.barred else ""


def view_pair(core: Core, watch: Watch, name: str, now: int) -> CloseView:
    """Picture one pair."""
    close = core.closes.get(name)
    holdings = [core.holdings[index] for index in core.pairs[name].legs]
    dust = {
        holding.instrument.key: holding.instrument.base(holding.dust)
        for holding in holdings
        if holding.dust
    }
    last, since = watch.last.get(name), watch.naked_since.get(name)
    alarms = [f"{each.kind}: {each.text}" for each in watch.alarms.get(name, [])]
    view = CloseView(
        pair=name,
        state="held" if any(holding.qty for holding in holdings) else "flat",
        outcome="",
        reason="",
        urgency="",
        legs=[
            LegView(
                holding.instrument.key,
                "held" if holding.qty else "flat",
                "",
                Decimal(0),
                holding.instrument.base(abs(holding.qty)),
                "",
                None,
            )
            for holding in holdings
        ],
        naked=Decimal(0),
        naked_s=seconds(now - since) if since is not None else Decimal(0),
        naked_max=Decimal(0),
        deadline_s=None,
        progress=Decimal(0),
        last=sentence(last) if last is not None else "",
        alarms=alarms,
        dust=dust,
    )
    if close is not None:
        _fill_in(view, close, now)
    return view


def _fill_in(view: CloseView, close: Close, now: int) -> None:
    view.state = close.state
    view.outcome = close.outcome
    view.reason, view.urgency = close.reason, close.urgency
    view.legs = [view_leg(leg) for leg in close.legs]
    alive = close.state != "reconciled"
    view.naked = shown(close.naked) if alive and close.started_at else Decimal(0)
    view.naked_max = shown(close.naked_max)
    due = [
        due
        for leg in close.legs
        if (due := leg.timers.get("deadline", leg.timers.get("attempt"))) is not None
    ]
    view.deadline_s = seconds(max(min(due) - now, 0)) if due and alive else None
    view.progress = Decimal(1) if not alive else _progress(close)


def view_leg(leg: Leg) -> LegView:
    """Picture one leg."""
    instrument, order = leg.instrument, leg.order
    shown = None
    if order is not None and order.alive:
        shown = OrderView(
            order.id,
            order.state,
            instrument.base(order.qty),
            instrument.base(order.cum),
            instrument.price(order.price) if order.price is not None else None,
        )
    return LegView(
        leg.id,
        leg.state,
        RUNGS[leg.rung],
        instrument.base(sum(each.cum for each in leg.orders)),
        instrument.base(leg.remaining if leg.start_qty else abs(leg.holding.qty)),
        leg.wait_reason if leg.state == "waiting" else "",
        shown,
    )


def _progress(close: Close) -> Decimal:
    """Share of the legs' targets that is filled, 0 to 1, each leg counting the same."""
    parts = []
    for leg in close.legs:
        target = abs(leg.start_qty - leg.keep)
        parts.append(1 - Decimal(min(leg.remaining, target)) / target if target else Decimal(0))
    return (sum(parts, Decimal(0)) / len(parts)).quantize(Decimal("0.001"))
