"""Loads a scenario file: one TOML file becomes one checked value, or a list of all its mistakes.

A file may overlay a base, which may overlay another; mistakes are told with the file that they
stand in. Tables that a configuration has too are read by its own functions. Must not run anything,
scale quantities or draw random numbers.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.config import Config, Finding, Findings, PairSpec, read_toml
from engine.simulation import scenario_keys as keys
from engine.simulation.action_keys import Context, read_entry
from engine.simulation.actions import Action, Answer, Close, Entry, External
from engine.simulation.expect_keys import Expect, Names, read_expect
from engine.simulation.scenario_keys import Reader, Refused
from engine.simulation.scenario_layers import Layers, read_layers
from engine.simulation.scenario_tables import read_config
from machines.types import NS
from venues.instruments import base_to_contracts

#: Larger seeds do not fit the 64 bits of the generator.
SEED_MAX = 2**64 - 1


class Mistake(Struct, frozen=True):
    """One thing that is wrong with one file."""

    file: str
    finding: Finding

    def __str__(self) -> str:
        return f"{self.file}: {self.finding}"


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

    def quantities(self, instrument: str) -> tuple[Decimal, ...]:
        """Every quantity that the file mentions for an instrument, in the venue's contracts.

        They settle the unit that makes all of them whole. What the file says in base units
        (positions and their external changes) is divided by the multiplier.
        """
        spec = self.config.instruments[instrument]
        found = [
            base_to_contracts(value, spec.multiplier) if isinstance(action, External) else value
            for action, value in _mentioned(self.timeline, instrument, _QUANTITIES)
        ]
        if spec.book is not None:
            found += (spec.book.bid_qty, spec.book.ask_qty)
        position = self.config.positions.get(instrument)
        if position is not None:
            found.append(base_to_contracts(position.qty, spec.multiplier))
        return tuple(found)

    def prices(self, instrument: str) -> tuple[Decimal, ...]:
        """Every price that the file mentions for an instrument."""
        spec = self.config.instruments[instrument]
        found = [value for _, value in _mentioned(self.timeline, instrument, _PRICES)]
        if spec.book is not None:
            found += (spec.book.bid, spec.book.ask)
            found += () if spec.book.mark is None else (spec.book.mark,)
        return tuple(found)


#: Fields of actions that are quantities (smallest steps among them) or prices of their instrument.
_QUANTITIES = ("qty", "cum", "bid_qty", "ask_qty", "min_qty", "lot")
_PRICES = ("price", "bid", "ask", "mark")


def _mentioned(
    timeline: tuple[Entry, ...], instrument: str, fields: tuple[str, ...]
) -> Iterator[tuple[Action, Decimal]]:
    """The values of those fields in actions about the instrument (or its venue as a whole)."""
    for entry in timeline:
        action = entry.action
        about = getattr(action, "instrument", None)
        if isinstance(action, Answer) and about is None:
            about = instrument if instrument.partition(":")[0] == action.venue else None
        if about == instrument:
            for field in fields:
                value = getattr(action, field, None)
                if isinstance(value, Decimal):
                    yield action, value


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
    context = Context(names, owners, _fixed_ticks(config, layers))
    timeline = []
    for file, entries in layers.timelines:
        noted = Findings()
        timeline += _read_timeline(entries, context, noted)
        mistakes += [Mistake(file, finding) for finding in noted.items]
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
    return scenario


def _declared(top: Reader, name: str) -> tuple[str, ...]:
    """The names in one table of the file, those included whose own table could not be read."""
    table = top.table.get(name)
    return tuple(table) if isinstance(table, dict) else ()


def _read_timeline(entries: Any, context: Context, findings: Findings) -> list[Entry]:
    if not isinstance(entries, list):
        findings.add("timeline", entries, "must be a list of tables, each under [[timeline]]")
        return []
    read = [
        read_entry(Reader(entry, f"timeline[{number}]", findings), context)
        for number, entry in enumerate(entries)
    ]
    return [entry for entry in read if entry is not None]


def _fixed_ticks(config: Config, layers: Layers) -> dict[str, Decimal]:
    """The ticks that no entry of the timeline changes."""
    changes = [
        entry["set"]
        for _, entries in layers.timelines
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("set"), dict)
    ]
    changed = [change.get("instrument") for change in changes if "tick" in change]
    return {key: spec.tick for key, spec in config.instruments.items() if key not in changed}


def _seed(value: Any) -> int:
    seed = keys.count(value)
    if seed > SEED_MAX:
        raise Refused(f"at most {SEED_MAX}")
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
