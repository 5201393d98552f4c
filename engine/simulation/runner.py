"""`unwind sim`: runs scenario files one after another and prints what became of them.

Exit status: 0 if every expectation of every file holds, 1 if one does not, 2 if a file cannot be
read. It must not change a file unless it was told to rewrite golden traces.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from engine.simulation.golden import compare_trace, render_trace
from engine.simulation.outcome import Outcome, seconds_text, to_json
from engine.simulation.scenario import Scenario, ScenarioError, load_scenario
from engine.simulation.world import run


def main(
    files: Sequence[str | Path],
    *,
    json: bool = False,
    trace: bool = False,
    rewrite: bool = False,
) -> int:
    """Run the files and print; returns the exit status."""
    scenarios: list[Scenario] = []
    unreadable = 0
    for file in files:
        try:
            scenarios.append(load_scenario(file))
        except ScenarioError as error:
            unreadable += 1
            for line in error.lines():
                print(line, file=sys.stderr)  # noqa: T201 - the command's own output
    if unreadable:
        return 2
    failed = 0
    for scenario in scenarios:
        outcome = run(scenario).outcome
        golden(outcome, Path(scenario.file), rewrite=rewrite)
        failed += not outcome.ok
        report(outcome, json=json, trace=trace)
    return 1 if failed else 0


def golden(outcome: Outcome, file: Path, *, rewrite: bool) -> None:
    """Compare with the golden trace beside the file, if there is one, or write it anew."""
    path = file.with_suffix(".trace")
    text = render_trace(outcome)
    if rewrite:
        path.write_text(text, encoding="utf-8")
    elif path.exists():
        differing = compare_trace(path, text)
        if differing:
            outcome.failed += [f"trace: {line}" for line in differing]
            outcome.ok = False


def report(outcome: Outcome, *, json: bool, trace: bool) -> None:
    """Print one run: as JSON, or a line with every failed expectation below it."""
    out = sys.stdout
    if json:
        out.write(to_json(outcome) + "\n")
        return
    if trace:
        out.write(render_trace(outcome))
    verdict = "ok" if outcome.ok else "FAILED"
    ended = seconds_text(outcome.ended_at)
    out.write(
        f"{verdict:6} {outcome.file}: {outcome.name} "
        f"({len(outcome.orders)} orders, {ended} s, {outcome.checked} checks)\n"
    )
    for line in outcome.failed:
        out.write(f"       {line}\n")
