"""What a change did to the machines: states and rows added, removed or changed.

Two descriptions are held against each other, row by row. A row that is not there any more and one
like it in the same place count as one that changed. Made for a pull request: as Markdown, and as
colours of a picture that shows both sides at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from engine.diagrams.arrows import Arrow
from engine.diagrams.docs import Docs, MachineDoc, RowDoc, StateDoc
from engine.diagrams.graphs import Look, Overlay
from engine.diagrams.pages import in_words

Doc = TypeVar("Doc", RowDoc, StateDoc)

ADDED, REMOVED, CHANGED = "#15803d", "#dc2626", "#b45309"
#: Fields of a row that are compared one by one, and how they are called.
_FIELDS = {
    "dest": "to",
    "guards": "if",
    "actions": "actions",
    "why": "why",
    "late": "leaves a terminal state",
    "bound": "bound",
    "untaken": "why no scenario takes it",
}
_STATE_FIELDS = {
    "meaning": "meaning",
    "timers": "deadline",
    "terminal": "terminal",
    "unbounded": "reason to have no deadline",
    "group": "frame",
}


class Change(Struct, Generic[Doc], frozen=True):
    """One row or state before and after, None where it was not, and what is different."""

    before: Doc | None
    after: Doc | None
    what: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """`+`, `-` or `~`."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    @property
    def shown(self) -> Doc:
        """As it is now, or as it was where it is gone."""
        shown = self.after if self.after is not None else self.before
        assert shown is not None
        return shown


class MachineChange(Struct, frozen=True):
    """What changed in one machine; `sign` is `+` or `-` for one that is new or gone."""

    name: str
    sign: str
    states: tuple[Change[StateDoc], ...]
    rows: tuple[Change[RowDoc], ...]
    said: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sign or self.states or self.rows or self.said)


class Changes(Struct, frozen=True):
    """Everything that changed."""

    machines: tuple[MachineChange, ...]
    joint: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.joint or any(self.machines))


def compare(before: Docs, after: Docs) -> Changes:
    """Hold one description against another."""
    names = dict.fromkeys(machine.name for machine in (*after.machines, *before.machines))
    changes = [_machine(named(before, name), named(after, name), name) for name in names]
    old = {(rule.a, rule.b): rule for rule in before.joint}
    new = {(rule.a, rule.b): rule for rule in after.joint}
    joint = []
    for pair in dict.fromkeys([*new, *old]):
        was, now = old.get(pair), new.get(pair)
        if was != now:
            before_rung = "no rule" if was is None else was.rung or "nothing"
            after_rung = "no rule" if now is None else now.rung or "nothing"
            text = f"{before_rung} > {after_rung}"
            if was is not None and now is not None and before_rung == after_rung:
                text = f"why: {was.why} > {now.why}"
            joint.append(f"{pair[0]} beside {pair[1]}: {text}")
    return Changes(tuple(changes), tuple(joint))


def named(docs: Docs, name: str) -> MachineDoc | None:
    """The machine of that name, None where there is none."""
    return next((machine for machine in docs.machines if machine.name == name), None)


def _machine(before: MachineDoc | None, after: MachineDoc | None, name: str) -> MachineChange:
    sign = "+" if before is None else "-" if after is None else ""
    states = _states(before.states if before else (), after.states if after else ())
    rows = _rows(before, after)
    said: tuple[str, ...] = ()
    if before is not None and after is not None:
        said = tuple(_said(before, after))
    return MachineChange(name, sign, tuple(states), tuple(rows), said)


def _said(before: MachineDoc, after: MachineDoc) -> Iterable[str]:
    """Guards and actions that stay under their name, but say or do something else."""
    for name, now in after.callbacks.items():
        was = before.callbacks.get(name)
        if was is None:
            continue
        if was.doc != now.doc:
            yield f"`{name}` says: {was.doc} > {now.doc}"
        effects = [set(map(in_words, each.effects)) for each in (was, now)]
        if effects[0] != effects[1]:
            yield f"`{name}` may do: {_delta(effects[0], effects[1])}"
        if was.settings != now.settings:
            read = [{".".join(each) for each in doc.settings} for doc in (was, now)]
            yield f"`{name}` reads: {_delta(read[0], read[1])}"
    for name, code in after.code.items():
        former = before.code.get(name, code)
        if former != code:
            users = [f"`{each.name}`" for each in after.callbacks.values() if name in each.calls]
            short = name.removeprefix("machines.")
            behind = "" if users == [f"`{short.rpartition('.')[2]}`"] else ", behind "
            behind += ", ".join(users) if behind else ""
            yield f"`{short}` is computed otherwise{behind}:{_code_delta(former, code)}"


def _code_delta(before: str, after: str) -> str:
    """Two sources against each other, as an indented block of Markdown."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
    shown = [line for line in list(lines)[2:] if not line.startswith("@@")]
    return "".join(f"\n    {line}" for line in ["```diff", *shown, "```"])


def _delta(before: set[str], after: set[str]) -> str:
    parts = [f"-{each}" for each in sorted(before - after)]
    return ", ".join(parts + [f"+{each}" for each in sorted(after - before)]) or "in another order"


def _states(before: Sequence[StateDoc], after: Sequence[StateDoc]) -> Iterable[Change[StateDoc]]:
    old = {state.name: state for state in before}
    new = {state.name: state for state in after}
    for name in dict.fromkeys([*new, *old]):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            yield Change(was, now)
        elif was != now:
            yield Change(was, now, tuple(_fields(was, now, _STATE_FIELDS)))


# ---------------------------------------------------------------- rows


def _rows(before: MachineDoc | None, after: MachineDoc | None) -> list[Change[RowDoc]]:
    old = list(before.rows) if before else []
    new = list(after.rows) if after else []
    changes: list[tuple[int, Change[RowDoc]]] = []
    pairs, old, new = _alike(old, new)
    for was, now in pairs:
        what = _fields(was, now, _FIELDS) + _turns(was, now, pairs)
        if what:
            changes.append((now.number, Change(was, now, tuple(what))))
    last = len(after.rows) if after else 0
    changes += [(now.number, Change(None, now)) for now in new]
    changes += [(last + was.number, Change(was, None)) for was in old]
    return [change for _, change in sorted(changes, key=lambda each: each[0])]


Pairs = list[tuple[RowDoc, RowDoc]]


def _alike(old: list[RowDoc], new: list[RowDoc]) -> tuple[Pairs, list[RowDoc], list[RowDoc]]:
    """Pair rows, the most alike first; gives the pairs and what is left of both."""
    keys = (
        lambda row: (row.trigger, row.source, row.dest, row.guards, row.actions),
        lambda row: (row.trigger, row.source, row.dest, row.guards),
        lambda row: (row.trigger, row.source, row.guards),
        lambda row: (row.trigger, row.source, row.dest, row.actions),
        lambda row: (row.trigger, row.source, row.dest),
    )
    pairs: Pairs = []
    for key in keys:
        waiting: dict[object, list[RowDoc]] = {}
        for row in old:
            waiting.setdefault(key(row), []).append(row)
        left = []
        for row in new:
            found = waiting.get(key(row))
            if found:
                pairs.append((found.pop(0), row))
            else:
                left.append(row)
        new = left
        old = [row for rows in waiting.values() for row in rows]
    return pairs, old, new


def _turns(was: RowDoc, now: RowDoc, pairs: Pairs) -> list[str]:
    """Whether a row is tried at another turn among those of its trigger and state."""
    beside = [
        (old.number, new.number)
        for old, new in pairs
        if (new.trigger, new.source) == (now.trigger, now.source)
        and (old.trigger, old.source) == (was.trigger, was.source)
    ]
    turns = [
        sorted(each).index(number) + 1
        for each, number in zip(zip(*beside, strict=True), (was.number, now.number), strict=True)
    ]
    return [] if turns[0] == turns[1] else [f"turn: {turns[0]} > {turns[1]} of {len(beside)}"]


def _fields(was: Struct, now: Struct, names: dict[str, str]) -> list[str]:
    found = []
    for field, name in names.items():
        old, new = _text(getattr(was, field)), _text(getattr(now, field))
        if old != new:
            found.append(f"{name}: {old or '(none)'} > {new or '(none)'}")
    return found


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(": ".join(each) if isinstance(each, tuple) else each for each in value)
    return "" if value is False else "yes" if value is True else str(value)


# ---------------------------------------------------------------- telling


def markdown(changes: Changes, against: str) -> str:
    """The changes as Markdown, fit for a pull request."""
    if not changes:
        return f"The machines are those of {against}: no state, row, guard or command changed.\n"
    lines = [f"# Machines against {against}", ""]
    for machine in changes.machines:
        if not machine:
            continue
        lines += [f"## {machine.name}", ""]
        if machine.sign:
            lines.append(f"* {'new' if machine.sign == '+' else 'gone'} machine")
        for state in machine.states:
            lines.append(f"* {state.sign} state `{state.shown.name}`: {state.shown.meaning}")
            lines += [f"    * {what}" for what in state.what]
        for group in _same(machine.rows):
            lines += _row_lines(group)
        lines += [f"* ~ {text}" for text in machine.said]
        lines.append("")
    if changes.joint:
        lines += ["## Two legs together", "", *(f"* ~ {text}" for text in changes.joint), ""]
    return "\n".join(lines)


def _same(rows: Iterable[Change[RowDoc]]) -> list[list[Change[RowDoc]]]:
    """Rows that differ in their source alone, together."""
    groups: dict[object, list[Change[RowDoc]]] = {}
    for change in rows:
        row = change.shown
        same = (change.sign, row.trigger, row.dest, row.guards, row.actions, row.why, change.what)
        groups.setdefault(same, []).append(change)
    return list(groups.values())


def _row_lines(group: list[Change[RowDoc]]) -> list[str]:
    row, change = group[0].shown, group[0]
    sources = ", ".join(each.shown.source for each in group)
    guards = " and ".join(row.guards)
    text = f"`{row.trigger}`: {sources} > {row.dest or '(stays)'}"
    lines = [f"* {change.sign} row {text}" + (f" if `{guards}`" if guards else "")]
    if not change.what:
        lines += [f"    * actions: {', '.join(row.actions)}"] if row.actions else []
        lines += [f"    * why: {row.why}"] if row.why else []
    return lines + [f"    * {what}" for what in change.what]


# ---------------------------------------------------------------- drawing


def both(before: MachineDoc | None, after: MachineDoc | None) -> MachineDoc:
    """One machine with the rows and states of both sides, those that are gone behind the others."""
    if before is None or after is None:
        one = after or before
        assert one is not None
        return one
    _, gone, _ = _alike(list(before.rows), list(after.rows))
    names = {state.name for state in after.states}
    states = [state for state in before.states if state.name not in names]
    first = len(after.rows)
    rows = [replace(row, number=first + number) for number, row in enumerate(gone)]
    return replace(
        after,
        states=(*after.states, *states),
        rows=(*after.rows, *rows),
        callbacks=before.callbacks | after.callbacks,
        origins=before.origins | after.origins,
    )


def overlay(
    change: MachineChange, union: MachineDoc, arrows: Sequence[Arrow], against: str
) -> Overlay:
    """New arrows and states green, those that are gone red and dashed, changed ones amber."""
    signs = {_place(row.shown): row.sign for row in change.rows}
    looks: dict[int, Look] = {}
    for arrow in arrows:
        rows = [union.rows[number] for number in arrow.rows]
        found = [signs.get(_place(row), "") for row in rows]
        kinds = {sign for sign in found if sign}
        if not kinds:
            continue
        whole = len(kinds) == 1 and all(found)
        sign = kinds.pop() if whole else "~"
        count = sum(1 for each in found if each)
        note = "" if whole else f"{count} of {len(rows)} rows"
        color = {"+": ADDED, "-": REMOVED, "~": CHANGED}[sign]
        looks[arrow.number] = Look(
            color, color, width="2.4", dashed=sign == "-", mark=sign, note=note
        )
    states = {}
    for state in change.states:
        fill = {"+": "#dcfce7", "-": "#fee2e2", "~": "#ffedd5"}[state.sign]
        states[state.shown.name] = Look(fill=fill, dashed=state.sign == "-", mark=state.sign)
    return Overlay(f"{change.name} against {against}", states, looks)


def _place(row: RowDoc) -> tuple[str, str, str, tuple[str, ...]]:
    return row.trigger, row.source, row.dest, row.guards
