"""Every scenario file holds, matches its golden trace, and folds back to the same state."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.dispatcher import fold
from engine.simulation.runner import golden
from engine.simulation.scenario import load_scenario
from engine.simulation.world import World, run
from machines.digest import digest
from machines.messages import Fact
from machines.table import Out
from tests.scenario_files import FILES, name_of


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_scenario_holds_and_matches_its_golden_trace(file: Path) -> None:
    outcome = run(load_scenario(file)).outcome
    golden(outcome, file, rewrite=False)
    assert outcome.failed == []
    assert outcome.violated == []
    assert outcome.checked > 0


class Filmed(World):
    """A world that keeps the live state's digest after every record."""

    def __init__(self, file: Path) -> None:
        super().__init__(load_scenario(file))
        self.film: list[bytes] = []

    def stepped(self, fact: Fact, out: Out) -> None:
        super().stepped(fact, out)
        assert self.process.dispatcher is not None
        self.film.append(digest(self.process.dispatcher.core))


@pytest.mark.parametrize(
    "name", ["c01_unequal_legs", "c02a_race_two_counters", "c90_no_presumed_cancel"]
)
def test_fold_equals_live_state_at_every_record(name: str) -> None:
    world = Filmed(Path(__file__).parent / "scenarios" / f"{name}.toml")
    world.run()
    records = list(world.process.journal.read())
    assert len(records) == len(world.film)
    core = world.fresh_core()
    for record, live in zip(records, world.film, strict=True):
        fold(core, [record])
        assert digest(core) == live, f"record {record.seq}: {record.fact}"


@pytest.mark.parametrize("name", ["c01_unequal_legs", "c39_unfilled_leg_is_not_forgotten"])
def test_two_runs_of_a_seed_write_the_same_journal(name: str) -> None:
    file = Path(__file__).parent / "scenarios" / f"{name}.toml"
    first, second = run(load_scenario(file)).outcome, run(load_scenario(file)).outcome
    assert first.journal_records > 0
    assert first.journal_hash == second.journal_hash


def test_a_journal_in_sqlite_records_what_one_in_memory_does(tmp_path: Path) -> None:
    file = Path(__file__).parent / "scenarios" / "c01_unequal_legs.toml"
    in_file = tmp_path / "sqlite.toml"
    in_file.write_text(f'base = "{file}"\nname = "the same on disk"\njournal = "sqlite"\n')
    memory, disk = run(load_scenario(file)).outcome, run(load_scenario(in_file)).outcome
    assert disk.failed == []
    assert disk.journal_records == memory.journal_records
    assert [row.client_id for row in disk.orders] == [row.client_id for row in memory.orders]
