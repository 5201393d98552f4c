"""Carries out the actions of a scenario's timeline on the simulated venues and the engine.

Converts the file's decimals into ticks and units of the instrument and calls the venue's script
inputs. It must not decide what follows from an action.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.simulation import actions
from engine.simulation.actions import Action
from engine.simulation.verdict import misses_now
from machines.messages import CloseRequested, OperatorCommanded
from machines.types import BUY, SELL, Instrument
from venues.instruments import base_to_units, floor_tick, notional_floor, to_ticks, to_units
from venues.numbers import NumberRefused

if TYPE_CHECKING:
    from engine.simulation.world import World
    from machines.order_model import Order

#: What an operator's command may be about, the first that is named counts.
_TARGETS = ("venue", "pair", "position", "instrument", "id")
SIDES = {"buy": BUY, "sell": SELL}


class Stage:
    """Performs actions; one method per action of the format."""

    def __init__(self, world: World) -> None:
        self.world = world
        #: Actions that found no order: when, which, why.
        self.unmatched: list[tuple[int, str, str]] = []
        self.perform: dict[type, Callable[[Any], None]] = {
            actions.Book: self.book,
            actions.Trade: self.trade,
            actions.Fill: self.fill,
            actions.Report: self.report,
            actions.Answer: self.answer,
            actions.Close: self.close,
            actions.Operator: self.operator,
            actions.External: self.external,
            actions.Funding: self.funding,
            actions.Fault: self.fault,
            actions.Crash: self.crash,
            actions.Engine: self.engine,
            actions.SetRules: self.set_rules,
            actions.SetMode: self.set_mode,
            actions.ExpectNow: self.expect,
        }

    def __call__(self, action: Action) -> None:
        try:
            self.perform[type(action)](action)
        except NumberRefused as refused:
            # The file is checked before; what only the run knows (the unit of an order) is not.
            name = type(action).__name__.lower()
            self.unmatched.append((self.world.kernel.now, name, str(refused)))

    def _of(self, key: str) -> tuple[Instrument, Any]:
        instrument = self.world.by_key[key]
        return instrument, self.world.venues[instrument.venue]

    def book(self, action: actions.Book) -> None:
        instrument, venue = self._of(action.instrument)
        venue.set_book(
            instrument.index,
            to_ticks(action.bid, instrument, "bid"),
            to_units(action.bid_qty, instrument, "bid_qty"),
            to_ticks(action.ask, instrument, "ask"),
            to_units(action.ask_qty, instrument, "ask_qty"),
            _mark(action, instrument),
        )

    def trade(self, action: actions.Trade) -> None:
        instrument, venue = self._of(action.instrument)
        venue.trade(
            instrument.index,
            SIDES[action.side],
            to_ticks(action.price, instrument),
            to_units(action.qty, instrument),
        )

    def fill(self, action: actions.Fill) -> None:
        instrument, venue = self._of(action.instrument)
        venue.script.fill(
            instrument.index,
            to_units(action.qty, instrument),
            _ticks(action.price, instrument),
            action.order,
        )
        self.world.truth.start_over()

    def report(self, action: actions.Report) -> None:
        instrument, venue = self._of(action.instrument)
        venue.script.report(
            instrument.index,
            action.order,
            status=action.status,
            cum=_units(action.cum, instrument),
            price=_ticks(action.price, instrument),
            reason=action.reason or "",
            trade=action.trade or "",
            qty=_units(action.qty, instrument),
            path=action.path,
            effect=action.effect,
        )
        self.world.truth.start_over()

    def answer(self, action: actions.Answer) -> None:
        venue = self.world.venues[action.venue]
        index = None
        cum = None
        if action.instrument is not None:
            instrument, _ = self._of(action.instrument)
            index = instrument.index
            cum = _units(action.cum, instrument)
        elif action.cum is not None:
            cum = _units(action.cum, self.world.instruments_of(action.venue)[0])
        venue.script.answer(
            action.on,
            action.outcome,
            instrument=index,
            nth=action.nth,
            count=action.count,
            for_ns=action.for_ns,
            cum=cum,
            status=action.status,
            code=action.code or "",
            reason=action.reason or "",
            hold_ns=action.delay_ns,
            effect=action.effect,
            retry_ns=action.retry_after_ns,
        )

    def close(self, action: actions.Close) -> None:
        now = self.world.kernel.now
        self.world.process.fact(
            CloseRequested(
                now, action.name, action.reason, action.urgency, action.ratio, "timeline"
            )
        )

    def operator(self, action: actions.Operator) -> None:
        world = self.world
        subject = action.subject
        target = next((subject[name] for name in _TARGETS if name in subject), "")
        number, instrument = 0, world.by_key.get(target)
        if isinstance(action.order, int) and not target and action.cum is None:
            # A number of its own may be that of an order which is still to come.
            number = action.order
        elif action.order is not None:
            order = self._order_named(action, target)
            if order is None:
                return
            number, instrument = order.uid, order.instrument
        cum = None
        if action.cum is not None and instrument is not None:
            cum = to_units(action.cum, instrument)
        by = subject.get("by", "operator")
        world.process.fact(
            OperatorCommanded(world.kernel.now, action.command, target, number, cum, by, action.qty)
        )

    def _order_named(self, action: actions.Operator, target: str) -> Order | None:
        """The engine's order "v:s#n", the n-th on the target, or that of a number of its own.

        Where there is none, or nobody awake who knows, that is noted and nothing is done.
        """
        process, name = self.world.process, action.order
        if isinstance(name, int) and target:
            name = f"{target}#{name}"
        why = f"no order {name!r}"
        if process.dispatcher is None:
            why = f"{why}: the process {'is frozen' if process.frozen else 'is not running'}"
        else:
            for number, order in process.dispatcher.core.env.orders.items():
                if name in (order.id, number):
                    return order
        self.unmatched.append((self.world.kernel.now, f"operator {action.command}", why))
        return None

    def external(self, action: actions.External) -> None:
        instrument, venue = self._of(action.instrument)
        venue.script.external(
            instrument.index,
            base_to_units(action.qty, instrument),
            to_ticks(action.price, instrument),
            action.kind,
        )

    def funding(self, action: actions.Funding) -> None:
        instrument, venue = self._of(action.instrument)
        venue.script.funding(instrument.index, rate=action.rate, amount=action.amount)

    def fault(self, action: actions.Fault) -> None:
        venues = self.world.venues
        name = action.table.get("venue")
        key = action.table.get("instrument")
        if name is None and key is not None:
            name = key.partition(":")[0]
        index = None if key is None else self.world.by_key[key].index
        for each in [name] if name is not None else list(venues):
            venues[each].add_fault(action.table, index)

    def crash(self, action: actions.Crash) -> None:
        self.world.process.plan_crash(action)

    def engine(self, action: actions.Engine) -> None:
        self.world.process.obey(action.command, action.for_ns)

    def set_rules(self, action: actions.SetRules) -> None:
        instrument, venue = self._of(action.instrument)
        notional = action.min_notional
        step = None if action.tick is None else to_ticks(action.tick, instrument, "tick")
        venue.script.set_rules(
            instrument.index,
            min_qty=_units(action.min_qty, instrument),
            min_notional=None if notional is None else notional_floor(notional, instrument),
            lot=_units(action.lot, instrument),
            tick_step=step,
        )

    def set_mode(self, action: actions.SetMode) -> None:
        self.world.venues[action.venue].script.set_mode(action.mode)

    def expect(self, action: actions.ExpectNow) -> None:
        self.world.outcome.failed += misses_now(self.world, action.expect)


def _mark(action: actions.Book, instrument: Instrument) -> int:
    """The mark in ticks: the file's, else the mid, rounded down; venues mark between ticks."""
    mark = (action.bid + action.ask) / 2 if action.mark is None else action.mark
    return floor_tick(mark, instrument, "mark")


def _ticks(price: Decimal | None, instrument: Instrument) -> int | None:
    return None if price is None else to_ticks(price, instrument)


def _units(qty: Decimal | None, instrument: Instrument) -> int | None:
    return None if qty is None else to_units(qty, instrument, "cum")
