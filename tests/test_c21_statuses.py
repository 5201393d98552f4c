"""C21: every text by which a venue ends an order is an end with a typed reason; others are doubt.

One scenario per status, built here and run whole. Must not look into the venue's word tables.
"""

from pathlib import Path

import pytest

from engine.simulation.outcome import OrderRow, TransitionRow
from engine.simulation.scenario import load_scenario
from engine.simulation.world import World
from machines.messages import Command, ReadTruth
from machines.order_model import Order
from machines.types import NS

FIXTURE = Path(__file__).parent / "scenarios" / "fixture.toml"

#: Status text, reason, and whether the position is read before the next order.
ENDS = (
    ("canceled", "CANCELED", False),
    ("canceled-post-only", "WOULD_CROSS", False),
    ("canceled-reduce-only", "REDUCE_ONLY_VIOLATION", True),
    ("canceled-position-not-allowed", "POSITION_LIMIT", True),
    ("canceled-margin-not-allowed", "INSUFFICIENT_MARGIN", False),
    ("canceled-too-much-slippage", "SLIPPAGE_BOUND", False),
    ("canceled-not-enough-liquidity", "NO_LIQUIDITY", False),
    ("canceled-self-trade", "SELF_TRADE", True),
    ("canceled-expired", "EXPIRED", False),
    ("canceled-oco", "CANCELED", False),
    ("canceled-child", "CANCELED", False),
    ("canceled-liquidation", "IN_LIQUIDATION", True),
    ("canceled-invalid-balance", "INSUFFICIENT_MARGIN", False),
)
UNKNOWN_TEXT = "frozen"

SCENARIO = """
name = "C21 {status}"
source = "scenarios-close C21"
base = "{fixture}"
duration_s = 60

[[timeline]]
at_s = 0
close = {{ pair = "x", reason = "MANUAL" }}

[[timeline]]
at_s = 0.95
report = {{ instrument = "b:X", order = 1, status = "{status}", cum = "0" }}

[expect]
positions = {{ "a:X" = "0", "b:X" = "0" }}
closes.x.state = "reconciled"
closes.x.outcome = "flat"
within_s = 31.1
never = ["two_live_orders_on_a_leg", "order_larger_than_remaining", "position_flips"]
"""


class Listening(World):
    """A world that notes when positions were asked for at b."""

    def sent(self, command: Command) -> None:
        if isinstance(command, ReadTruth) and command.venue == "b":
            self.read_at.append(command.at - self.origin)
        super().sent(command)

    def listen(self) -> "Listening":
        """Start with an empty list."""
        self.read_at: list[int] = []
        return self


def played(status: str, folder: Path) -> Listening:
    """Run the scenario of one status to its end."""
    file = folder / "c21.toml"
    file.write_text(SCENARIO.format(status=status, fixture=FIXTURE), encoding="utf-8")
    world = Listening(load_scenario(file)).listen()
    world.outcome = world.run()
    assert world.outcome.failed == []
    return world


def orders_of_b(world: World) -> list[OrderRow]:
    return [row for row in world.outcome.orders if row.key == "b:X"]


def moves_of_first(world: World) -> list[TransitionRow]:
    return [row for row in world.outcome.transitions if row.id == "b:X#1"]


def first_order(world: World) -> Order:
    assert world.process.dispatcher is not None
    orders = world.process.dispatcher.core.env.orders.values()
    return next(order for order in orders if order.id == "b:X#1")


@pytest.mark.parametrize(("status", "reason", "reads_first"), ENDS)
def test_a_cancel_status_is_the_death_of_its_order(
    status: str, reason: str, reads_first: bool, tmp_path: Path
) -> None:
    world = played(status, tmp_path)
    last = moves_of_first(world)[-1]
    assert (last.source, last.dest, last.at) == ("live", "cancelled", NS)
    assert first_order(world).end_reason == reason
    assert [row.at for row in orders_of_b(world)] == [0, 3 * NS // 2, 30 * NS + NS // 20]
    between = [at for at in world.read_at if NS <= at < 3 * NS // 2]
    assert bool(between) == reads_first
    assert world.outcome.alarms == []


def test_a_text_nobody_knows_is_asked_about_and_the_order_stays(tmp_path: Path) -> None:
    world = played(UNKNOWN_TEXT, tmp_path)
    answered = NS + NS // 20
    ways = [(row.source, row.dest, row.at) for row in moves_of_first(world)][2:4]
    assert ways == [("live", "unknown", NS), ("unknown", "live", answered)]
    assert [row.at for row in orders_of_b(world)] == [0, 30 * NS + NS // 20]
    assert [alarm.kind for alarm in world.outcome.alarms] == ["unmapped_code"]


def test_the_catalogue_names_fourteen_statuses() -> None:
    assert len({status for status, _, _ in ENDS} | {UNKNOWN_TEXT}) == 14
