"""Every row of every table is taken by some scenario, or says itself why none can.

The scenario files are run once for all tests here. Rows with an excuse are taken by a test of their
own: the row tests of the four machines are run again with their rows counted, so that it does not
matter which tests ran before.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from engine.diagrams import coverage
from engine.diagrams.arrows import moving_arrows
from engine.diagrams.command import Wanted, main
from engine.diagrams.coverage import Coverage
from engine.diagrams.docs import Docs
from engine.simulation.scenario import ScenarioError
from engine.taken import Taken
from machines.table import Transition
from machines.types import NS
from tests import (
    rows,
    test_close_rows,
    test_holding_rows,
    test_lane_rows,
    test_leg_rows,
    test_order_rows,
    test_session_rows,
)
from tests.scenario_files import DIRECTORY

ROW_TESTS = (
    test_order_rows,
    test_leg_rows,
    test_close_rows,
    test_session_rows,
    test_holding_rows,
    test_lane_rows,
)


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
def by_scenarios() -> Coverage:
    return coverage.of_scenarios(coverage.scenario_files(DIRECTORY))


# ---------------------------------------------------------------- the tables that run


@pytest.mark.slow  # runs every scenario file
def test_every_row_is_taken_by_a_scenario_or_says_why_none_can(
    docs: Docs, by_scenarios: Coverage
) -> None:
    assert coverage.findings(docs, by_scenarios.taken.rows) == []


@pytest.mark.slow  # runs all row tests
def test_a_row_that_no_scenario_takes_is_taken_by_a_test_of_its_own(docs: Docs) -> None:
    rows.TAKEN.clear()
    for module in ROW_TESTS:
        play(module)
    alone = Counter(rows.TAKEN)
    missing = [
        coverage.label(machine, row)
        for machine, row in coverage.never_taken(docs, alone)
        if row.untaken
    ]
    assert missing == []


@pytest.mark.slow  # runs every scenario file
def test_scenarios_reach_every_state_of_every_machine(docs: Docs, by_scenarios: Coverage) -> None:
    entered = {
        (machine.name, row.dest)
        for machine in docs.machines
        for row in machine.rows
        if by_scenarios.count(machine.name, row.number)
    }
    states = {
        (machine.name, state.name)
        for machine in docs.machines
        for state in machine.states
        if state.name != machine.initial
    }
    assert states - entered == {("close", "quarantined")}, "only a bug of ours leads there"


# ---------------------------------------------------------------- judging


def with_row(docs: Docs, machine: str, number: int, **change: Any) -> Docs:
    found = docs.machine(machine)
    changed = list(found.rows)
    changed[number] = msgspec.structs.replace(changed[number], **change)
    other = msgspec.structs.replace(found, rows=tuple(changed))
    return msgspec.structs.replace(
        docs, machines=tuple(other if each.name == machine else each for each in docs.machines)
    )


def all_taken(docs: Docs) -> Counter[tuple[str, int]]:
    return Counter(
        {
            (machine.name, row.number): 1
            for machine in docs.machines
            for row in machine.rows
            if not row.untaken
        }
    )


def test_a_row_that_was_never_taken_is_a_finding(docs: Docs) -> None:
    taken = all_taken(docs)
    assert coverage.findings(docs, taken) == []
    del taken["session", 0]
    (finding,) = coverage.findings(docs, taken)
    assert finding == (
        "session: opened: connecting > syncing: no scenario takes it; write one, or say in the row "
        "why none can"
    )
    excused = with_row(docs, "session", 0, untaken="the link opens before anything is simulated")
    assert coverage.findings(excused, taken) == []


def test_an_excuse_ends_when_a_scenario_takes_the_row(docs: Docs) -> None:
    excused = with_row(docs, "session", 0, untaken="cannot happen")
    (finding,) = coverage.findings(excused, all_taken(docs))
    assert finding.endswith("is taken, yet says 'cannot happen'")


def test_an_excuse_ends_with_the_kind_of_fault_that_it_rests_on(
    docs: Docs, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = all_taken(docs)
    del taken["session", 0]
    excused = with_row(docs, "session", 0, untaken="fault power_cut: nothing else drops a link")
    assert coverage.findings(excused, taken) == []
    monkeypatch.setattr(coverage, "BUILT", coverage.BUILT | {"power_cut"})
    (finding,) = coverage.findings(excused, taken)
    assert finding.endswith("the fault power_cut can be produced now; write a scenario with it")


def test_an_excuse_says_more_than_a_word(docs: Docs) -> None:
    excuses = {row.untaken for machine in docs.machines for row in machine.rows if row.untaken}
    for excuse in excuses:
        assert len(excuse.split()) > 3, excuse


# ---------------------------------------------------------------- measuring


def moved(at: int, name: str, source: str, dest: str, row: int = 0) -> Transition:
    return Transition(at * NS, "leg", name, "go", source, dest, row)


def test_a_stay_lasts_from_entering_to_leaving() -> None:
    taken = Taken()
    taken.take([moved(1, "x", "idle", "market", 7)])
    taken.take([moved(3, "x", "market", "market", 8), moved(5, "x", "market", "done", 9)])
    assert taken.rows == {("leg", 7): 1, ("leg", 8): 1, ("leg", 9): 1}
    assert taken.stays == {("leg", "market"): [4 * NS]}


def test_who_takes_a_name_over_does_not_inherit_a_stay() -> None:
    taken = Taken()
    taken.take([moved(1, "x", "market", "done"), moved(9, "x", "idle", "market")])
    assert taken.stays == {}


def test_two_files_add_up() -> None:
    first, second = Taken(), Taken()
    for taken, end in ((first, 3), (second, 6)):
        taken.take([moved(1, "x", "idle", "market"), moved(end, "x", "market", "done")])
    first.add(second)
    measured = Coverage(judges=True, taken=first)
    assert measured.count("leg", 0) == 4
    assert measured.stay("leg", "market") == (int(3.5 * NS), 5 * NS)
    assert measured.stay("leg", "idle") is None


def test_the_report_counts_rows_and_lists_those_never_taken(docs: Docs) -> None:
    taken = Taken()
    taken.rows["order", 0] = 7
    taken.stays["order", "live"] = [NS // 2, NS, 400 * NS]
    lines = coverage.report(docs, Coverage(judges=True, taken=taken)).splitlines()
    order = docs.machine("order")
    assert lines[0] == f"order: 1 of {len(order.rows)} rows taken, 7 times in all"
    assert lines[1] == "    live: median 1 s, longest 400 s"
    absent = [row for machine in docs.machines for row in machine.rows if row is not order.rows[0]]
    excused = sum(1 for row in absent if row.untaken)
    assert f"rows never taken: {len(absent)}, {excused} of them for a reason" in lines
    assert lines.index(f"  {coverage.UNEXCUSED}:") == len(lines) - (len(absent) - excused) - 1
    assert any(line.strip() == coverage.label(order, order.rows[1]) for line in lines)
    assert not any(line.strip() == coverage.label(order, order.rows[0]) for line in lines)


def test_the_report_of_a_journal_lists_what_it_took(docs: Docs) -> None:
    taken = Taken()
    taken.rows["order", 0] = 1
    lines = coverage.report(docs, Coverage(judges=False, taken=taken)).splitlines()
    assert lines[0].endswith("rows taken, 1 time in all")
    order = docs.machine("order")
    assert lines[-2:] == [
        "rows taken, and how often:",
        f"       1 {coverage.label(order, order.rows[0])}",
    ]


def test_a_row_that_a_journal_does_not_take_is_no_alarm(docs: Docs) -> None:
    arrows = moving_arrows(docs.machine("order"))
    found = coverage.overlay(docs.machine("order"), arrows, Coverage(judges=False, taken=Taken()))
    assert {look.color for look in found.arrows.values()} == {coverage.EXCUSED}


def test_an_excuse_that_rests_on_a_fault_is_told_in_words(docs: Docs) -> None:
    row = next(row for machine in docs.machines for row in machine.rows if coverage.fault_of(row))
    assert coverage.excuse(row).startswith(f"only under the fault {coverage.fault_of(row)}, which")


def test_a_scenario_without_its_recording_is_left_out_and_named(tmp_path: Path, docs: Docs) -> None:
    file = tmp_path / "recorded.toml"
    text = (DIRECTORY.parent / "real/btc_usdm_spot.toml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    measured = coverage.of_scenarios([file])
    assert measured.skipped == [f"{file}: its recorded market is not on this machine"]
    assert coverage.report(docs, measured).endswith(f"left out: {measured.skipped[0]}\n")


def test_a_scenario_with_a_bad_recording_is_not_left_out(tmp_path: Path) -> None:
    file = tmp_path / "recorded.toml"
    (tmp_path / "tape.csv").write_text("no rows\n", encoding="utf-8")
    file.write_text(
        'name = "x"\n[venues.a]\nprofile = "ideal"\n[instruments."a:X"]\ntick = "1"\nlot = "1"\n'
        'recording = "tape.csv"\n',
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError, match="cannot be replayed"):
        coverage.of_scenarios([file])


def test_a_scenario_with_a_mistake_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('name = "x"\ncolour = "red"\n', encoding="utf-8")
    with pytest.raises(ScenarioError, match="colour"):
        coverage.of_scenarios(coverage.scenario_files(tmp_path))


# ---------------------------------------------------------------- overlaying


def test_arrows_show_how_often_and_states_how_long(docs: Docs) -> None:
    order = docs.machine("order")
    arrows = moving_arrows(order)
    first, other = arrows[0], arrows[1]
    taken = Taken()
    taken.rows["order", first.rows[0]] = 1200
    taken.stays["order", "live"] = [2 * NS]
    overlay = coverage.overlay(order, arrows, Coverage(judges=True, taken=taken))
    assert overlay.arrows[first.number].note.startswith("1200x")
    assert overlay.arrows[first.number].color == coverage.HEAT[3], "a colour for each decade"
    assert overlay.arrows[other.number].dashed
    assert overlay.states["live"].note == "2 s, at most 2 s"
    assert "pending" not in overlay.states


# ---------------------------------------------------------------- the command


def test_the_command_counts_one_file_and_fails_for_rows_never_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = next(DIRECTORY.rglob("c56_*.toml"))
    assert main(Wanted(scenarios=[file])) == 1
    printed = capsys.readouterr().out
    assert "rows taken" in printed
    assert printed.count("no scenario takes it; write one, or say in the row why none can") == 1
    assert re.search(r"^FAILED 1 scenario: \d+ rows to look at, as above$", printed, re.MULTILINE)
