"""Loops of a machine that nothing ends: rows that lead round and round without a bound.

Two kinds are looked for: a way through several states back to the first, and rows that keep their
state and cause each other again, by a message, a timer, or the answer to a command, directly or
through one other machine. A row is bounded if it says itself what bounds it (`Row.bound`); what it
says is checked as far as it can be. Or a guard that is asked before it compares a number with a
configured maximum, where each turn of the loop counts that number up and none sets it back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import TypeVar

from engine.diagrams.docs import Docs, MachineDoc, RowDoc
from engine.diagrams.keys import known, named_in
from engine.diagrams.timers import tags_of

T = TypeVar("T", bound=Hashable)

#: Facts that a command may bring back. Alarms and foreign cancels bring none.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "Place": (
        "OrderSent", "OrderReported", "OrderRefused", "CallLost", "FillReported", "CommandRefused",
    ),
    "Cancel": ("OrderReported", "CancelRefused", "CallLost"),
    "QueryOrder": ("OrderReported", "OrderMissing", "QueryFailed"),
    "ReadTruth": ("TruthRead", "TruthFailed"),
    "ReadRules": ("RulesRead",),
    "ReadMode": ("ModeChanged",),
    "Connect": ("LinkOpened", "LinkClosed"),
    "CancelForeign": (),
    "Alarm": (),
}  # fmt: skip

#: What may end a loop that no configured maximum ends, by the first word of `Row.bound`.
KINDS: Mapping[str, str] = {
    "fills": "each turn needs a fill, and what remains only shrinks",
    "rung": "each turn goes up the ladder, which has a last rung",
    "paced": "each turn waits for a timer; it may go on for ever, and a person is called",
    "person": "each turn needs a person, or the start of a process",
    "venue": "each turn needs a fact that only a venue can send",
    "caller": "each turn is asked for by another machine, which bounds it",
}
PEOPLE = frozenset({"OperatorCommanded", "CloseRequested", "EngineStarted"})
_VENUES = frozenset(
    """OrderReported FillReported TruthRead TruthFailed LinkOpened LinkClosed LinkStale ModeChanged
    TopMoved PositionMoved OrderMissing""".split()
)


def bounds_of(machine: MachineDoc, row: RowDoc) -> tuple[str, ...]:
    """The configured maxima that a guard before the row, or its own, reads."""
    read = [
        known()[field]
        for guard in _asked_before(machine, row)
        for field in machine.callbacks[guard].settings
        if field in known()
    ]
    return tuple(dict.fromkeys(key.short for key in read if _is_maximum(key.short)))


def _asked_before(machine: MachineDoc, row: RowDoc) -> list[str]:
    """The guards that are asked before a row is taken: those of its group up to its own."""
    group = (row.trigger, row.source)
    before = machine.rows[: row.number + 1]
    return [name for each in before if (each.trigger, each.source) == group for name in each.guards]


def _is_maximum(name: str) -> bool:
    return name.endswith("_max")


# ---------------------------------------------------------------- what is counted


def _numbers_of(machine: MachineDoc, row: RowDoc) -> set[str]:
    """The numbers that guards asked before a row compare with a configured maximum."""
    return _in_code(machine, _asked_before(machine, row), _compared)


def _changes(
    machine: MachineDoc, rows: Iterable[RowDoc], how: Callable[[str], frozenset[str]]
) -> set[str]:
    return _in_code(machine, (action for row in rows for action in row.actions), how)


def _in_code(
    machine: MachineDoc, callbacks: Iterable[str], how: Callable[[str], frozenset[str]]
) -> set[str]:
    calls = {call for name in callbacks for call in machine.callbacks[name].calls}
    return {number for call in calls for number in how(machine.code[call])}


@cache
def _compared(code: str) -> frozenset[str]:
    """Attributes that are compared with something that holds a maximum."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            names = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            sides = (node.left, *node.comparators)
            if any(map(_is_maximum, names)):
                found |= {each.attr for each in sides if isinstance(each, ast.Attribute)}
    return frozenset(name for name in found if not _is_maximum(name))


@cache
def _added_to(code: str) -> frozenset[str]:
    """Attributes that are counted up."""
    return frozenset(
        node.target.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and isinstance(node.target, ast.Attribute)
    )


@cache
def _set_back(code: str) -> frozenset[str]:
    """Attributes that are given another value than one more."""
    return frozenset(
        target.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
    )


# ---------------------------------------------------------------- what a row says of itself


def doubts(docs: Docs, machine: MachineDoc, row: RowDoc) -> list[str]:
    """What is wrong with what a row says about its bound."""
    if not row.bound:
        return []
    word, colon, _ = row.bound.partition(":")
    keys = named_in(row.bound)
    if not colon:
        fields = machine.settings(row)
        unread = [key.short for key in keys if (key.struct, key.field) not in fields]
        if not keys:
            return [f"bound {row.bound!r} names no configuration key and none of {_kinds()}"]
        return [f"bound {name}: no guard or action of the row reads it" for name in unread]
    if word not in KINDS:
        return [f"bound {word!r} is none of {_kinds()}"]
    origins = machine.origins.get(row.trigger, ())
    others = {each.name for each in docs.machines if each is not machine} & set(origins)
    # A person's request to try again reaches a leg through its close, under the same name.
    holds = {
        "fills": bool(others or _VENUES & set(origins)),
        "paced": "timer" in origins or any(e.kind == "arm" for e in machine.effects(row)),
        "person": bool(PEOPLE & set(origins)) or bool(others and row.trigger == "retry_asked"),
        "venue": bool(_VENUES & set(origins)),
        "caller": bool(others),
    }
    if not holds.get(word, True):
        return [f"bound {word!r} does not hold: {row.trigger} comes from {', '.join(origins)}"]
    return []


def _kinds() -> str:
    return ", ".join(KINDS)


# ---------------------------------------------------------------- the search


def unbounded(docs: Docs, machine: MachineDoc) -> list[list[RowDoc]]:
    """Loops without a bound, each as the rows that it can be made of."""
    free = [row for row in machine.rows if not row.bound]
    moving, staying = [r for r in free if r.moves], [r for r in free if not r.moves]

    def beside(loop: list[RowDoc]) -> list[RowDoc]:
        """Rows that keep a state which the loop leads through."""
        sources = {row.source for row in loop}
        return [row for row in machine.rows if row.source in sources and not row.moves]

    def in_place(rows: list[RowDoc]) -> list[list[RowDoc]]:
        return _in_place(docs, machine, rows)

    return [
        *_endless(machine, moving, _through_states, beside),
        *_uncounted(machine, moving),
        *_endless(machine, staying, in_place, lambda loop: []),
    ]


Loops = list[list[RowDoc]]


def _endless(
    machine: MachineDoc,
    rows: list[RowDoc],
    loops_of: Callable[[list[RowDoc]], Loops],
    beside: Callable[[list[RowDoc]], list[RowDoc]],
) -> Loops:
    """The loops that these rows make, but for rows which the loop itself counts towards an end."""
    found: Loops = []
    for loop in loops_of(rows):
        counted = _changes(machine, [*loop, *beside(loop)], _added_to)
        counted -= _changes(machine, loop, _set_back)
        left = [row for row in loop if not _numbers_of(machine, row) & counted]
        found += [loop] if left == loop else _endless(machine, left, loops_of, beside)
    return found


def _uncounted(machine: MachineDoc, moving: list[RowDoc]) -> Loops:
    """Loops behind a maximum that are gone round without a row that counts towards it."""
    found: Loops = []
    limits = {row.number: _numbers_of(machine, row) for row in moving}
    for number in sorted(set().union(*limits.values())):
        counting = [row for row in machine.rows if number in _changes(machine, [row], _added_to)]
        halts = {row.source for row in counting if not row.moves}
        idle = [row for row in moving if row not in counting and row.source not in halts]
        found += _through_states([row for row in idle if limits[row.number] in (set(), {number})])
    return [loop for loop in found if any(limits[row.number] for row in loop)]


def _through_states(moving: list[RowDoc]) -> Loops:
    ways: dict[str, set[str]] = {}
    for row in moving:
        ways.setdefault(row.source, set()).add(row.target)
    loops = components(ways, lambda state: state in ways.get(state, ()))
    return [[row for row in moving if row.source in loop and row.target in loop] for loop in loops]


def _in_place(docs: Docs, machine: MachineDoc, rows: list[RowDoc]) -> Loops:
    staying = {row.number: row for row in rows}
    tags = tags_of(machine)
    causes: dict[int, set[int]] = {}
    for row in staying.values():
        triggers = _brings_back(docs, machine, row, tags)
        causes[row.number] = {
            other.number
            for other in staying.values()
            if other.source == row.source and other.trigger in triggers
        }
    loops = components(causes, lambda number: number in causes[number])
    return [[staying[number] for number in sorted(loop)] for loop in loops]


def _brings_back(docs: Docs, machine: MachineDoc, row: RowDoc, tags: set[str]) -> set[str]:
    """Triggers of the same machine that a row may cause, by itself or through others."""
    found: set[str] = set()
    for effect in machine.effects(row):
        models = effect.target.split("|")
        if effect.kind == "arm" and machine.model in models:
            found |= {effect.name} & tags
        elif effect.kind == "tell":
            for other in docs.machines:
                if other.model not in models:
                    continue
                own = other.name == machine.name
                found |= {effect.name} if own else _sent_by(machine, {other.name})
        elif effect.kind == "command":
            senders = set(ANSWERS.get(effect.name, ()))
            # An order answers its leg for the venue.
            found |= _sent_by(machine, senders | ({"order"} if effect.name == "Place" else set()))
    return found


def _sent_by(machine: MachineDoc, senders: set[str]) -> set[str]:
    return {trigger for trigger, origins in machine.origins.items() if senders & set(origins)}


def components(ways: Mapping[T, set[T]], is_loop: Callable[[T], bool]) -> list[set[T]]:
    """Strongly connected components of more than one node, or of one that leads to itself."""
    reach = {node: _reached(ways, node) for node in ways}
    found: list[set[T]] = []
    done: set[T] = set()
    for node in ways:
        if node in done:
            continue
        loop = {other for other in reach[node] if node in reach.get(other, ())} | {node}
        done |= loop
        if len(loop) > 1 or is_loop(node):
            found.append(loop)
    return found


def _reached(ways: Mapping[T, set[T]], start: T) -> set[T]:
    seen: set[T] = set()
    frontier = [start]
    while frontier:
        for node in ways.get(frontier.pop(), ()):
            if node not in seen:
                seen.add(node)
                frontier.append(node)
    return seen
