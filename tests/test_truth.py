"""The checkers' view of the venues goes through what is new only, and misses nothing by that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.simulation.scenario import Scenario, load_scenario
from engine.simulation.world import World
from machines.types import NS
from tests.scenario_files import FILES, name_of


class Searched(World):
    """A world that goes through every order after every instant, and compares."""

    instants = 0

    def settle(self) -> None:
        super().settle()
        self.instants += 1
        orders = [order for venue in self.venues.values() for order in venue.orders]
        assert self.truth.live_orders() == Counter(o.instrument for o in orders if o.alive)
        overfilled = {o.instrument for o in orders if o.cum > o.qty}
        assert self.watch.held.overfilled == overfilled


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_live_and_overfilled_orders_are_those_of_a_full_search(file: Path) -> None:
    world = Searched(load_scenario(file))
    world.run()
    assert world.instants > 0


REVIVED = """
name = "an order comes back"
base = "{fixture}"
duration_s = 10
[[timeline]]
at_s = 0
close = {{ pair = "x", reason = "KILL" }}
[[timeline]]
at_s = 5
report = {{ instrument = "a:X", order = "last_terminal", status = "OPEN" }}
[[timeline]]
at_s = 6
fill = {{ instrument = "a:X", qty = "20" }}
"""


class Counted(Searched):
    """A world that notes the live orders of a:X before and when one comes back, by time."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.live: dict[int, int] = {}

    def settle(self) -> None:
        super().settle()
        now = self.kernel.now - self.origin
        if now in (4 * NS, 5 * NS):
            self.live[now] = self.truth.live_orders()[self.by_key["a:X"].index]


def test_an_order_that_a_script_revives_counts_as_live_and_overfilled(tmp_path: Path) -> None:
    file = tmp_path / "revived.toml"
    fixture = Path(__file__).parent / "scenarios" / "fixture.toml"
    file.write_text(REVIVED.format(fixture=fixture), encoding="utf-8")
    world = Counted(load_scenario(file))
    world.run()
    assert world.live == {4 * NS: 0, 5 * NS: 1}
    assert world.by_key["a:X"].index in world.watch.held.overfilled
