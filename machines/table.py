"""Transition tables as data: one row per line, checked at import, run by `transitions`.

A table is a list of `Row`s over named `State`s. `Table` checks it, then builds one shared
`transitions.Machine` for all instances; an instance is any slotted object with a `state` attribute
(never registered with the machine). `Table.fire` is the only way in which a state changes.

The library's own event class makes 76 Python calls per trigger, ten of them logging. `LeanEvent`
does the same work for the subset that `Table` allows (no queue, no prepare, no machine-wide
callbacks), in about a tenth of the time; a property test holds it equal to the stock class.

Rules that every table obeys:
1. Guards are pure predicates; the rows of one (trigger, source) are tried in order and end with an
   unguarded one, so a trigger in a state either takes a row or has none.
2. Actions run before the state changes; if one raises, the state is unchanged.
3. Actions only append to the `Out` that travels with the trigger; nothing else happens in them.
4. A row without destination is internal: the state stays.

This module must not know any machine, clock or venue.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec import Struct, field
from transitions import Event, EventData, Machine, MachineError

from machines.errors import IllegalTransition, TableError

logging.getLogger("transitions").setLevel(logging.WARNING)

Callback = Callable[[EventData], Any]


class State(NamedTuple):
    """A state, what it means, and how it is left when nobody says anything.

    `deadline` names the timers that bound the stay, as `tag: what sets its length`, several of them
    separated by semicolons; a non-terminal state without one gives its reason in `unbounded`.
    `group` puts states that belong together into one frame of the diagram, `outer / inner`.
    """

    name: str
    meaning: str
    deadline: str = ""
    terminal: bool = False
    unbounded: str = ""
    group: str = ""


class Row(NamedTuple):
    """One transition. `source` may be a tuple: the line then stands for one row each.

    `late` marks the declared exits of a terminal state (late facts, new rounds). `why` is the
    reason where it is not obvious. `bound` says what ends a loop that leads through this row, a
    config key where there is one. `untaken` says why no simulation takes it: all of it, or some
    of its sources as in `a, b: why; c: why`.
    """

    trigger: str
    source: str | tuple[str, ...]
    dest: str | None
    guard: Callback | tuple[Callback, ...] | None = None
    actions: tuple[Callback, ...] = ()
    why: str = ""
    late: bool = False
    bound: str = ""
    untaken: str = ""

    @property
    def guards(self) -> tuple[Callback, ...]:
        if self.guard is None:
            return ()
        return self.guard if isinstance(self.guard, tuple) else (self.guard,)


class Transition(NamedTuple):
    """One entry of the trace: which machine took which row."""

    at: int
    machine: str
    id: str
    trigger: str
    source: str
    dest: str
    row: int


class Out(Struct, eq=False):
    """What one step produced: commands, messages between machines, the trace, a spoken answer."""

    trace: list[Transition] | None = None
    now: int = 0
    commands: list[Any] = field(default_factory=list)
    mail: deque[tuple[Any, str, Any]] = field(default_factory=deque)
    answer: str = ""

    def tell(self, machine: Any, trigger: str, message: Any = None) -> None:
        """Queue a message for another machine; delivered in order, after this row."""
        self.mail.append((machine, trigger, message))


class Shown(Struct, eq=False):
    """What a callback is shown: the fields of `transitions.EventData`, made in half the time."""

    state: Any
    event: Event
    machine: Machine
    model: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    transition: Any = None
    error: BaseException | None = None
    result: bool = False


class LeanEvent(Event):
    """`transitions.Event` for flat string states without queue, prepare or machine-wide hooks."""

    last: Any = None

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        rows = self.transitions.get(model.state)
        if rows is None:
            raise MachineError(f"Can't trigger event {self.name} from state {model.state}!")
        return self.take(rows, model, args, kwargs)

    def take(self, rows: Any, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Take the first of the rows of the model's state whose guards hold; False if none does."""
        machine = self.machine
        states = machine.states
        data = Shown(states[model.state], self, machine, model, args, kwargs)
        for row in rows:
            data.transition = row
            for condition in row.conditions:
                if condition.func(data) != condition.target:
                    break
            else:
                for callback in row.before:
                    callback(data)
                dest = row.dest
                if dest:
                    for callback in data.state.on_exit:
                        callback(data)
                    model.state = dest
                    data.state = entered = states[dest]
                    for callback in entered.on_enter:
                        callback(data)
                for callback in row.after:
                    callback(data)
                data.result = True
                self.last = row
                return True
        return False


class Table:
    """A checked table and its running machine.

    Raises `TableError` listing every defect when the table is malformed; meant to happen at import.
    """

    def __init__(
        self,
        name: str,
        states: Iterable[State],
        rows: Iterable[Row],
        initial: str,
        model: type,
    ) -> None:
        self.name = name
        self.states = {state.name: state for state in states}
        self.initial = initial
        self.model = model
        self.rows = tuple(_expand(rows))
        findings = check(self, model)
        if findings:
            raise TableError(name, findings)
        self.machine = build(self)
        self.events: dict[str, Any] = self.machine.events

    def fire(self, model: Any, trigger: str, message: Any, out: Out) -> None:
        """Take the row for `trigger` in the model's state.

        Raises `IllegalTransition` with the state unchanged when there is none.
        """
        source = model.state
        event: Any = self.events.get(trigger)
        rows = event.transitions.get(source) if event is not None else None
        if rows is None:
            raise IllegalTransition(f"{self.name} {model.id}", source, trigger, culprit=model)
        if not event.take(rows, model, (message, out), {}):
            name = f"{self.name} {model.id}"
            raise IllegalTransition(name, source, trigger, "all guards false", model)
        if out.trace is not None:
            row = event.last.row
            out.trace.append(
                Transition(out.now, self.name, model.id, trigger, source, model.state, row)
            )

    def has_row(self, state: str, trigger: str) -> bool:
        event = self.events.get(trigger)
        return event is not None and state in event.transitions


def _expand(rows: Iterable[Row]) -> Iterable[Row]:
    for row in rows:
        sources = row.source if isinstance(row.source, tuple) else (row.source,)
        for source in sources:
            yield row._replace(source=source, untaken=_untaken(row, source, sources))


def _untaken(row: Row, source: str, sources: tuple[str, ...]) -> str:
    """Why no simulation takes a row in one of its sources."""
    for part in row.untaken.split("; "):
        names, colon, why = part.partition(": ")
        about = names.split(", ")
        if not (colon and set(about) <= set(sources)):
            return part
        if source in about:
            return why
    return ""


def build(table: Table, event_cls: type[Event] = LeanEvent) -> Machine:
    """Build the shared machine of a table; each transition carries its row number as `row`."""

    class Shared(Machine):
        pass

    Shared.event_cls = event_cls
    machine = Shared(
        model=None,
        states=list(table.states),
        initial=table.initial,
        auto_transitions=False,
        send_event=True,
    )
    for number, row in enumerate(table.rows):
        machine.add_transition(
            row.trigger,
            row.source,
            row.dest,
            conditions=list(row.guards),
            before=list(row.actions),
        )
        machine.events[row.trigger].transitions[row.source][-1].row = number
    return machine


def check(table: Table, model: type) -> list[str]:
    """Every defect of a table that the library would accept silently (limits.md T6)."""
    findings: list[str] = []
    states = table.states
    if table.initial not in states:
        findings.append(f"initial state {table.initial!r} is not declared")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        source = str(row.source)
        label = f"row {row.trigger}: {source} > {row.dest}"
        if source not in states:
            findings.append(f"{label}: unknown source")
            continue
        if row.dest is not None and row.dest not in states:
            findings.append(f"{label}: unknown destination")
        if states[source].terminal and row.dest is not None and not row.late:
            findings.append(f"{label}: leaves a terminal state without being declared late")
        if hasattr(model, row.trigger):
            findings.append(f"{label}: trigger collides with an attribute of {model.__name__}")
        for callback in (*row.guards, *row.actions):
            if not callable(callback) or not callback.__doc__:
                findings.append(f"{label}: guard or action without a docstring: {callback!r}")
        groups.setdefault((row.trigger, source), []).append(row)
    for (trigger, source), group in groups.items():
        seen: set[tuple[Callback, ...]] = set()
        for position, row in enumerate(group):
            if row.guards in seen:
                findings.append(f"{trigger} in {source}: duplicate row")
            seen.add(row.guards)
            if not row.guards and position < len(group) - 1:
                findings.append(f"{trigger} in {source}: rows after the unguarded one are shadowed")
        if group[-1].guards:
            findings.append(f"{trigger} in {source}: no unguarded last row")
    findings += _unreachable(table)
    for state in states.values():
        if not state.meaning:
            findings.append(f"state {state.name}: no meaning")
        if not (state.terminal or state.deadline or state.unbounded):
            findings.append(f"state {state.name}: neither deadline nor reason to have none")
    return findings


def _unreachable(table: Table) -> list[str]:
    reached = {table.initial}
    frontier = [table.initial]
    while frontier:
        state = frontier.pop()
        for row in table.rows:
            if row.source == state and row.dest is not None and row.dest not in reached:
                reached.add(row.dest)
                frontier.append(row.dest)
    return [f"state {name} is unreachable" for name in table.states if name not in reached]
