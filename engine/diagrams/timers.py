"""Which timers may be armed in which state of a machine: what rows arm and stop, to the end.

A timer that fires in a state without a row for it would quarantine its machine, and a stay whose
timer nothing arms would have no end. Both are found without running anything.
"""

from __future__ import annotations

from engine.diagrams.docs import MachineDoc, RowDoc

#: By state: the tags that may be armed there, each with the row that armed it.
Armed = dict[str, dict[str, RowDoc]]


def armed_in(machine: MachineDoc) -> Armed:
    """The timers that may be armed in each state, over all orders of rows."""
    armed: Armed = {state.name: {} for state in machine.states}
    grew = True
    while grew:
        grew = False
        for row in machine.rows:
            there = armed[row.target]
            for tag, by in _after(machine, row, armed[row.source]).items():
                if tag not in there:
                    there[tag] = by
                    grew = True
    return armed


def _after(machine: MachineDoc, row: RowDoc, before: dict[str, RowDoc]) -> dict[str, RowDoc]:
    """What may be armed after a row; a timer that fires is armed no more."""
    left = {tag: by for tag, by in before.items() if tag != row.trigger}
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


def tags_of(machine: MachineDoc) -> set[str]:
    """Every tag that some action of the machine arms for it."""
    return {
        effect.name
        for callback in machine.callbacks.values()
        for effect in callback.effects
        if effect.kind == "arm" and machine.model in effect.target.split("|")
    }
