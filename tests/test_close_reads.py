"""How a close ends: two reads of every venue in succession, and no order that may still fill.

Scenarios built here and run whole. Must not reach into the close's table.
"""

from pathlib import Path

from engine.simulation.outcome import Outcome
from engine.simulation.scenario import load_scenario
from engine.simulation.world import run
from machines.types import MS, NS

FIXTURE = Path(__file__).parent / "scenarios" / "fixture.toml"

BOTH_FILL = """
name = "both legs fill at 1.0"
base = "{fixture}"
duration_s = 60

[[timeline]]
at_s = 0
close = {{ pair = "x", reason = "MANUAL" }}

[[timeline]]
at_s = 0.95
fill = {{ instrument = "a:X", qty = "10" }}

[[timeline]]
at_s = 0.95
fill = {{ instrument = "b:X", qty = "10" }}
"""

REVIVED = """
[[timeline]]
at_s = 0
report = {{ instrument = "b:X", order = 1, status = "CANCELED", cum = "0" }}

[[timeline]]
at_s = 0.97
report = {{ instrument = "b:X", order = 1, status = "OPEN", cum = "0", effect = false }}

[[timeline]]
at_s = 0.97
answer = {{ venue = "b", on = "query", outcome = "timeout", count = 0, for_s = 4 }}

[[timeline]]
at_s = 0.97
answer = {{ venue = "b", on = "cancel", outcome = "timeout", count = 0, for_s = 4 }}
"""


def played(text: str, folder: Path) -> Outcome:
    """Run a scenario given as text to its end."""
    file = folder / "scenario.toml"
    file.write_text(text.format(fixture=FIXTURE), encoding="utf-8")
    outcome = run(load_scenario(file)).outcome
    assert outcome.failed == []
    return outcome


def time_of(outcome: Outcome, machine: str, identity: str, dest: str) -> int:
    """When a machine last entered a state, in nanoseconds."""
    rows = [row for row in outcome.transitions if (row.machine, row.id) == (machine, identity)]
    return [row.at for row in rows if row.dest == dest != row.source][-1]


def test_two_reads_in_succession_end_a_close(tmp_path: Path) -> None:
    outcome = played(BOTH_FILL, tmp_path)
    assert time_of(outcome, "close", "x", "reconciling") == NS
    assert time_of(outcome, "close", "x", "reconciled") == NS + 100 * MS


def test_a_close_does_not_end_while_a_dead_order_seems_alive_again(tmp_path: Path) -> None:
    outcome = played(BOTH_FILL + REVIVED, tmp_path)
    revived = time_of(outcome, "order", "b:X#1", "contradicted")
    proved_dead = time_of(outcome, "order", "b:X#1", "cancelled")
    assert NS < revived < NS + 100 * MS
    assert proved_dead > 5 * NS
    assert time_of(outcome, "close", "x", "reconciled") >= proved_dead
    assert outcome.closes["x"].outcome == "flat"
