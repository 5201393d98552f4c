"""A bug in one machine stops that close alone, loudly, and leaves the others to go on."""

from __future__ import annotations

from decimal import Decimal

from machines.core import Core
from machines.leg_model import Leg
from machines.messages import (
    CloseRequested,
    EngineStarted,
    InstrumentTruth,
    LinkOpened,
    OperatorCommanded,
    OrderReported,
    OrderSent,
    Place,
    PositionDeclared,
    TruthRead,
)
from machines.table import Out
from machines.types import Instrument, PairSettings, VenueSettings

CENT = Decimal("0.01")


def running(symbols: tuple[str, ...]) -> Core:
    """A core that is closing a single long position of 10 on each symbol, all orders live."""
    instruments = [
        Instrument(index, f"v:{name}", "v", name, CENT, CENT, 1, 1, 0)
        for index, name in enumerate(symbols)
    ]
    pairs = [PairSettings(each.symbol, (each.index,)) for each in instruments]
    core = Core(instruments, [VenueSettings("v")], pairs, tracing=True)
    core.step(EngineStarted(0, 1))
    for each in instruments:
        core.step(PositionDeclared(0, each.index, 1000, Decimal(100)))
    core.step(LinkOpened(0, "v"))
    rows = tuple(InstrumentTruth(each.index, 1000, Decimal(100)) for each in instruments)
    for at in (1, 2):
        core.step(TruthRead(at, at, at, "v", -1, rows))
    for each in instruments:
        core.quote(each.index, 3, 3, 10000, 100, 10010, 100, 0)
        placed = core.step(CloseRequested(4, each.symbol, "MANUAL"))
        order = next(c.order for c in placed.commands if isinstance(c, Place))
        core.step(OrderSent(4, order))
        core.step(OrderReported(5, 5, order, "ack", "OPEN"))
    return core


def alarms(out: Out) -> list[tuple[str, str]]:
    return [(c.kind, c.machine) for c in out.commands if type(c).__name__ == "Alarm"]


def test_a_broken_leg_stops_its_own_close_and_no_other() -> None:
    core = running(("X", "Y"))
    core.closes["X"].legs[0].state = "nowhere"
    core.step(OperatorCommanded(7, "halt"))
    assert core.closes["X"].state == "quarantined"
    assert core.closes["Y"].state == "passive_limit"
    other = core.closes["Y"].legs[0]
    assert other.order is not None
    assert (other.state, other.order.state) == ("withdrawing", "cancelling"), "the halt reached it"


def test_an_illegal_fact_names_the_machine_in_its_alarm_and_creates_nothing() -> None:
    core = running(("X", "Y"))
    leg: Leg = core.closes["X"].legs[0]
    leg.state = "nowhere"
    out = core.step(OperatorCommanded(6, "halt"))
    assert ("machine_error", "X") in alarms(out)
    assert not [c for c in out.commands if isinstance(c, Place)]
    assert core.closes["X"].state == "quarantined"
    order = leg.order
    assert order is not None
    assert order.state == "cancelling", "what rests is cancelled"
    filled = core.step(OrderReported(7, 7, order.uid, "stream", "FILLED", order.qty))
    assert core.holdings[0].qty == 0, "evidence is still applied"
    assert not [c for c in filled.commands if isinstance(c, Place)]


def test_a_quarantined_close_is_released_by_an_operator_alone() -> None:
    core = running(("X",))
    leg = core.closes["X"].legs[0]
    leg.state = "nowhere"
    core.step(OperatorCommanded(6, "halt"))
    assert core.closes["X"].state == "quarantined"
    leg.state = "idle"
    core.step(OperatorCommanded(7, "resume"))
    assert core.closes["X"].state == "quarantined"
    core.step(OperatorCommanded(8, "release", "X"))
    assert core.closes["X"].state == "preparing"
