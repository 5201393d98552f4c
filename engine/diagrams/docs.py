"""The machines as plain data: states, rows, guards, actions and what may come of them.

Everything that is drawn, compared or checked is drawn from here, and here from the tables that run.
`describe` imports `machines` when it is called, so that the same code reads another revision's. It
must not import anything of the engine but the reader of source code.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import replace

from engine.diagrams.reading import Effect, Reader
from engine.diagrams.source import code_of
from engine.diagrams.values import Value

#: Classes whose fields are configuration.
SETTINGS = (
    "PassiveSettings",
    "AggressiveSettings",
    "MarketSettings",
    "CloseSettings",
    "SessionSettings",
    "VenueSettings",
    "Capabilities",
)
#: Fields of those that hold other settings, or no setting at all.
_NO_SETTINGS = frozenset({"passive_limit", "aggressive_limit", "market", "capabilities", "name"})


class CallbackDoc(Struct, frozen=True):
    """A guard or action: what it says of itself, may do, and which settings it reads.

    `calls` names itself and every function that it calls in turn, as in `MachineDoc.code`.
    """

    name: str
    doc: str
    effects: tuple[Effect, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    calls: tuple[str, ...] = ()


class StateDoc(Struct, frozen=True):
    """A state; `timers` as (tag, what sets its length)."""

    name: str
    meaning: str
    timers: tuple[tuple[str, str], ...] = ()
    terminal: bool = False
    unbounded: str = ""
    group: str = ""


class RowDoc(Struct, frozen=True):
    """One row with one source; `dest` is empty for one that stays."""

    number: int
    trigger: str
    source: str
    dest: str
    guards: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    why: str = ""
    late: bool = False
    bound: str = ""
    untaken: str = ""

    @property
    def target(self) -> str:
        """The state after the row."""
        return self.dest or self.source

    @property
    def moves(self) -> bool:
        """Whether the state changes."""
        return self.target != self.source


class MachineDoc(Struct, frozen=True):
    """One machine; `model` is the class of its instances, `origins` who sends each trigger.

    A trigger of `origins` without a row is sent, and nobody takes it. `code` is the source of all
    functions behind its rows, without comments and docstrings. `armed_by` says of its timers which
    others than its own rows may arm.
    """

    name: str
    model: str
    about: str
    initial: str
    states: tuple[StateDoc, ...]
    rows: tuple[RowDoc, ...]
    callbacks: dict[str, CallbackDoc]
    origins: dict[str, tuple[str, ...]]
    code: dict[str, str] = {}
    armed_by: dict[str, tuple[str, ...]] = {}

    def state(self, name: str) -> StateDoc:
        """The state of that name."""
        return next(each for each in self.states if each.name == name)

    def effects(self, row: RowDoc) -> tuple[Effect, ...]:
        """What a row may do, in order, each once."""
        found = [effect for name in row.actions for effect in self.callbacks[name].effects]
        return tuple(dict.fromkeys(found))

    def settings(self, row: RowDoc) -> tuple[tuple[str, str], ...]:
        """The settings that the guards and actions of a row read."""
        names = (*row.guards, *row.actions)
        found = [each for name in names for each in self.callbacks[name].settings]
        return tuple(dict.fromkeys(found))


class JointDoc(Struct, frozen=True):
    """A rule of the joint table; `rung` is what leg `b` must reach, empty for none."""

    a: str
    b: str
    rung: str
    why: str


class Docs(Struct, frozen=True):
    """All machines, in the order of the life of a close, and the joint table of two legs."""

    machines: tuple[MachineDoc, ...]
    joint: tuple[JointDoc, ...]

    def machine(self, name: str) -> MachineDoc:
        """The machine of that name."""
        return next(each for each in self.machines if each.name == name)


# ---------------------------------------------------------------- reading the tables


def describe(tables: Iterable[Any] | None = None) -> Docs:
    """Describe the running tables, or others in their place."""
    core = importlib.import_module("machines.core")
    reader = _reader()
    if tables is None:
        chosen = [(table, model.__name__) for model, table in core.TABLES.items()]
    else:
        chosen = [(table, table.model.__name__) for table in tables]
    bare = [_machine(table, model, reader) for table, model in chosen]
    outside = _outside(core, reader)
    origins = _origins(bare, outside)
    return Docs(
        tuple(_with_origins(machine, origins, _armers(bare, outside)) for machine in bare),
        tuple(_joint(importlib.import_module("machines.joint"))),
    )


@cache
def _reader() -> Reader:
    """One for all descriptions: what a function may do does not change while a process runs."""
    return Reader(_classes(), _commands(), SETTINGS)


def _classes() -> dict[str, type]:
    """Every class that a module of `machines` defines, by name."""
    package = importlib.import_module("machines")
    found: dict[str, type] = {}
    for info in pkgutil.walk_packages(package.__path__, "machines."):
        things = vars(importlib.import_module(info.name)).items()
        found |= {
            name: thing
            for name, thing in things
            if inspect.isclass(thing) and thing.__module__ == info.name
        }
    return found


def _commands() -> list[str]:
    messages = importlib.import_module("machines.messages")
    return [each.__name__ for each in get_args(messages.Command)]


def _machine(table: Any, model: str, reader: Reader) -> MachineDoc:
    event = Value("EventData", holder=Value(model))
    callbacks: dict[str, CallbackDoc] = {}
    code: dict[str, str] = {}
    for row in table.rows:
        for function in (*row.guards, *row.actions):
            if function.__name__ not in callbacks:
                callbacks[function.__name__] = _callback(function, reader, event, code)
    module = sys.modules.get(f"machines.{table.name}")
    return MachineDoc(
        table.name,
        model,
        inspect.cleandoc((module.__doc__ if module else "") or ""),
        table.initial,
        tuple(_state(state) for state in table.states.values()),
        tuple(_row(number, row) for number, row in enumerate(table.rows)),
        callbacks,
        {},
        code,
    )


def _callback(
    function: Callable[..., Any], reader: Reader, event: Value, code: dict[str, str]
) -> CallbackDoc:
    found = reader.read(function, event)
    calls = {f"{each.__module__}.{each.__qualname__}": each for each in found.followed}
    for name, each in calls.items():
        code.setdefault(name, code_of(each))
    settings = tuple(each for each in found.settings if each[1] not in _NO_SETTINGS)
    doc = " ".join(inspect.cleandoc(function.__doc__ or "").split())
    return CallbackDoc(function.__name__, doc, found.effects, settings, tuple(calls))


def _state(state: Any) -> StateDoc:
    # An older revision has no groups, and names its timers in the text alone.
    parts = [part.partition(":") for part in state.deadline.split(";") if part.strip()]
    timers = tuple((tag.strip(), length.strip()) for tag, _, length in parts)
    group = getattr(state, "group", "")
    return StateDoc(state.name, state.meaning, timers, state.terminal, state.unbounded, group)


def _row(number: int, row: Any) -> RowDoc:
    return RowDoc(
        number,
        row.trigger,
        str(row.source),
        row.dest or "",
        tuple(each.__name__ for each in row.guards),
        tuple(each.__name__ for each in row.actions),
        row.why,
        row.late,
        getattr(row, "bound", ""),
        getattr(row, "untaken", ""),
    )


def _joint(module: Any) -> list[JointDoc]:
    rungs = importlib.import_module("machines.types").RUNGS
    return [
        JointDoc(a, b, "" if rule.rung is None else rungs[rule.rung], rule.why)
        for rule in module.JOINT
        for a in words(rule.a)
        for b in words(rule.b)
    ]


def words(side: str | tuple[str, ...]) -> tuple[str, ...]:
    """What one side of a joint rule stands for."""
    return side if isinstance(side, tuple) else (side,)


# ---------------------------------------------------------------- who sends what


def _outside(core: Any, reader: Reader) -> dict[str, tuple[Effect, ...]]:
    """What the core tells machines by itself: per fact, and when a machine of ours breaks."""
    bench = core.Core([], [], [])
    found = {
        fact.__name__: reader.read(handler.__func__, Value("Core")).effects
        for fact, handler in bench.handlers.items()
    }
    found["a defect of ours"] = reader.read(type(bench)._quarantine, Value("Core")).effects
    return found


def _origins(
    machines: list[MachineDoc], outside: dict[str, tuple[Effect, ...]]
) -> dict[tuple[str, str], list[str]]:
    """Senders by (class, trigger): machines by name, facts by class, timers as `timer`."""
    triggers = {m.model: {row.trigger for row in m.rows} for m in machines}
    found: dict[tuple[str, str], list[str]] = {}
    for sender, effect in _sent(machines, outside):
        if effect.kind not in ("tell", "arm"):
            continue
        name = "timer" if effect.kind == "arm" else sender
        for model in effect.target.split("|"):
            for trigger in _matching(effect, triggers.get(model, set())):
                known = found.setdefault((model, trigger), [])
                if name not in known:
                    known.append(name)
    return found


def _sent(
    machines: list[MachineDoc], outside: dict[str, tuple[Effect, ...]]
) -> Iterable[tuple[str, Effect]]:
    """Everything that may come of a machine's rows or of a fact, with whose it is."""
    for machine in machines:
        for callback in machine.callbacks.values():
            yield from ((machine.name, effect) for effect in callback.effects)
    for fact, effects in outside.items():
        yield from ((fact, effect) for effect in effects)


def _matching(effect: Effect, triggers: set[str]) -> list[str]:
    head, star, tail = effect.name.partition("*")
    if not star:
        return [effect.name] if effect.name in triggers or effect.kind == "tell" else []
    return sorted(each for each in triggers if each.startswith(head) and each.endswith(tail))


def _armers(
    machines: list[MachineDoc], outside: dict[str, tuple[Effect, ...]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """By class: the timers that others than its own rows may arm, each with all who may."""
    owners = {machine.name: machine.model for machine in machines}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for sender, effect in _sent(machines, outside):
        for model in effect.target.split("|") if effect.kind == "arm" else ():
            if owners.get(sender) != model:
                tags = found.setdefault(model, {})
                tags[effect.name] = tuple(dict.fromkeys((*tags.get(effect.name, ()), sender)))
    return found


def _with_origins(
    machine: MachineDoc,
    origins: dict[tuple[str, str], list[str]],
    armers: dict[str, dict[str, tuple[str, ...]]],
) -> MachineDoc:
    sent = [trigger for model, trigger in origins if model == machine.model]
    triggers = dict.fromkeys([*(row.trigger for row in machine.rows), *sent])
    known = {each: tuple(origins.get((machine.model, each), ())) for each in triggers}
    return replace(machine, origins=known, armed_by=armers.get(machine.model, {}))
