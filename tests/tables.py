"""Copies of the production tables with something changed, for tests that break them.

A copy is never run; it is only looked at.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from machines.core import TABLES
from machines.table import Row, State, Table


def changed(
    name: str,
    rows: Callable[[tuple[Row, ...]], Iterable[Row]] | None = None,
    states: Callable[[dict[str, State]], dict[str, State]] | None = None,
) -> list[Table]:
    """All tables, that of `name` with its rows or states changed."""
    found = []
    for table in TABLES.values():
        if table.name == name:
            twin = copy.copy(table)
            if rows is not None:
                twin.rows = tuple(rows(table.rows))
            if states is not None:
                twin.states = states(dict(table.states))
            table = twin  # noqa: PLW2901 - the twin takes its place
        found.append(table)
    return found


def without(
    trigger: str, source: str = "", guard: str = ""
) -> Callable[[tuple[Row, ...]], list[Row]]:
    """Take out the rows of a trigger, in one state and under one guard if given."""

    def keep(row: Row) -> bool:
        guards = [each.__name__ for each in row.guards]
        return not (
            row.trigger == trigger
            and (not source or row.source == source)
            and (not guard or guard in guards)
        )

    return lambda rows: [row for row in rows if keep(row)]
