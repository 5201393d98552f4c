"""Static checks of the transition tables, beyond what a table refuses at import.

Each rule looks at the rows and at the source of what they name, over all states and all orders of
facts, so what it says holds for every run. A finding names the machine, the rule and what to do
about it. It must not run a machine; that is done, over all interleavings of small worlds, by
`engine.simulation.explore`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import NamedTuple

from engine.diagrams.docs import Docs, MachineDoc, RowDoc, describe, words
from engine.diagrams.keys import by_short, named_in
from engine.diagrams.loops import PEOPLE, doubts, unbounded
from engine.diagrams.reading import Reader
from engine.diagrams.timers import Armed, armed_in, awaited_after
from machines.joint import JOINT, Joint, doing, standing
from machines.table import Table, check
from machines.types import AGGRESSIVE, MARKET, PASSIVE


class Finding(NamedTuple):
    """One thing that is wrong with a table."""

    machine: str
    rule: str
    text: str


#: What each rule makes sure of; the report prints it where nothing was found.
RULES = {
    "well-formed": "every state is reachable and has a meaning; guards leave no case out",
    "deadline": "a stay that has to end names its timers; each has a row, no way in arms none",
    "timer": "no timer can fire in a state without a row for it",
    "dead row": "no row stands behind one that takes all it would, or waits for an unarmed timer",
    "sender": "every trigger is sent by a fact, a timer or another machine",
    "every fact": "every message and fact has a row in every state",
    "way out": "rows lead from every state to an end, or to the start of a machine that has none, "
    "without a person unless the state awaits one",
    "bound": "every loop is counted up to a maximum, or a row of it says what each turn waits for",
    "joint": "every pair of what two legs do has one rule, asking for a higher rung or for none",
}

#: Who sends what no machine and no venue would send by itself: people, a start, a bug of ours.
BY_HAND = {*PEOPLE, "a defect of ours"}

#: The rung on which a leg is that stands so; one that has ended has none to go to.
RUNG_OF = {"passive": PASSIVE, "aggressive": AGGRESSIVE, "market": MARKET}


def lint(tables: Iterable[Table], joint: Iterable[Joint] = JOINT) -> list[Finding]:
    """Everything that is wrong with these tables together, in the order of the rules."""
    chosen = list(tables)
    docs = describe(chosen)
    found: list[Finding] = []
    for table, machine in zip(chosen, docs.machines, strict=True):
        found += [Finding(table.name, "well-formed", text) for text in check(table, table.model)]
        armed = armed_in(machine)
        found += _deadlines(machine, armed)
        found += _timers(machine, armed)
        found += _dead(machine, armed)
        found += _senders(machine)
        found += _missing(machine)
        found += _no_way_out(machine)
        found += _loops(docs, machine)
    found += _uncovered(joint)
    order = list(RULES)
    return sorted(found, key=lambda finding: order.index(finding.rule))


def named(row: RowDoc) -> str:
    """A row in a few words."""
    guards = " and ".join(row.guards)
    dest = row.dest or "stays"
    return f"{row.trigger}: {row.source} > {dest}" + (f" [{guards}]" if guards else "")


def acts(machine: MachineDoc, row: RowDoc) -> bool:
    """Whether a row changes anything at all."""
    calls = [call for name in row.actions for call in machine.callbacks[name].calls]
    return row.moves or any(machine.code[call] != "pass" for call in calls)


# ---------------------------------------------------------------- time


def _deadlines(machine: MachineDoc, armed: Armed) -> Iterable[Finding]:
    for state in machine.states:
        rows = {row.trigger for row in machine.rows if row.source == state.name}
        for tag, length in state.timers:
            where = f"state {state.name}: its timer {tag!r}"
            if tag not in rows:
                yield Finding(machine.name, "deadline", f"{where} has no row there; add one")
            if tag not in armed[state.name]:
                text = f"{where} is armed on no way into it; arm it, or take it out of `deadline`"
                yield Finding(machine.name, "deadline", text)
            if not length or ("_" in length and not named_in(length)):
                text = f"{where} lasts {length!r}, which names no key of the configuration"
                yield Finding(machine.name, "deadline", f"{text} ({', '.join(by_short())})")
            if state.terminal:
                yield Finding(machine.name, "deadline", f"{where} runs, though it is an end")
        acted_on = {r.trigger for r in machine.rows if r.source == state.name and acts(machine, r)}
        for tag in armed[state.name]:
            if tag in acted_on and tag not in dict(state.timers):
                text = (
                    f"state {state.name}: timer {tag!r} may be armed there; name it in `deadline`"
                )
                yield Finding(machine.name, "deadline", text)
    for row in machine.rows:
        state = machine.state(row.target)
        tags = {tag for tag, _ in state.timers}
        if state.unbounded or not tags & set(armed[state.name]):
            continue
        if not tags & awaited_after(machine, row, armed):
            text = f"{named(row)}: no timer of state {state.name} is armed after it; arm one"
            yield Finding(machine.name, "deadline", text)


def _timers(machine: MachineDoc, armed: Armed) -> Iterable[Finding]:
    for state, tags in armed.items():
        for tag, by in tags.items():
            if not any(row.source == state and row.trigger == tag for row in machine.rows):
                who = by if isinstance(by, str) else named(by)
                text = f"state {state}: timer {tag!r} may fire there, armed by {who}"
                yield Finding(machine.name, "timer", f"{text}; stop it on the way, or add a row")


# ---------------------------------------------------------------- rows


def _dead(machine: MachineDoc, armed: Armed) -> Iterable[Finding]:
    groups: dict[tuple[str, str], list[RowDoc]] = {}
    for row in machine.rows:
        before = groups.setdefault((row.trigger, row.source), [])
        for other in before:
            alike = other.guards == row.guards  # said by "well-formed"
            if other.guards and not alike and set(other.guards) <= set(row.guards):
                text = f"{named(row)}: never taken, for {named(other)} comes first"
                yield Finding(machine.name, "dead row", text)
        before.append(row)
        if machine.origins[row.trigger] == ("timer",) and row.trigger not in armed[row.source]:
            text = f"{named(row)}: never taken, for nothing arms that timer there; take it out"
            yield Finding(machine.name, "dead row", text)


def _senders(machine: MachineDoc) -> Iterable[Finding]:
    for trigger, origins in machine.origins.items():
        if not origins:
            text = f"nothing sends {trigger!r}: its rows are dead; take them out"
            yield Finding(machine.name, "sender", text)


def _missing(machine: MachineDoc) -> Iterable[Finding]:
    for trigger, origins in machine.origins.items():
        if set(origins) <= {"timer"}:
            continue
        sources = {row.source for row in machine.rows if row.trigger == trigger}
        if not sources:
            text = f"{trigger!r}, sent by {', '.join(origins)}, has no row in any state; add rows"
            yield Finding(machine.name, "every fact", text)
            continue
        for state in machine.states:
            if state.name not in sources:
                text = f"{trigger!r} has no row in state {state.name}; say what it means there"
                yield Finding(machine.name, "every fact", text)


def _no_way_out(machine: MachineDoc) -> Iterable[Finding]:
    ends = {state.name for state in machine.states if state.terminal} or {machine.initial}
    goal = "the first state" if machine.initial in ends else "a terminal state"
    by_itself = [row for row in machine.rows if not set(machine.origins[row.trigger]) <= BY_HAND]
    moved = {row.source for row in by_itself if row.moves}
    able, alone = _leading_to(ends, machine.rows), _leading_to(ends, by_itself)
    for state in machine.states:
        if state.name not in able:
            text = f"{goal} cannot be reached from {state.name}; add a way out"
            yield Finding(machine.name, "way out", text)
        elif state.name not in alone and state.name in moved:
            text = f"only a person leads from {state.name} to {goal}; add a way out"
            yield Finding(machine.name, "way out", text)


def _leading_to(ends: set[str], rows: Iterable[RowDoc]) -> set[str]:
    """The states from which one of the ends can be reached by these rows."""
    reached = set(ends)
    grew = True
    while grew:
        more = {row.source for row in rows if row.target in reached} - reached
        grew = bool(more)
        reached |= more
    return reached


def _loops(docs: Docs, machine: MachineDoc) -> Iterable[Finding]:
    for row in machine.rows:
        for text in doubts(docs, machine, row):
            yield Finding(machine.name, "bound", f"{named(row)}: {text}")
    for loop in unbounded(docs, machine):
        shown = "; ".join(named(row) for row in loop[:4])
        more = f" and {len(loop) - 4} more rows" if len(loop) > 4 else ""
        text = f"these rows can follow each other for ever: {shown}{more}"
        yield Finding(machine.name, "bound", f"{text}; count them, or say what bounds one of them")


# ---------------------------------------------------------------- two legs


def _uncovered(joint: Iterable[Joint]) -> Iterable[Finding]:
    seen: set[tuple[str, str]] = set()
    can_do, can_stand = _words(doing), _words(standing)
    for rule in joint:
        for a, b in product(words(rule.a), words(rule.b)):
            if (a, b) in seen:
                yield Finding("joint", "joint", f"two rules for the pair ({a}, {b}); keep one")
            seen.add((a, b))
            if a not in can_do or b not in can_stand:
                yield Finding("joint", "joint", f"({a}, {b}) is no pair that can occur")
            elif rule.rung is not None and not RUNG_OF.get(b, MARKET) < rule.rung <= MARKET:
                text = (
                    f"({a}, {b}) asks for a rung that is not above it; ask for a higher one or none"
                )
                yield Finding("joint", "joint", text)
    for a, b in product(can_do, can_stand):
        if (a, b) not in seen:
            text = f"no rule for a leg that is {a} beside one that is {b}; add one"
            yield Finding("joint", "joint", text)


def _words(function: Callable[..., str]) -> tuple[str, ...]:
    """Every word that a function of the joint table may return, as its code has it."""
    return Reader({}, (), ()).constants(function)
