"""Which rows of the transition tables a set of scenario files takes, and how often.

Runs the files and counts; it must not judge what a run did, nor look inside a machine.

    python -m engine.simulation.coverage tests/scenarios
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from engine.simulation.scenario import ScenarioError, load_scenario
from engine.simulation.world import run
from machines.core import TABLES
from machines.table import Row, Table

#: Times taken, by machine and row number of its expanded table.
Counts = Mapping[tuple[str, int], int]

#: Files in a directory of scenarios that only serve others as a base.
BASES = frozenset({"fixture.toml"})


def tables() -> tuple[Table, ...]:
    """Every production table, in the order of the life of a close."""
    return tuple(TABLES.values())


def scenario_files(path: Path) -> list[Path]:
    """The scenario files below a directory in a fixed order, or the one file itself."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*.toml") if file.name not in BASES)


def measure(files: Iterable[Path]) -> Counter[tuple[str, int]]:
    """Run every file and add up the rows taken; raises `ScenarioError` for an unreadable one."""
    total: Counter[tuple[str, int]] = Counter()
    for file in files:
        total.update(run(load_scenario(file)).taken.rows)
    return total


def label(table: Table, row: Row) -> str:
    """One row as people name it: table, trigger, source, destination, guards."""
    dest = row.dest if row.dest is not None else "(stays)"
    guards = " and ".join(guard.__name__ for guard in row.guards)
    return f"{table.name}: {row.trigger}: {row.source} > {dest}" + (guards and f" [{guards}]")


def untaken(counts: Counts) -> list[str]:
    """Labels of all rows that were never taken, in the order of the tables."""
    return [
        label(table, row)
        for table in tables()
        for number, row in enumerate(table.rows)
        if not counts.get((table.name, number))
    ]


def report(counts: Counts) -> str:
    """Every row with how often it was taken, and a total per table."""
    lines = []
    for table in tables():
        taken = sum(1 for number in range(len(table.rows)) if counts.get((table.name, number)))
        lines.append(f"{table.name}: {taken} of {len(table.rows)} rows taken")
        lines += [
            f"{counts.get((table.name, number), 0):>8}  {label(table, row)}"
            for number, row in enumerate(table.rows)
        ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the report of the files or directories given; exit status 2 if one cannot be read."""
    files = [file for argument in arguments for file in scenario_files(Path(argument))]
    if not files:
        sys.stderr.write("usage: python -m engine.simulation.coverage FILE_OR_DIRECTORY...\n")
        return 2
    try:
        counts = measure(files)
    except ScenarioError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return 2
    sys.stdout.write(report(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
