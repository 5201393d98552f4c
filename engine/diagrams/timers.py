"""Which timers may be armed in which state of a machine: what rows arm and stop, to the end.

A timer that fires in a state without a row for it would quarantine its machine, and a stay whose
timer nothing arms would have no end. Both are found without running anything. What others arm in a
machine, they may arm in any of its states.
"""

from __future__ import annotations

from engine.diagrams.docs import MachineDoc, RowDoc
from engine.diagrams.reading import Effect

#: By state: the tags that may be armed there, each with a row or the others that may do it.
Armed = dict[str, dict[str, RowDoc | str]]


def armed_in(machine: MachineDoc) -> Armed:
    """The timers that may be armed in each state, over all orders of rows."""
    others: dict[str, RowDoc | str] = {
        tag: ", ".join(senders) for tag, senders in machine.armed_by.items()
    }
    armed: Armed = {state.name: dict(others) for state in machine.states}
    grew = True
    while grew:
        grew = False
        for row in machine.rows:
            there = armed[row.target]
            for tag, by in armed_after(machine, row, armed).items():
                if tag not in there:
                    there[tag] = by
                    grew = True
    return armed


def armed_after(machine: MachineDoc, row: RowDoc, armed: Armed) -> dict[str, RowDoc | str]:
    """What may be armed right after a row; a timer that fires is armed no more."""
    left = {tag: by for tag, by in armed[row.source].items() if tag != row.trigger}
    for name in row.actions:
        for effect in machine.callbacks[name].effects:
            if machine.model not in effect.target.split("|"):
                continue
            if effect.kind == "arm":
                left[effect.name] = row
            elif effect.kind == "disarm" and effect.sure:
                if effect.name == "*":
                    left.clear()
                else:
                    left.pop(effect.name, None)
    return left


def awaited_after(machine: MachineDoc, row: RowDoc, armed: Armed) -> set[str]:
    """What may be armed once the messages are taken that a row sends to its own machine."""
    told = {each.name for each in machine.effects(row) if _is_own(machine, each, "tell")}
    next_rows = [r for r in machine.rows if r.source == row.target and r.trigger in told]
    return set(armed_after(machine, row, armed)) | {
        effect.name
        for each in next_rows
        for effect in machine.effects(each)
        if _is_own(machine, effect, "arm")
    }


def tags_of(machine: MachineDoc) -> set[str]:
    """Every tag that some action of the machine arms for it."""
    return {
        effect.name
        for callback in machine.callbacks.values()
        for effect in callback.effects
        if _is_own(machine, effect, "arm")
    }


def _is_own(machine: MachineDoc, effect: Effect, kind: str) -> bool:
    """Whether something of that kind is done to the machine itself."""
    return effect.kind == kind and machine.model in effect.target.split("|")
