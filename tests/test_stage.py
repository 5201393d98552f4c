"""What the actions of a timeline become: the facts and answers that reach the engine.

Scenarios are run whole and their journal is read; how the core decides must not matter here.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest

from engine.simulation.scenario import ScenarioError, load_scenario
from engine.simulation.world import World
from machines.messages import CallLost, FillReported, OperatorCommanded, OrderRefused, TruthRead
from machines.types import NS

FIXTURE = Path(__file__).parent / "scenarios" / "fixture.toml"
T = TypeVar("T")


def told(folder: Path, timeline: str, kind: type[T]) -> list[T]:
    """Run a scenario over the standard fixture; return the recorded facts of a kind."""
    file = folder / "stage.toml"
    file.write_text(
        f'name = "stage"\nbase = "{FIXTURE}"\nduration_s = 20\n{timeline}', encoding="utf-8"
    )
    world = World(load_scenario(file))
    world.run()
    facts = [record.fact for record in world.process.journal.read()]
    return [fact for fact in facts if isinstance(fact, kind)]


def at(at_s: float, action: str) -> str:
    return f"\n[[timeline]]\nat_s = {at_s}\n{action}\n"


@pytest.mark.parametrize(
    ("action", "target", "qty"),
    [
        ('command = "resume"', "", None),
        ('command = "resume", venue = "b"', "b", None),
        ('command = "adopt", pair = "x"', "x", None),
        ('command = "adopt", pair = "x", qty = "2.5"', "x", Decimal("2.5")),
        ('command = "adopt", instrument = "b:X", qty = "2"', "b:X", Decimal(2)),
    ],
)
def test_a_word_of_an_operator_arrives_with_what_it_is_about(
    tmp_path: Path, action: str, target: str, qty: Decimal | None
) -> None:
    (word,) = told(tmp_path, at(2, f"operator = {{ {action} }}"), OperatorCommanded)
    assert (word.target, word.qty, word.by) == (target, qty, "operator")


def test_a_refusal_arrives_with_the_time_that_the_venue_stated(tmp_path: Path) -> None:
    answer = 'venue = "a", on = "create", outcome = "reject", code = -1003, retry_after_s = 7.5'
    timeline = at(0, f"answer = {{ {answer} }}") + at(
        1, 'close = { pair = "x", reason = "HARD_STOP" }'
    )
    refused = told(tmp_path, timeline, OrderRefused)[0]
    assert (refused.reason, refused.text) == ("RATE_LIMITED", "-1003")
    assert refused.retry_at == refused.at + 15 * NS // 2


def test_a_refusal_by_a_code_that_nobody_knows_arrives_as_a_lost_call(tmp_path: Path) -> None:
    answer = 'venue = "a", on = "create", outcome = "reject", code = "-9999"'
    timeline = at(0, f"answer = {{ {answer} }}") + at(
        1, 'close = { pair = "x", reason = "HARD_STOP" }'
    )
    (lost,) = told(tmp_path, timeline, CallLost)
    assert (lost.call, lost.cause, lost.text) == ("place", "unmapped_code", "-9999")


def test_a_read_after_a_gap_lists_the_liquidation_that_fell_into_it(tmp_path: Path) -> None:
    external = 'instrument = "b:X", qty = "10", price = "110.00", kind = "liquidation"'
    fault = 'kind = "forced_close", venue = "b", on = "user"'
    # The first frame after the fault breaks the link: the one that tells of the close's order.
    timeline = (
        at(1.9, f"fault = {{ {fault} }}")
        + at(2, 'close = { pair = "x", reason = "MANUAL" }')
        + at(2.1, f"external = {{ {external} }}")
    )
    rows = [row for fact in told(tmp_path, timeline, TruthRead) for row in fact.rows]
    listed = {(each.origin, each.order, each.qty) for row in rows for each in row.trades}
    assert ("liquidation", 0, 1000) in listed
    assert [fill for fill in told(tmp_path, timeline, FillReported) if not fill.order] == []


def test_what_a_list_of_orders_proves_is_a_key_of_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "override.toml"
    text = f'name = "stage"\nbase = "{FIXTURE}"\n[venues.a.override]\nopen_orders = '
    file.write_text(f'{text}"partial"\n', encoding="utf-8")
    world = World(load_scenario(file))
    assert world.venues["a"].settings.capabilities.open_orders == "partial"
    assert world.venues["b"].settings.capabilities.open_orders == "authoritative"
    file.write_text(f'{text}"full"\n', encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"open_orders.*authoritative, lagging, partial"):
        load_scenario(file)
