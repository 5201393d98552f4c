"""The lean event class does what the stock one does, on random machines and on our own tables.

Both run the same script of triggers. Every callback notes what it was shown, and an oracle seeded
per run decides what guards answer and which callbacks raise; the two notebooks must be equal.
"""

import copy
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transitions import Event, EventData, Machine, MachineError, State

from machines.table import Callback, LeanEvent, Table, build

MACHINES = 1500
#: What guards answer: the library compares with the target, so truthiness is not enough.
ANSWERS = (True, True, True, False, False, None, 0, 1, 2, "")


class Instance:
    """What an instance of a production table looks like to the library."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


class Oracle:
    """Decides at random, notes every question; two of one seed agree while asked the same."""

    def __init__(self, seed: int, breaks: bool) -> None:
        self.random = Random(seed)
        self.breaks = breaks
        self.notes: list[Any] = []

    def answer(self, label: str, data: EventData) -> Any:
        self._note(label, data)
        return self.random.choice(ANSWERS)

    def act(self, label: str, data: EventData) -> None:
        self._note(label, data)
        if self.breaks and self.random.random() < 0.05:
            raise self.random.choice((ValueError, KeyError, MachineError))(label)

    def _note(self, label: str, data: EventData) -> None:
        taken = data.transition
        shown = (data.event.name, data.state.name, data.model.state, taken.source, taken.dest)
        self.notes.append((label, *shown, data.args[1:], data.kwargs, data.result))


def guard(label: str) -> Callback:
    return lambda data: data.args[0].answer(label, data)


def action(label: str) -> Callback:
    return lambda data: data.args[0].act(label, data)


class Plan(NamedTuple):
    """A random machine: states with (enter, exit) labels, and rows of `add_transition`."""

    states: dict[str, tuple[list[str], list[str]]]
    rows: list[tuple[str, str, str | None, dict[str, list[str]]]]


def random_plan(random: Random) -> Plan:
    def labels(kind: str, most: int) -> list[str]:
        return [f"{kind} {index}" for index in range(random.randint(0, most))]

    names = [f"s{index}" for index in range(random.randint(1, 5))]
    triggers = [f"t{index}" for index in range(random.randint(1, 4))]
    states = {name: (labels(f"enter {name}", 2), labels(f"exit {name}", 2)) for name in names}
    rows = []
    for number in range(random.randint(1, 14)):
        dest = random.choice([*names, None])
        callbacks = {
            kind: labels(f"{kind} {number}", most)
            for kind, most in (("conditions", 2), ("unless", 1), ("before", 2), ("after", 2))
        }
        rows.append((random.choice(triggers), random.choice(names), dest, callbacks))
    return Plan(states, rows)


def machine_of(plan: Plan, event: type[Event]) -> Machine:
    class Shared(Machine):
        event_cls = event

    states = [
        State(name, on_enter=[action(x) for x in enter], on_exit=[action(x) for x in leave])
        for name, (enter, leave) in plan.states.items()
    ]
    machine = Shared(None, states, initial="s0", auto_transitions=False, send_event=True)
    make = {"conditions": guard, "unless": guard, "before": action, "after": action}
    for trigger, source, dest, callbacks in plan.rows:
        made = {kind: [make[kind](x) for x in labels] for kind, labels in callbacks.items()}
        machine.add_transition(trigger, source, dest, **made)
    return machine


def script_of(machine: Machine, random: Random, length: int) -> list[tuple[str, str | None]]:
    """Triggers to fire; now and then the instance is first put into a state, as on restore."""
    triggers, states = sorted(machine.events), sorted(machine.states)
    return [
        (random.choice(triggers), random.choice(states) if random.random() < 0.2 else None)
        for _ in range(length)
    ]


def run(machine: Machine, script: list[tuple[str, str | None]], oracle: Oracle) -> list[Any]:
    """Everything observable: notes of the callbacks, and per trigger result, error and state."""
    model = Instance(machine.initial)
    for number, (trigger, restored) in enumerate(script):
        model.state = restored or model.state
        try:
            end = ("returned", machine.events[trigger].trigger(model, oracle, number, key=number))
        except (ValueError, KeyError, MachineError) as error:
            end = ("raised", type(error))
        oracle.notes.append((*end, model.state))
    return oracle.notes


def both_ways(
    make: Callable[[type[Event]], Machine],
    random: Random,
    length: int,
    event: type[Event] = LeanEvent,
) -> tuple[list[Any], list[Any]]:
    """What the stock event class does, and what `event` does with the same script and answers."""
    stock, other = make(Event), make(event)
    script = script_of(stock, random, length)
    seed, breaks = random.randrange(2**32), random.random() < 0.5
    return run(stock, script, Oracle(seed, breaks)), run(other, script, Oracle(seed, breaks))


def one_random_machine(random: Random, event: type[Event] = LeanEvent) -> tuple[list[Any], ...]:
    plan = random_plan(random)
    return both_ways(lambda event_cls: machine_of(plan, event_cls), random, 20, event)


@given(st.randoms(use_true_random=False))
@pytest.mark.slow  # a hundred machines that are drawn so that a failure shrinks
def test_lean_event_equals_the_stock_one_on_drawn_machines(random: Random) -> None:
    stock, lean = one_random_machine(random)
    assert lean == stock


@pytest.mark.slow  # the number of machines is the point
def test_lean_event_equals_the_stock_one_on_1500_seeded_machines() -> None:
    seen = set()
    for seed in range(MACHINES):
        stock, lean = one_random_machine(Random(seed))
        assert lean == stock, f"seed {seed}"
        seen |= {note[0].split()[0] for note in stock}
        seen |= {note[:2] for note in stock if len(note) == 3}
    kinds = {"conditions", "unless", "before", "after", "enter", "exit"}
    ends = {("returned", True), ("returned", False), ("raised", MachineError)}
    assert seen >= kinds | ends, "the random machines leave something out"


def test_lean_event_equals_the_stock_one_on_a_production_table(production: Table) -> None:
    twin = copy.copy(production)
    twin.rows = tuple(
        row._replace(
            guard=tuple(guard(f"guard {number}.{index}") for index in range(len(row.guards))),
            actions=tuple(action(f"act {number}.{index}") for index in range(len(row.actions))),
        )
        for number, row in enumerate(production.rows)
    )
    for seed in range(5):
        stock, lean = both_ways(lambda event: build(twin, event_cls=event), Random(seed), 200)
        assert lean == stock, f"seed {seed}"


class AnswersNothing(LeanEvent):
    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        return super().trigger(model, *args, **kwargs) or None


class IgnoresTriggersWithoutRow(LeanEvent):
    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        return model.state in self.transitions and super().trigger(model, *args, **kwargs)


class ForgetsTheArguments(LeanEvent):
    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        return super().trigger(model, *args)


class UndoesOnError(LeanEvent):
    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        before = model.state
        try:
            return super().trigger(model, *args, **kwargs)
        except ValueError:
            model.state = before
            raise


@pytest.mark.parametrize(
    "wrong", [AnswersNothing, IgnoresTriggersWithoutRow, ForgetsTheArguments, UndoesOnError]
)
def test_the_comparison_notices_an_event_class_that_differs(wrong: type[Event]) -> None:
    pairs = (one_random_machine(Random(seed), wrong) for seed in range(100))
    assert any(stock != other for stock, other in pairs)
