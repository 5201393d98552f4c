"""Random closes under random trouble: no invariant breaks, and once it stops every close ends.

Set UNWIND_SEEDS=FIRST:LAST to run other seeds; a failing seed prints the scenario to rerun.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.simulation.scenario import load_scenario
from engine.simulation.world import run
from tests.swarm import scenario_text, troubled_text
from tests.wider_swarm import wider_text

FIRST, LAST = (int(part) for part in os.environ.get("UNWIND_SEEDS", "0:160").split(":"))
BATCH = 40
#: What a run of some minutes has at most, with room: more is a loop.
ORDERS_MAX = 60
RECORDS_MAX = 600


@pytest.mark.slow  # forty simulated closes each
@pytest.mark.parametrize("first", range(FIRST, LAST, BATCH))
def test_no_seed_breaks_an_invariant_or_stays_open(first: int, tmp_path: Path) -> None:
    file = tmp_path / "seed.toml"
    records = 0
    print(f"seeds {first} to {min(first + BATCH, LAST) - 1}")
    for seed in range(first, min(first + BATCH, LAST)):
        text = scenario_text(seed)
        file.write_text(text, encoding="utf-8")
        outcome = run(load_scenario(file)).outcome
        records += outcome.journal_records
        assert outcome.ok, f"seed {seed}: {outcome.failed}\n{text}"
    assert records > 10 * (min(first + BATCH, LAST) - first)


@pytest.mark.slow  # forty simulated closes each
@pytest.mark.parametrize("draw", [troubled_text, wider_text])
@pytest.mark.parametrize("first", range(FIRST, LAST, BATCH))
def test_no_trouble_keeps_a_close_from_its_end_or_makes_it_endless(
    draw: Callable[[int], str], first: int, tmp_path: Path
) -> None:
    file = tmp_path / "seed.toml"
    for seed in range(first, min(first + BATCH, LAST)):
        text = draw(seed)
        file.write_text(text, encoding="utf-8")
        outcome = run(load_scenario(file)).outcome
        assert outcome.ok, f"seed {seed}: {outcome.failed}\n{text}"
        assert len(outcome.orders) <= ORDERS_MAX, f"seed {seed}: {len(outcome.orders)} orders"
        assert outcome.journal_records <= RECORDS_MAX, f"seed {seed}: {outcome.journal_records}"


@pytest.mark.slow  # runs ten seeds twice
def test_a_seed_gives_the_same_journal_twice(tmp_path: Path) -> None:
    file = tmp_path / "seed.toml"
    for seed in range(FIRST, FIRST + 10):
        file.write_text(scenario_text(seed), encoding="utf-8")
        first, second = (run(load_scenario(file)).outcome.journal_hash for _ in range(2))
        assert first == second, f"seed {seed}"
