"""Every row of every table is taken by some scenario or by a test that takes it alone.

The scenario files are run once for all tests here, and the row tests of the four machines are run
again with their rows counted, so that it does not matter which tests ran before. A row that nothing
takes fails, unless it is exempt for a reason that is written down.
"""

from __future__ import annotations

import inspect
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from engine.simulation import coverage
from tests import rows, test_close_rows, test_leg_rows, test_order_rows, test_session_rows
from tests.scenario_files import DIRECTORY

#: Rows that nothing takes, by label in the order of the tables, and why that is right.
EXEMPT: dict[str, str] = {}
ROW_TESTS = (test_order_rows, test_leg_rows, test_close_rows, test_session_rows)


def variants(function: Any) -> list[dict[str, Any]]:
    """The arguments of every case of a test, from its parametrize marks."""
    cases: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args
            single = isinstance(names, str)
            cases = [
                case | ({names: value} if single else dict(zip(names, value, strict=True)))
                for case in cases
                for value in values
            ]
    return cases


def play(module: ModuleType) -> None:
    """Run every test of a module outside of pytest."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_") and function.__module__ == module.__name__:
            for arguments in variants(function):
                function(**arguments)


@pytest.fixture(scope="session")
def by_scenarios() -> Counter[tuple[str, int]]:
    return coverage.measure(coverage.scenario_files(DIRECTORY))


@pytest.fixture(scope="session")
def by_tests() -> Counter[tuple[str, int]]:
    rows.TAKEN.clear()
    for module in ROW_TESTS:
        play(module)
    return Counter(rows.TAKEN)


@pytest.mark.slow  # runs every scenario file and all row tests once
def test_every_row_that_is_not_exempt_is_taken_and_no_other_is_exempt(
    by_scenarios: Counter[tuple[str, int]], by_tests: Counter[tuple[str, int]]
) -> None:
    assert coverage.untaken(by_scenarios + by_tests) == list(EXEMPT)


@pytest.mark.slow  # runs every scenario file
def test_scenarios_reach_every_state_of_every_machine(
    by_scenarios: Counter[tuple[str, int]],
) -> None:
    entered = {
        (table.name, table.rows[number].dest)
        for table in coverage.tables()
        for number in range(len(table.rows))
        if by_scenarios[table.name, number]
    }
    states = {
        (table.name, state)
        for table in coverage.tables()
        for state in table.states
        if state != table.initial
    }
    assert states - entered == {("close", "quarantined")}, "only a bug of ours leads there"


def test_the_report_lists_every_row_with_how_often_it_was_taken() -> None:
    order = coverage.tables()[0]
    text = coverage.report({("order", 0): 7})
    lines = text.splitlines()
    assert lines[0] == f"order: 1 of {len(order.rows)} rows taken"
    assert lines[1].split() == ["7", *coverage.label(order, order.rows[0]).split()]
    assert len(lines) == sum(1 + len(table.rows) for table in coverage.tables())


def test_a_row_that_was_never_taken_is_named() -> None:
    taken = {
        (table.name, number): 1
        for table in coverage.tables()
        for number in range(len(table.rows))
        if (table.name, number) != ("session", 0)
    }
    assert coverage.untaken(taken) == ["session: opened: connecting > syncing"]


def test_the_command_line_reports_on_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    file = next(DIRECTORY.rglob("c56_*.toml"))
    assert coverage.main([str(file)]) == 0
    assert "rows taken" in capsys.readouterr().out


def test_the_command_line_wants_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.main([]) == 2
    assert "usage" in capsys.readouterr().err
