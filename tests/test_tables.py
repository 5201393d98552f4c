"""A table finds its own defects at import, and firing it is legal or changes nothing.

Random drawing of legal rows is not the point here: every (state, trigger) pair is tried.
"""

import copy
from typing import Any

import pytest
from transitions import EventData

from machines.errors import IllegalTransition, TableError
from machines.table import Out, Row, State, Table, build


class Door:
    """The smallest model: an id for messages and a state."""

    __slots__ = ("id", "state")

    def __init__(self, state: str = "shut") -> None:
        self.id = "front"
        self.state = state


def is_oiled(data: EventData) -> bool:
    """Is the hinge oiled?"""
    return bool(data.args[0])


def has_key(data: EventData) -> bool:
    """Does the one who knocks have the key?"""
    return data.args[0] == "key"


def ring(data: EventData) -> None:
    """Ring the bell."""
    data.args[1].commands.append("ring")


def jam(data: EventData) -> None:
    """Break in the middle of the row."""
    raise RuntimeError("jammed")


def lose(data: EventData) -> None:
    """Break with the very error by which the table knows a missing trigger."""
    raise KeyError("lost")


def undocumented(data: EventData) -> bool:
    return True


SHUT = State("shut", "nobody passes", unbounded="a door may stay shut")
OPEN = State("open", "anybody passes", deadline="draught: door.open_s")
GONE = State("gone", "there is a hole in the wall", terminal=True)
STATES = (SHUT, OPEN, GONE)

PUSH = Row("push", "shut", "open", is_oiled, (ring,))
STUCK = Row("push", "shut", None, None, (ring,))
CLOSE = Row("draught", "open", "shut")
BURN = Row("fire", ("shut", "open"), "gone")
ROWS = (PUSH, STUCK, CLOSE, BURN)


def table(
    states: tuple[State, ...] = STATES,
    rows: tuple[Row, ...] = ROWS,
    initial: str = "shut",
    model: type = Door,
) -> Table:
    return Table("door", states, rows, initial, model)


# ---------------------------------------------------------------- the check at import

DEFECTS = {
    "unknown source": (STATES, (*ROWS, Row("kick", "ajar", "open")), "unknown source"),
    "unknown destination": (STATES, (*ROWS, Row("kick", "shut", "ajar")), "unknown destination"),
    "unreachable state": (
        (*STATES, State("locked", "bolted", unbounded="until unlocked")),
        (*ROWS, Row("unlock", "locked", "shut")),
        "state locked is unreachable",
    ),
    "exit of a terminal state": (
        STATES,
        (*ROWS, Row("rebuild", "gone", "shut")),
        "leaves a terminal state without being declared late",
    ),
    "no deadline": (
        (SHUT, State("open", "anybody passes"), GONE),
        ROWS,
        "state open: neither deadline nor reason",
    ),
    "no meaning": ((SHUT, OPEN, State("gone", "", terminal=True)), ROWS, "state gone: no meaning"),
    "duplicate row": (STATES, (PUSH, *ROWS), "push in shut: duplicate row"),
    "duplicate unguarded row": (STATES, (*ROWS, CLOSE), "draught in open: duplicate row"),
    "shadowed row": (
        STATES,
        (*ROWS, Row("draught", "open", None, has_key)),
        "draught in open: rows after the unguarded one are shadowed",
    ),
    "no unguarded last row": (STATES, (PUSH, CLOSE, BURN), "push in shut: no unguarded last row"),
    "trigger that is an attribute": (
        STATES,
        (*ROWS, Row("id", "shut", "open")),
        "trigger collides with an attribute of Door",
    ),
    "guard without docstring": (
        STATES,
        (*ROWS, Row("kick", "shut", "open", undocumented), Row("kick", "shut", None)),
        "guard or action without a docstring",
    ),
    "action without docstring": (
        STATES,
        (*ROWS, Row("kick", "shut", "open", None, (undocumented,))),
        "guard or action without a docstring",
    ),
    "callback by name": (
        STATES,
        (*ROWS, Row("kick", "shut", "open", None, ("ring",))),  # type: ignore[arg-type]
        "guard or action without a docstring: 'ring'",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_malformed_table_is_refused_with_the_defect_named(defect: str) -> None:
    states, rows, finding = DEFECTS[defect]
    with pytest.raises(TableError) as caught:
        table(states, rows)
    assert [text for text in caught.value.findings if finding in text]
    assert finding in str(caught.value)


def test_an_unknown_initial_state_is_refused() -> None:
    with pytest.raises(TableError) as caught:
        table(initial="ajar")
    assert "initial state 'ajar' is not declared" in caught.value.findings


def test_all_defects_are_listed_at_once() -> None:
    states = (SHUT, State("open", ""), GONE, State("locked", "bolted", unbounded="until unlocked"))
    rows = (
        PUSH,
        CLOSE,
        CLOSE,
        BURN,
        Row("id", "shut", "ajar", undocumented),
        Row("kick", "ajar", "open"),
        Row("rebuild", "gone", "shut"),
    )
    with pytest.raises(TableError) as caught:
        table(states, rows)
    assert sorted(text.replace(repr(undocumented), "...") for text in caught.value.findings) == [
        "draught in open: duplicate row",
        "draught in open: rows after the unguarded one are shadowed",
        "id in shut: no unguarded last row",
        "push in shut: no unguarded last row",
        "row id: shut > ajar: guard or action without a docstring: ...",
        "row id: shut > ajar: trigger collides with an attribute of Door",
        "row id: shut > ajar: unknown destination",
        "row kick: ajar > open: unknown source",
        "row rebuild: gone > shut: leaves a terminal state without being declared late",
        "state locked is unreachable",
        "state open: neither deadline nor reason to have none",
        "state open: no meaning",
    ]


def test_a_late_exit_of_a_terminal_state_is_allowed_when_declared() -> None:
    rebuilt = Door("gone")
    table(rows=(*ROWS, Row("rebuild", "gone", "shut", late=True))).fire(
        rebuilt, "rebuild", None, Out()
    )
    assert rebuilt.state == "shut"


# ---------------------------------------------------------------- firing


def test_the_first_row_whose_guards_hold_is_taken_and_traced() -> None:
    door, out = Door(), Out(trace=[])
    out.now = 7
    table().fire(door, "push", "oil", out)
    assert (door.state, out.commands) == ("open", ["ring"])
    assert out.trace == [(7, "door", "front", "push", "shut", "open", 0)]


def test_an_internal_row_acts_and_keeps_the_state() -> None:
    door, out = Door(), Out(trace=[])
    table().fire(door, "push", None, out)
    assert (door.state, out.commands) == ("shut", ["ring"])
    assert out.trace == [(0, "door", "front", "push", "shut", "shut", 1)]


def test_a_line_with_several_sources_stands_for_one_row_each() -> None:
    for source in ("shut", "open"):
        door = Door(source)
        table().fire(door, "fire", None, Out())
        assert door.state == "gone"


@pytest.mark.parametrize("trigger", ["draught", "explode"])
def test_a_trigger_without_row_is_illegal_and_changes_nothing(trigger: str) -> None:
    door, out = Door(), Out(trace=[])
    with pytest.raises(IllegalTransition) as caught:
        table().fire(door, trigger, None, out)
    assert (caught.value.state, caught.value.trigger) == ("shut", trigger)
    assert (door.state, out.commands, out.trace) == ("shut", [], [])


def test_guards_that_are_all_false_are_illegal_and_change_nothing() -> None:
    incomplete, door, out = table(), Door(), Out(trace=[])
    incomplete.machine.events["push"].transitions["shut"].pop()
    with pytest.raises(IllegalTransition, match="all guards false"):
        incomplete.fire(door, "push", None, out)
    assert (door.state, out.commands, out.trace) == ("shut", [], [])


def test_an_action_that_raises_leaves_the_state_and_the_trace_as_they_were() -> None:
    door, out = Door(), Out(trace=[])
    broken = table(rows=(*ROWS, Row("kick", "shut", "open", None, (ring, jam))))
    with pytest.raises(RuntimeError, match="jammed"):
        broken.fire(door, "kick", None, out)
    assert (door.state, out.trace) == ("shut", [])


def test_a_key_error_in_an_action_is_not_taken_for_a_missing_row() -> None:
    door = Door()
    broken = table(rows=(*ROWS, Row("kick", "shut", "open", None, (lose,))))
    with pytest.raises(KeyError, match="lost"):
        broken.fire(door, "kick", None, Out())


# ---------------------------------------------------------------- the tables in production


def pairs(production: Table) -> list[tuple[str, str]]:
    return [(state, trigger) for state in production.states for trigger in production.events]


def test_every_pair_without_a_row_is_illegal_and_leaves_the_state(production: Table) -> None:
    refused = [pair for pair in pairs(production) if not production.has_row(*pair)]
    assert refused, "a table that takes everything refuses nothing"
    for state, trigger in refused:
        model, out = Door(state), Out(trace=[])
        with pytest.raises(IllegalTransition):
            production.fire(model, trigger, None, out)
        assert (model.state, out.commands, out.trace) == (state, [], []), (state, trigger)


def test_every_pair_with_a_row_has_one_to_take_when_no_guard_holds(production: Table) -> None:
    def never(data: EventData) -> bool:
        return False

    twin = copy.copy(production)
    twin.rows = tuple(
        row._replace(guard=tuple(never for _ in row.guards), actions=()) for row in production.rows
    )
    twin.machine = build(twin)
    twin.events = twin.machine.events
    last: dict[tuple[Any, str], str] = {
        (row.source, row.trigger): row.dest or str(row.source) for row in production.rows
    }
    accepted = {pair for pair in pairs(production) if production.has_row(*pair)}
    assert accepted == last.keys()
    for (state, trigger), dest in last.items():
        model, out = Door(state), Out(trace=[])
        twin.fire(model, trigger, None, out)
        assert (model.state, len(out.trace or [])) == (dest, 1), (state, trigger)


@pytest.mark.parametrize(
    ("said", "shut", "opened"),
    [
        ("", "", ""),
        ("nobody lays fires", "nobody lays fires", "nobody lays fires"),
        ("shut: rain", "rain", ""),
        ("shut: rain; open: wind", "rain", "wind"),
        ("shut, open: rain", "rain", "rain"),
        ("fault arson: not built", "fault arson: not built", "fault arson: not built"),
        ("open: fault arson: not built", "", "fault arson: not built"),
    ],
)
def test_an_excuse_is_about_the_sources_that_it_names(said: str, shut: str, opened: str) -> None:
    rows = table(rows=(PUSH, STUCK, CLOSE, BURN._replace(untaken=said))).rows
    assert [row.untaken for row in rows if row.trigger == "fire"] == [shut, opened]
