"""Rows merged into arrows, so that a machine of two hundred rows can be looked at.

Rows between the same two states become one arrow with a number. States of a group stand in one
frame; where every one of them leads to the same place, one arrow leaves the frame, and where one
trigger leads to every one of them, one arrow enters it. No row is lost: each that changes the state
is in exactly one arrow. This module must not draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from engine.diagrams.docs import MachineDoc, RowDoc

SEPARATOR = " / "
#: Triggers that an arrow's label shows by name; it counts the others.
SHOWN_MAX = 2


class End(NamedTuple):
    """Where an arrow begins or ends: a state, or the frame of a group."""

    name: str
    is_group: bool = False


class Arrow(Struct, frozen=True):
    """One arrow: its rows by number, and the triggers of those."""

    number: int
    source: End
    dest: End
    rows: tuple[int, ...]
    triggers: tuple[str, ...]

    @property
    def short(self) -> str:
        """The triggers in a few words."""
        more = len(self.triggers) - SHOWN_MAX
        return ", ".join(self.triggers[:SHOWN_MAX]) + (f" +{more}" if more > 0 else "")


class Groups:
    """The frames of a machine: which states each holds, and how they lie in each other."""

    def __init__(self, machine: MachineDoc) -> None:
        self.states = [state.name for state in machine.states]
        self.group_of = {state.name: state.group for state in machine.states}
        names: dict[str, None] = {}
        for group in self.group_of.values():
            parts = group.split(SEPARATOR) if group else []
            for depth in range(len(parts)):
                names.setdefault(SEPARATOR.join(parts[: depth + 1]))
        self.names = list(names)
        self._leaves = {
            name: [state for state in self.states if _lies_in(self.group_of[state], name)]
            for name in names
        }

    def leaves(self, end: End) -> list[str]:
        """The states that an end stands for, in the order of life."""
        return self._leaves[end.name] if end.is_group else [end.name]

    def parent(self, end: End) -> str:
        """The frame around an end; empty if there is none."""
        if end.is_group:
            return end.name.rpartition(SEPARATOR)[0]
        return self.group_of[end.name]

    def children(self, frame: str) -> list[End]:
        """What stands directly in a frame (empty: in none), by the first state of each."""
        ends = [End(state) for state in self.states] + [End(name, True) for name in self.names]
        inside = [end for end in ends if self.parent(end) == frame]
        return sorted(inside, key=lambda end: self.states.index(self.leaves(end)[0]))

    def largest_first(self) -> list[End]:
        """All frames, the largest first."""
        ends = [End(name, True) for name in self.names]
        return sorted(ends, key=lambda end: -len(self.leaves(end)))


Pairs = dict[tuple[End, End], set[int]]


def moving_arrows(machine: MachineDoc, *, folded: bool = True) -> list[Arrow]:
    """The arrows of all rows that change the state; without folding, one per pair of states."""
    groups = Groups(machine)
    pairs: Pairs = {}
    for trigger in dict.fromkeys(row.trigger for row in machine.rows):
        rows = [row for row in machine.rows if row.trigger == trigger and row.moves]
        found = _plain(rows)
        _merge(pairs, _into_frames(found, groups) if folded else found)
    if folded:
        pairs = _out_of_frames(pairs, groups)
    return _numbered(machine, groups, pairs, 1)


def staying_arrows(machine: MachineDoc, first: int) -> list[Arrow]:
    """One loop per state for the rows that keep it and do something; numbered from `first`."""
    pairs: Pairs = {}
    for row in machine.rows:
        if not row.moves and machine.effects(row):
            end = End(row.source)
            pairs.setdefault((end, end), set()).add(row.number)
    return _numbered(machine, Groups(machine), pairs, first)


def _lies_in(group: str, name: str) -> bool:
    return f"{group}{SEPARATOR}".startswith(f"{name}{SEPARATOR}")


def _plain(rows: Iterable[RowDoc]) -> Pairs:
    pairs: Pairs = {}
    for row in rows:
        pairs.setdefault((End(row.source), End(row.target)), set()).add(row.number)
    return pairs


def _merge(into: Pairs, more: Pairs) -> None:
    for pair, rows in more.items():
        into.setdefault(pair, set()).update(rows)


def _into_frames(pairs: Pairs, groups: Groups) -> Pairs:
    """Where one trigger leads from outside a frame to each state in it: one arrow to the frame."""
    left = dict(pairs)
    for frame in groups.largest_first():
        inside = groups.leaves(frame)
        for source in dict.fromkeys(source for source, _ in left):
            if set(groups.leaves(source)) & set(inside):
                continue
            wanted = [(source, End(state)) for state in inside]
            if all(pair in left for pair in wanted):
                _merge(left, {(source, frame): set().union(*(left.pop(pair) for pair in wanted))})
    return left


def _out_of_frames(pairs: Pairs, groups: Groups) -> Pairs:
    """Where every state of a frame leads to the same place outside: one arrow from the frame."""
    left = dict(pairs)
    for frame in groups.largest_first():
        inside = set(groups.leaves(frame))
        for dest in dict.fromkeys(dest for _, dest in left):
            if set(groups.leaves(dest)) & inside:
                continue
            within = [s for s, d in left if d == dest and set(groups.leaves(s)) <= inside]
            if inside == {state for source in within for state in groups.leaves(source)}:
                rows = set().union(*(left.pop((source, dest)) for source in within))
                _merge(left, {(frame, dest): rows})
    return left


def _numbered(machine: MachineDoc, groups: Groups, pairs: Pairs, first: int) -> list[Arrow]:
    def order(pair: tuple[End, End]) -> tuple[int, bool, int, bool]:
        source, dest = pair
        at = groups.states.index
        return (
            at(groups.leaves(source)[0]),
            not source.is_group,
            at(groups.leaves(dest)[0]),
            not dest.is_group,
        )

    arrows = []
    for number, pair in enumerate(sorted(pairs, key=order), first):
        rows = tuple(sorted(pairs[pair]))
        triggers = tuple(dict.fromkeys(machine.rows[row].trigger for row in rows))
        arrows.append(Arrow(number, *pair, rows, triggers))
    return arrows
