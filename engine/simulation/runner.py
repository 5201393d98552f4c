"""`unwind sim`: runs scenario files one after another and prints what became of them.

Exit status: 0 if every expectation of every file holds, 1 if one does not, 2 if a file cannot be
read or is given twice, before any of them is run, or a trace cannot be read or written. It must not
change a file unless it was told to rewrite golden traces.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os.path import realpath
from pathlib import Path

from engine.journal import JournalError
from engine.simulation.golden import compare_trace, render_trace
from engine.simulation.outcome import Outcome, seconds_text, to_json
from engine.simulation.scenario import Scenario, ScenarioError, load_scenario
from engine.simulation.world import run
from engine.texts import ascii_json, put
from machines.errors import ReplayDiverged

#: What a defect of ours looks like from outside; anything else ends the command.
CRASHES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    JournalError,
    LookupError,
    ReplayDiverged,
    TypeError,
    ValueError,
)


def main(
    files: Sequence[str | Path],
    *,
    json: bool = False,
    trace: bool = False,
    rewrite: bool = False,
) -> int:
    """Run the files and print; returns the exit status."""
    scenarios, mistakes = load_all([Path(file) for file in files])
    if mistakes:
        return _refuse(mistakes)
    failed = 0
    for scenario in scenarios:
        try:
            outcome = run(scenario).outcome
        except CRASHES as error:
            # One file that breaks the program must not keep the others from being run.
            put([f"FAILED {scenario.file}: broke the engine: {error!r}"], sys.stderr)
            failed += 1
            continue
        try:
            golden(outcome, Path(scenario.file), rewrite=rewrite)
        except OSError as error:
            return _refuse([f"{error.filename}: {error.strerror}"])
        failed += not outcome.ok
        report(outcome, json=json, trace=trace)
    return 1 if failed else 0


def load_all(files: Sequence[Path]) -> tuple[list[Scenario], list[str]]:
    """Read all files; gives the scenarios and every mistake of every file, one line each."""
    scenarios: list[Scenario] = []
    mistakes: list[str] = []
    seen: dict[str, Path] = {}
    for file in files:
        first = seen.setdefault(realpath(file), file)
        if first is not file:
            mistakes.append(f"{file}: is given twice, first as {first}; give each file once")
            continue
        try:
            scenarios.append(load_scenario(file))
        except ScenarioError as error:
            mistakes += error.lines()
    return scenarios, mistakes


def _refuse(lines: Sequence[str]) -> int:
    put(lines, sys.stderr)
    return 2


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
        out.write(ascii_json(to_json(outcome)) + "\n")
        return
    if trace:
        put(render_trace(outcome).splitlines(), out)
    verdict = "ok" if outcome.ok else "FAILED"
    ended = seconds_text(outcome.ended_at)
    told = (
        f"{verdict:6} {outcome.file}: {outcome.name} "
        f"({len(outcome.orders)} orders, {ended} s, {outcome.checked} checks)"
    )
    put([told, *(f"       {line}" for line in outcome.failed)], out)
