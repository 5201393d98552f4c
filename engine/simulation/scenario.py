"""Loads a scenario file: one TOML file becomes one checked value, or a list of all its mistakes.

A file may overlay a base, which may overlay another; mistakes are told with the file that they
stand in. Tables that a configuration has too are read by its own functions. Must not run anything,
scale quantities or draw random numbers.
"""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.config import Config, Finding, Findings, PairSpec, read_toml
from engine.config_values import whole
from engine.simulation import scenario_keys as keys
from engine.simulation.action_keys import Context, read_entry
from engine.simulation.actions import Close, Entry
from engine.simulation.expect_keys import Expect, Names, read_expect
from engine.simulation.scenario_keys import Reader, Refused
from engine.simulation.scenario_layers import Layers, read_layers
from engine.simulation.scenario_scaling import check_numbers
from engine.simulation.scenario_tables import read_config
from engine.texts import printable
from machines.types import NS

#: Larger seeds do not fit the 64 bits of the generator.
SEED_MAX = 2**64 - 1


class Mistake(Struct, frozen=True):
    """One thing that is wrong with one file."""

    file: str
    finding: Finding

    def __str__(self) -> str:
        return f"{printable(self.file)}: {self.finding}"


class ScenarioError(Exception):
    """A scenario cannot be run: every mistake of the file and its bases at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line per mistake: file, key, what stands there and what is allowed."""
        return [str(mistake) for mistake in self.mistakes]


class Scenario(Struct, frozen=True):
    """One scenario, checked. Times are nanoseconds; quantities are still `Decimal`.

    `config` holds venues, instruments, positions and pairs besides the settings; its pairs include
    single positions under their "venue:symbol".
    """

    file: str
    name: str
    config: Config
    timeline: tuple[Entry, ...] = ()
    expect: Expect = Expect()
    about: str = ""
    source: str = ""
    seed: int = 1
    duration_ns: int = 300 * NS
    journal: str = "memory"


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file and its bases.

    Raises `ScenarioError` with everything that is wrong; a file that cannot be read is a mistake
    too.
    """
    layers = read_layers(Path(path), read_toml)
    mistakes = [Mistake(file, finding) for file, finding in layers.mistakes]
    if mistakes:
        raise ScenarioError(mistakes)
    findings = Findings()
    scenario = _read(layers, findings, mistakes)
    mistakes = [
        Mistake(layers.file_of(finding.key), finding) for finding in findings.items
    ] + mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return scenario


def _read(layers: Layers, findings: Findings, mistakes: list[Mistake]) -> Scenario:
    """Read the laid-over tables into `findings`, the timelines of each file into `mistakes`."""
    top = Reader(layers.tables, "", findings)
    config = read_config(top, layers, findings)
    names = Names(
        venues=_declared(top, "venues"),
        instruments=_declared(top, "instruments"),
        pairs=_declared(top, "pairs"),
    )
    owners = {leg: pair.name for pair in config.pairs.values() for leg in pair.legs}
    owners = {leg: pair for leg, pair in owners.items() if pair in names.pairs}
    context = Context(names, owners, {key: spec.tick for key, spec in config.instruments.items()})
    timelines = [(file, *_read_timeline(entries, context)) for file, entries in layers.timelines]
    timeline = [entry for _, entries, _ in timelines for entry in entries]
    scenario = Scenario(
        file=layers.file,
        name=top.need("name", keys.text, ""),
        config=_with_closed_positions(config, timeline),
        timeline=tuple(timeline),
        expect=read_expect(top.sub("expect"), names),
        about=top.take("about", keys.words, ""),
        source=top.take("source", keys.words, ""),
        seed=top.take("seed", _seed, 1),
        duration_ns=top.take("duration_s", keys.seconds, 300 * NS),
        journal=top.take("journal", keys.one_of(("memory", "sqlite")), "memory"),
    )
    top.skip(["base", "timeline"])
    top.done()
    read = [(entries, noted) for _, entries, noted in timelines]
    check_numbers(config, read, findings)
    for file, _, noted in timelines:
        mistakes += [Mistake(file, finding) for finding in noted.items]
    return scenario


def _declared(top: Reader, name: str) -> tuple[str, ...]:
    """The names in one table of the file, those included whose own table could not be read."""
    table = top.table.get(name)
    return tuple(table) if isinstance(table, dict) else ()


def _read_timeline(entries: Any, context: Context) -> tuple[list[Entry], Findings]:
    findings = Findings()
    if not isinstance(entries, list):
        findings.add("timeline", entries, "must be a list of tables, each under [[timeline]]")
        return [], findings
    read = [
        read_entry(Reader(entry, f"timeline[{number}]", findings), context)
        for number, entry in enumerate(entries)
    ]
    return [entry for entry in read if entry is not None], findings


def _seed(value: Any) -> int:
    seed = whole(value)
    if not 0 <= seed <= SEED_MAX:
        raise Refused(f"a whole number of at least 0 and at most {SEED_MAX}")
    return seed


def _with_closed_positions(config: Config, timeline: list[Entry]) -> Config:
    """Add what the timeline closes by its position although the file gives it none (it is flat)."""
    flat = {
        entry.action.name: PairSpec(
            entry.action.name, (entry.action.name,), config.close, config.open
        )
        for entry in timeline
        if isinstance(entry.action, Close)
        and entry.action.is_position
        and entry.action.name not in config.pairs
    }
    return msgspec.structs.replace(config, pairs={**config.pairs, **flat}) if flat else config
