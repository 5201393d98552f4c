"""Pairs are closed on recorded books of real markets; skipped where the recordings are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load
from engine.simulation.scenario import load_scenario
from engine.simulation.world import run

HERE = Path(__file__).parent / "real"
SLICE = HERE.parents[2] / "shared" / "data" / "slices" / "btc_3books_busy60s.csv.gz"
recorded = pytest.mark.skipif(
    not SLICE.exists(), reason="the recorded books (shared/data beside the checkout) are absent"
)


@recorded
@pytest.mark.slow  # replays 25,000 recorded rows
@pytest.mark.parametrize("name", ["btc_usdm_spot", "btc_coinm_usdm_urgent"])
def test_a_pair_is_closed_on_recorded_books(name: str) -> None:
    outcome = run(load_scenario(HERE / f"{name}.toml")).outcome
    assert outcome.failed == []
    assert len(outcome.orders) >= 2


@recorded
def test_the_recorded_configuration_is_valid() -> None:
    config = load(HERE / "config.toml")
    assert [spec.recording.partition("#")[2] for spec in config.instruments.values()] == [
        "spot",
        "usdm",
    ]
