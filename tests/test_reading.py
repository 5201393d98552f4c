"""What is read from the source of guards and actions covers whatever they really do.

The reading may list too much, never too little: it is held against every row that the scenario
suite takes, and against small functions whose effects are plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine.diagrams.coverage import scenario_files
from engine.diagrams.docs import Docs
from engine.diagrams.reading import Effect, Found, Reader
from engine.diagrams.values import Value
from engine.dispatcher import fold
from engine.story.tape import of_scenario
from machines.core import TABLES
from machines.messages import Alarm, Arm
from machines.table import LeanEvent, build
from tests.scenario_files import DIRECTORY

# ---------------------------------------------------------------- held against real runs


class Observed:
    """By (machine, action): what it was seen to do."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], set[tuple[str, str, str]]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every action of every table while cores are folded."""
        note = self._note
        before = [(table, table.machine, table.events) for table in TABLES.values()]

        class Watched(LeanEvent):
            def take(self, rows: Any, model: Any, args: Any, kwargs: Any) -> bool:
                for row in rows:
                    row.before = [_watched(action, note) for action in row.before]
                return super().take(rows, model, args, kwargs)

        try:
            for table in TABLES.values():
                table.machine = build(table, Watched)
                table.events = table.machine.events
            yield
        finally:
            for table, machine, events in before:
                table.machine, table.events = machine, events

    def _note(self, model: Any, name: str, found: set[tuple[str, str, str]]) -> None:
        machine = next(t.name for cls, t in TABLES.items() if cls is type(model))
        self.seen.setdefault((machine, name), set()).update(found)


def _watched(action: Any, note: Any) -> Any:
    if hasattr(action, "_watched"):
        return action

    def watched(data: Any) -> None:
        model, out = data.model, data.args[1]
        commands, mail, timers = len(out.commands), len(out.mail), dict(model.timers)
        action(data)
        found = set()
        for command in out.commands[commands:]:
            if not isinstance(command, Arm):
                kind = command.kind if isinstance(command, Alarm) else ""
                found.add(("command", type(command).__name__, kind))
        for machine, trigger, _ in list(out.mail)[mail:]:
            found.add(("tell", trigger, type(machine).__name__))
        for tag in model.timers:
            if model.timers[tag] != timers.get(tag):
                found.add(("arm", tag, type(model).__name__))
        for tag in timers:
            if tag not in model.timers:
                found.add(("disarm", tag, type(model).__name__))
        note(model, action.__name__, found)

    watched._watched = True  # type: ignore[attr-defined]
    watched.__name__ = action.__name__
    return watched


@pytest.mark.slow  # runs every scenario file once and folds it under observation
def test_no_action_ever_does_what_was_not_read_from_its_source(docs: Docs) -> None:
    observed = Observed()
    for file in scenario_files(DIRECTORY):
        tape = of_scenario(file)
        core = tape.build()
        with observed.watching():
            fold(core, tape.records())
    assert len(observed.seen) > 80, "the suite takes nearly every action there is"
    missing = []
    for (machine, name), seen in observed.seen.items():
        read = {each[:3] for each in docs.machine(machine).callbacks[name].effects}
        stops_all = any(e[0] == "disarm" and e[1] == "*" for e in read)
        for effect in seen:
            told = effect[2]
            covered = any(
                e[0] == effect[0] and e[1] == effect[1] and told in (e[2], *e[2].split("|"))
                for e in read
            )
            if not covered and not (effect[0] == "disarm" and stops_all):
                missing.append((machine, name, effect))
    assert missing == []


def test_every_trigger_is_sent_by_somebody(docs: Docs) -> None:
    for machine in docs.machines:
        for trigger, origins in machine.origins.items():
            assert origins, f"{machine.name}: {trigger}"


# ---------------------------------------------------------------- single functions


class Thing:
    """A model with timers and a neighbour."""

    def __init__(self, friend: Thing) -> None:
        self.friend = friend
        self.timers: dict[str, int] = {}


class Cancel:
    """A command."""


def read(function: Any) -> Found:
    reader = Reader({"Thing": Thing, "Cancel": Cancel}, ["Cancel"], [])
    return reader.read(function, Value("EventData", holder=Value("Thing")))


def test_a_message_to_a_neighbour_is_known_by_its_class_and_certainty() -> None:
    def action(e: Any) -> None:
        thing, out = e.model, e.args[1]
        out.tell(thing.friend, "hello")
        if thing.timers:
            out.tell(thing.friend, "maybe")

    found = read(action)
    assert found.effects == (
        Effect("tell", "hello", "Thing", True),
        Effect("tell", "maybe", "Thing", True),
    ), "without timers there is nothing to stop, so that branch counts as taken"


def test_a_branch_for_timers_that_returns_does_not_hide_what_follows() -> None:
    def action(e: Any) -> None:
        if e.model.timers:
            return
        e.model.timers["late"] = 1

    assert read(action).effects == (Effect("arm", "late", "Thing", False),)


def test_what_a_branch_does_is_not_sure_and_what_follows_a_return_neither() -> None:
    def action(e: Any) -> None:
        thing, out = e.model, e.args[1]
        if thing.wants:
            out.commands.append(Cancel())
            return
        thing.timers["late"] = 1

    assert read(action).effects == (
        Effect("command", "Cancel", "", False),
        Effect("arm", "late", "Thing", False),
    )


def test_a_constant_settles_which_branch_is_read() -> None:
    def action(e: Any) -> None:
        number = 2
        if number == 1:
            e.model.timers["one"] = 1
        else:
            e.model.timers["two"] = 1

    assert read(action).effects == (Effect("arm", "two", "Thing", True),)


def test_a_loop_over_known_tags_stops_each_of_them() -> None:
    def action(e: Any) -> None:
        for tag in ("one", "two"):
            e.model.timers.pop(tag, None)

    assert [effect[:2] for effect in read(action).effects] == [("disarm", "one"), ("disarm", "two")]
