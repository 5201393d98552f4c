"""Which rows scenarios or journals take and how long states are held: measured, judged, overlaid.

A row that no scenario takes is a finding, unless the row says itself why (`Row.untaken`): it cannot
be reached in simulation, or only under a kind of fault that is not built yet. Such an excuse ends
when a scenario takes the row, or when the fault can be produced. It must not change what it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import log10
from pathlib import Path
from statistics import median

from msgspec import Struct

from engine.config import Config, Finding
from engine.diagrams.arrows import Arrow
from engine.diagrams.docs import Docs, MachineDoc, RowDoc
from engine.diagrams.graphs import KEY, Look, Overlay
from engine.dispatcher import fold
from engine.files import read_whole
from engine.journal import Record
from engine.simulation.scenario import Scenario, ScenarioError, load_scenario
from engine.simulation.world import run
from engine.story.tape import open_tape
from engine.taken import Rows, Taken
from engine.toml_files import FILE_BYTES_MAX
from machines.table import Out
from machines.types import NS
from venues.sim.faults import FAULTS

#: Files in a directory of scenarios that only serve others as a base.
BASES = frozenset({"fixture.toml"})
#: Kinds of faults that can be produced: those of a venue, and that of the process.
BUILT = frozenset({*FAULTS, "crash"})
#: What is said of a row that no scenario takes and that does not say why.
UNEXCUSED = "no scenario takes it; write one, or say in the row why none can"
#: An excuse that rests on a fault begins with this, then the kind and a colon.
FAULT = "fault "


class Source(Struct, frozen=True):
    """One file that was measured."""

    file: str
    name: str
    about: str
    source: str
    rows: Rows


class Coverage(Struct):
    """What a set of files takes; `judges` says whether a row not taken is a finding."""

    judges: bool
    taken: Taken
    sources: list[Source] = []
    skipped: list[str] = []

    def count(self, machine: str, row: int) -> int:
        """Times a row was taken in all."""
        return self.taken.rows[machine, row]

    def stay(self, machine: str, state: str) -> tuple[int, int] | None:
        """Median and longest time in a state, in nanoseconds; None if none is known."""
        spans = self.taken.stays.get((machine, state))
        return (int(median(spans)), max(spans)) if spans else None


# ---------------------------------------------------------------- measuring


def scenario_files(path: Path) -> list[Path]:
    """The scenario files below a directory in a fixed order, or the one file itself."""
    if path.is_file():
        return [path]
    return sorted(
        file for file in path.rglob("*.toml") if file.name not in BASES and _is_scenario(file)
    )


def _is_scenario(file: Path) -> bool:
    """Whether a TOML file begins like a scenario: a configuration has no name."""
    lines = read_whole(file, FILE_BYTES_MAX).decode(errors="replace").splitlines()
    tops = [line.partition("=")[0].strip() for line in lines[: _first_table(lines)]]
    return "name" in tops


def _first_table(lines: Sequence[str]) -> int:
    return next((n for n, line in enumerate(lines) if line.startswith("[")), len(lines))


def of_scenarios(files: Iterable[Path]) -> Coverage:
    """Run every file and add up; raises `ScenarioError` for an unreadable one.

    A scenario whose recorded market is not on this machine is left out and named.
    """
    coverage = Coverage(judges=True, taken=Taken())
    for file in files:
        scenario = _loaded(file)
        if scenario is None:
            coverage.skipped.append(f"{file}: its recorded market is not on this machine")
            continue
        world = run(scenario)
        coverage.taken.add(world.taken)
        about = " ".join(scenario.about.split())
        coverage.sources.append(
            Source(str(file), scenario.name, about, scenario.source, world.taken.rows)
        )
    return coverage


def _loaded(file: Path) -> Scenario | None:
    """The scenario; None if nothing is wrong with it but that its recording is absent."""
    try:
        return load_scenario(file)
    except ScenarioError as error:
        if all(_is_absent(mistake.finding) for mistake in error.mistakes):
            return None
        raise


def _is_absent(finding: Finding) -> bool:
    return finding.key.endswith(".recording") and finding.allowed.startswith("must be a file")


def of_journals(files: Iterable[Path], config: Config | None = None) -> Coverage:
    """Fold every journal and add up; `config` for one that lost its session file.

    Raises TapeError and JournalError.
    """
    coverage = Coverage(judges=False, taken=Taken())
    for file in files:
        tape = open_tape(file, config)
        core = tape.build()
        core.tracing = True
        taken = Taken()
        fold(core, tape.records(), _counting(taken))
        coverage.taken.add(taken)
        coverage.sources.append(Source(str(file), tape.name, tape.about, "", taken.rows))
    return coverage


def _counting(taken: Taken) -> Callable[[Record, Out], None]:
    return lambda _, out: taken.take(out.trace or ())


# ---------------------------------------------------------------- judging


def label(machine: MachineDoc, row: RowDoc) -> str:
    """One row as people name it: machine, trigger, source, destination, guards."""
    guards = " and ".join(row.guards)
    dest = row.dest or "(stays)"
    return f"{machine.name}: {row.trigger}: {row.source} > {dest}" + (guards and f" [{guards}]")


def never_taken(docs: Docs, rows: Rows) -> list[tuple[MachineDoc, RowDoc]]:
    """Every row that was never taken, in the order of the tables."""
    return [
        (machine, row)
        for machine in docs.machines
        for row in machine.rows
        if not rows[machine.name, row.number]
    ]


def findings(docs: Docs, rows: Rows) -> list[str]:
    """Rows without scenario and without excuse, and excuses that have ended."""
    found = [
        f"{label(machine, row)}: {UNEXCUSED}"
        for machine, row in never_taken(docs, rows)
        if not row.untaken
    ]
    return found + ended(docs, rows)


def ended(docs: Docs, rows: Rows) -> list[str]:
    """Excuses of rows that have ended: taken all the same, or resting on a fault that is built."""
    found = []
    for machine in docs.machines:
        for row in machine.rows:
            if not row.untaken:
                continue
            if rows[machine.name, row.number]:
                found.append(f"{label(machine, row)}: is taken, yet says {row.untaken!r}")
            kind = fault_of(row)
            if kind in BUILT:
                text = f"the fault {kind} can be produced now; write a scenario with it"
                found.append(f"{label(machine, row)}: {text}")
    return found


def fault_of(row: RowDoc) -> str:
    """The kind of fault that a row's excuse rests on; empty if on none."""
    if not row.untaken.startswith(FAULT):
        return ""
    return row.untaken.removeprefix(FAULT).partition(":")[0].strip()


def excuse(row: RowDoc) -> str:
    """Why no scenario takes a row, in words; empty if it does not say."""
    kind = fault_of(row)
    if not kind:
        return row.untaken
    reason = row.untaken.partition(":")[2].strip()
    return f"only under the fault {kind}, which cannot be produced yet: {reason}"


def report(docs: Docs, coverage: Coverage) -> str:
    """Totals per machine and how long states were held, then rows that were never taken, or were.

    Scenarios are to take every row, so those that none takes are listed, with their excuses, last
    those without. A journal takes a few of them, so those that it took are listed.
    """
    lines = []
    for machine in docs.machines:
        counts = [coverage.count(machine.name, row.number) for row in machine.rows]
        taken = sum(1 for count in counts if count)
        total = sum(counts)
        lines.append(
            f"{machine.name}: {taken} of {len(counts)} rows taken, "
            f"{total} {'time' if total == 1 else 'times'} in all"
        )
        for state in machine.states:
            stay = coverage.stay(machine.name, state.name)
            if stay is not None:
                middle, longest = map(seconds, stay)
                lines.append(f"    {state.name}: median {middle}, longest {longest}")
    lines += _absent(docs, coverage) if coverage.judges else _present(docs, coverage)
    lines += [f"left out: {each}" for each in coverage.skipped]
    return "\n".join(lines) + "\n"


def _absent(docs: Docs, coverage: Coverage) -> Iterator[str]:
    absent = never_taken(docs, coverage.taken.rows)
    by_excuse: dict[str, list[str]] = {}
    for machine, row in absent:
        by_excuse.setdefault(excuse(row), []).append(label(machine, row))
    unexcused = by_excuse.pop("", [])
    yield f"rows never taken: {len(absent)}, {len(absent) - len(unexcused)} of them for a reason"
    for reason, rows in by_excuse.items():
        yield f"  {reason}:"
        yield from (f"    {each}" for each in rows)
    if unexcused:
        yield f"  {UNEXCUSED}:"
        yield from (f"    {each}" for each in unexcused)


def _present(docs: Docs, coverage: Coverage) -> Iterator[str]:
    yield "rows taken, and how often:"
    for machine in docs.machines:
        for row in machine.rows:
            count = coverage.count(machine.name, row.number)
            if count:
                yield f"  {count:6} {label(machine, row)}"


def seconds(span: int) -> str:
    """A span for people: seconds with as many digits as say something."""
    value = span / NS
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"


# ---------------------------------------------------------------- overlaying

#: From seldom to often, then what no scenario takes: with an excuse, and without.
HEAT = ("#7dd3fc", "#38bdf8", "#0284c7", "#1d4ed8", "#1e1b4b")
EXCUSED, UNTAKEN = "#94a3b8", "#dc2626"
#: How the colours are read.
COUNTED = (
    "Arrows: darker and thicker the more often, dashed if never.",
    "States: median and longest time, warmer the longer.",
)
JUDGED = ("Dashed: grey if its rows say why, red if not.",)
#: From short to long stays.
WARMTH = ("#ffffff", "#fefce8", "#fef08a", "#fdba74", "#fca5a5")


def overlay(machine: MachineDoc, arrows: Sequence[Arrow], coverage: Coverage) -> Overlay:
    """Arrows coloured by how often their rows were taken, states by their median stay."""
    looks: dict[int, Look] = {}
    for arrow in arrows:
        rows = [machine.rows[number] for number in arrow.rows]
        counts = [coverage.count(machine.name, row.number) for row in rows]
        total = sum(counts)
        open_ = sum(1 for row, count in zip(rows, counts, strict=True) if not count)
        note = f"{total}x" + (f", {open_} of {len(rows)} rows never" if open_ else "")
        looks[arrow.number] = _heat(
            total, not coverage.judges or all(row.untaken for row in rows), note
        )
    states: dict[str, Look] = {}
    for state in machine.states:
        stay = coverage.stay(machine.name, state.name)
        if stay is not None:
            middle, longest = stay
            note = f"{seconds(middle)}, at most {seconds(longest)}"
            states[state.name] = Look(fill=_step(WARMTH, middle / NS, 0.1), note=note)
    key = (*COUNTED, *(JUDGED if coverage.judges else ()), *KEY)
    return Overlay(f"{machine.name}: {_sources(coverage)}", states, looks, key)


def weights(machine: MachineDoc, arrows: Sequence[Arrow], coverage: Coverage) -> dict[int, Look]:
    """Arrows wider the more often their rows were taken, dashed if never; colours stay."""
    totals = {
        arrow.number: sum(coverage.count(machine.name, row) for row in arrow.rows)
        for arrow in arrows
    }
    return {
        number: Look(width=f"{1 + 0.7 * log10(total):.1f}") if total else Look(dashed=True)
        for number, total in totals.items()
    }


def _heat(total: int, excused: bool, note: str) -> Look:
    if not total:
        color = EXCUSED if excused else UNTAKEN
        return Look(color=color, ink=color, dashed=True, note=note)
    return Look(color=_step(HEAT, total, 3), width=f"{1 + log10(total):.1f}", note=note)


def _step(scale: Sequence[str], value: float, first: float) -> str:
    """A colour of a scale whose steps are decades from `first` on."""
    step = 0 if value < first else 1 + int(log10(value / first))
    return scale[min(step, len(scale) - 1)]


def _sources(coverage: Coverage) -> str:
    count = len(coverage.sources)
    kind = "scenario" if coverage.judges else "journal"
    return f"rows taken by {count} {kind}{'' if count == 1 else 's'}, times in states"


def takers(coverage: Coverage, machine: str) -> Mapping[int, list[tuple[int, int]]]:
    """By row: which files take it and how often, as (number of the file, times)."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, source in enumerate(coverage.sources):
        for (name, row), times in source.rows.items():
            if name == machine:
                found.setdefault(row, []).append((number, times))
    return found
