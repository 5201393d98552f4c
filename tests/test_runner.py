"""`unwind sim` as its user meets it: exit status, what is printed, which files are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.simulation.outcome import CloseOutcome, LegOutcome, Outcome, to_json
from engine.simulation.runner import main

FIXTURE = Path(__file__).parent / "scenarios" / "fixture.toml"

GOOD = """
[[timeline]]
at_s = 0
close = { pair = "x", reason = "KILL" }
[expect]
closes.x.outcome = "flat"
"""
BAD = GOOD + 'positions."a:X" = "7"\n'


def scenario(folder: Path, name: str, text: str) -> Path:
    """Write a scenario over the standard fixture."""
    file = folder / f"{name}.toml"
    file.write_text(f'name = "{name}"\nbase = "{FIXTURE}"\n{text}', encoding="utf-8")
    return file


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return scenario(tmp_path, "good", GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return scenario(tmp_path, "bad", BAD)


# ---------------------------------------------------------------- exit status


def test_files_whose_expectations_hold_exit_0(good: Path, tmp_path: Path, capsys: Any) -> None:
    other = scenario(tmp_path, "other", GOOD)
    assert main([good, other]) == 0
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [
        f"ok     {good}",
        f"ok     {other}",
    ]
    assert err == ""


def test_a_failed_expectation_exits_1_and_tells_expected_and_actual(bad: Path, capsys: Any) -> None:
    assert main([bad]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"FAILED {bad}: bad ")
    assert out[1:] == ['       positions."a:X": expected 7, actual 0']


def test_a_failed_file_does_not_keep_the_next_from_running(
    good: Path, bad: Path, capsys: Any
) -> None:
    assert main([bad, good]) == 1
    assert f"ok     {good}: " in capsys.readouterr().out


def test_the_command_passes_the_status_on(good: Path, bad: Path, tmp_path: Path) -> None:
    command = CliRunner()
    for file, status in ((good, 0), (bad, 1), (tmp_path, 2)):
        assert command.invoke(app, ["sim", str(file)]).exit_code == status


# ---------------------------------------------------------------- files that cannot be read


def refused(files: list[Path], capsys: Any) -> list[str]:
    """The lines with which files are refused; nothing may have been run."""
    assert main(files) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_a_file_that_is_missing_is_named(tmp_path: Path, capsys: Any) -> None:
    missing = tmp_path / "none.toml"
    assert refused([missing], capsys) == [
        f"{missing}: file: cannot be read: No such file or directory"
    ]


def test_a_directory_is_no_scenario(tmp_path: Path, capsys: Any) -> None:
    assert refused([tmp_path], capsys) == [f"{tmp_path}: file: cannot be read: Is a directory"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# Title\n\nSome prose.\n", "is not TOML: "),
        (b"name = \xff\xfe\n", "must be UTF-8"),
        (b"", "venues = (missing)"),
    ],
    ids=["prose", "binary", "empty"],
)
def test_a_file_that_is_no_scenario_says_why(
    content: bytes, reason: str, tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(content)
    lines = refused([file], capsys)
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert reason in lines[0]


def test_a_link_that_leads_to_itself_is_an_error_like_others(tmp_path: Path, capsys: Any) -> None:
    link = tmp_path / "loop.toml"
    link.symlink_to(link)
    (line,) = refused([link], capsys)
    assert line.startswith(f"{link}: file: cannot be read: ")


def test_the_mistakes_of_all_files_are_listed_at_once(
    good: Path, tmp_path: Path, capsys: Any
) -> None:
    wrong = scenario(tmp_path, "wrong", 'colour = "red"\nseed = "many"\n')
    lines = refused([good, wrong, tmp_path], capsys)
    assert len(lines) == 3
    assert sum(line.startswith(f"{wrong}: ") for line in lines) == 2
    assert any("colour" in line for line in lines)
    assert any("seed" in line for line in lines)


@pytest.mark.parametrize("spelling", ["same", "detour", "link"])
def test_a_file_given_twice_is_refused_however_it_is_spelled(
    spelling: str, good: Path, tmp_path: Path, capsys: Any
) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(good)
    again = {"same": Path(good), "detour": good.parent / ".." / good.parent.name / good.name}
    second = again.get(spelling, link)
    (line,) = refused([good, second], capsys)
    assert line == f"{second}: is given twice, first as {good}; give each file once"


# ---------------------------------------------------------------- scripted actions


def test_a_scripted_fill_without_an_order_fails_its_file(tmp_path: Path, capsys: Any) -> None:
    late = '[[timeline]]\nat_s = 2.5\nfill = { instrument = "a:X", qty = "1" }\n'
    assert main([scenario(tmp_path, "late", late + GOOD)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1:] == ["       fill at 2.5 s: no order 'live' on a:X"]


def test_scripted_actions_without_an_order_are_told_in_order_of_time(
    tmp_path: Path, capsys: Any
) -> None:
    text = """
[[timeline]]
at_s = 4
report = { instrument = "a:X", order = 9, cum = "1" }
[[timeline]]
at_s = 3
fill = { instrument = "b:X", qty = "1" }
"""
    assert main([scenario(tmp_path, "early", text + GOOD)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "       fill at 3 s: no order 'live' on b:X",
        "       report at 4 s: no order 9 on a:X",
    ]


SETTLE = 'operator = { command = "settle", order = "a:X#7", cum = "1" }'


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("", "no order 'a:X#7'"),
        ('engine = { command = "freeze", for_s = 5 }', "no order 'a:X#7': the process is frozen"),
        ('engine = "kill"', "no order 'a:X#7': the process is not running"),
    ],
)
def test_an_operator_who_names_no_known_order_fails_the_file(
    before: str, why: str, tmp_path: Path, capsys: Any
) -> None:
    entries = [f"at_s = 2\n{before}"] if before else []
    entries += [f"at_s = 3\n{SETTLE}"]
    entries += ['at_s = 4\nengine = "restart"'] if "kill" in before else []
    text = "".join(f"[[timeline]]\n{entry}\n" for entry in entries)
    assert main([scenario(tmp_path, "mistaken", text + GOOD)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [f"       operator settle at 3 s: {why}"]


def test_an_operator_names_an_order_by_its_number_on_an_instrument(tmp_path: Path) -> None:
    text = """
[[timeline]]
at_s = 0
answer = { venue = "b", on = "any", outcome = "timeout", effect = false, for_s = 20 }
[[timeline]]
at_s = 10
operator = { command = "settle", instrument = "b:X", order = 1, cum = "0" }
[[timeline]]
at_s = 0
fault = { kind = "drop_request", venue = "b", on = "create" }
[expect]
trace = ["order:b:X#1:unknown>cancelled@10"]
[[timeline]]
at_s = 0
close = { pair = "x", reason = "KILL" }
"""
    assert main([scenario(tmp_path, "by_number", text)]) == 0


def test_a_number_that_only_the_run_could_judge_fails_the_file_and_not_the_run(
    tmp_path: Path, capsys: Any
) -> None:
    text = """
[[timeline]]
at_s = 1
operator = { command = "settle", order = 1099511627777, cum = "0.00000001" }
[[timeline]]
at_s = 1
funding = { instrument = "a:X", rate = "1e15" }
"""
    close = GOOD.replace("KILL", "MANUAL")
    assert main([scenario(tmp_path, "judged", text + close)]) == 1
    told = capsys.readouterr().out.splitlines()[1:]
    assert [line.partition(": ")[0] for line in told] == [
        "       operator at 1 s",
        "       funding at 1 s",
    ]
    assert "1E-8 must be a multiple of 0.01" in told[0]
    assert "must be within ±1E+15" in told[1]


# ---------------------------------------------------------------- JSON

TOP = """file name ok failed seed ended_at_s closes opens positions believed orders transitions
    alarms invariants journal""".split()
CLOSE = "state outcome reason duration_s orders naked_base_s price_pnl residual legs".split()
LEG = "filled average fees price_pnl slippage_bps funding".split()
ORDER = """at_s venue symbol side qty price kind post_only reduce_only rung client_id state filled
    why""".split()
TRANSITION = "at_s machine id trigger source dest".split()


def test_json_has_one_object_a_line_and_exactly_the_keys_of_the_format(
    good: Path, bad: Path, capsys: Any
) -> None:
    assert main([good, bad], json=True) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert list(first) == list(second) == TOP
    close = first["closes"]["x"]
    assert list(close) == CLOSE
    assert set(close["legs"]) == set(close["residual"]) == {"a:X", "b:X"}
    assert [list(leg) for leg in close["legs"].values()] == [LEG, LEG]
    assert first["orders"]
    assert all(list(row) == ORDER for row in first["orders"])
    assert first["transitions"]
    assert all(list(row) == TRANSITION for row in first["transitions"])
    assert list(first["invariants"]) == ["checked", "violated"]
    assert list(first["journal"]) == ["records", "hash"]
    assert first["opens"] == {}
    assert (first["ok"], first["failed"]) == (True, [])
    assert (second["ok"], second["failed"]) == (False, ['positions."a:X": expected 7, actual 0'])


def test_json_of_an_open_and_an_alarm_has_the_keys_of_the_format(
    tmp_path: Path, capsys: Any
) -> None:
    leg = LegOutcome()
    outcome = Outcome("f", "n", 1, opens={"x": CloseOutcome("opened", legs={"a:X": leg})})
    opened = json.loads(to_json(outcome))["opens"]["x"]
    assert list(opened) == [*CLOSE, "qty"]
    assert list(opened["legs"]["a:X"]) == LEG
    text = """
[[timeline]]
at_s = 0.95
report = { instrument = "b:X", order = 1, status = "frozen", cum = "0" }
[[timeline]]
at_s = 0
close = { pair = "x", reason = "MANUAL" }
"""
    main([scenario(tmp_path, "frozen", text)], json=True)
    alarms = json.loads(capsys.readouterr().out)["alarms"]
    assert alarms
    assert all(list(row) == ["at_s", "kind", "text"] for row in alarms)


def test_json_writes_decimals_as_strings_and_times_as_numbers(good: Path, capsys: Any) -> None:
    main([good], json=True)
    run = json.loads(capsys.readouterr().out)
    assert run["positions"] == run["believed"] == {"a:X": "0", "b:X": "0"}
    order = run["orders"][0]
    assert isinstance(order["qty"], str)
    assert isinstance(order["filled"], str)
    times = (run["ended_at_s"], order["at_s"], run["closes"]["x"]["duration_s"])
    assert all(isinstance(time, (int, float)) for time in times)


# ---------------------------------------------------------------- golden traces


def test_a_run_without_rewrite_writes_no_trace(good: Path) -> None:
    assert main([good]) == 0
    assert not good.with_suffix(".trace").exists()


def test_a_rewritten_trace_is_what_trace_prints_and_holds_from_then_on(
    good: Path, capsys: Any
) -> None:
    assert main([good], rewrite=True) == 0
    capsys.readouterr()
    assert main([good], trace=True) == 0
    written = good.with_suffix(".trace").read_text(encoding="utf-8")
    assert written.startswith("# good, seed 1\n")
    assert capsys.readouterr().out.startswith(written)


def test_a_trace_that_differs_fails_the_file_until_it_is_rewritten(good: Path, capsys: Any) -> None:
    golden = good.with_suffix(".trace")
    main([good], rewrite=True)
    right = golden.read_text(encoding="utf-8")
    golden.write_text(right.replace("flat", "round"), encoding="utf-8")
    capsys.readouterr()
    assert main([good]) == 1
    out = capsys.readouterr().out
    assert "       trace: -" in out
    assert "       trace: +" in out
    assert main([good], rewrite=True) == 0
    assert golden.read_text(encoding="utf-8") == right


def test_a_rewrite_does_not_hide_a_failed_expectation(bad: Path) -> None:
    assert main([bad], rewrite=True) == 1
    assert bad.with_suffix(".trace").exists()


def test_a_trace_that_cannot_be_written_is_an_error(good: Path, capsys: Any) -> None:
    golden = good.with_suffix(".trace")
    golden.mkdir()
    assert main([good], rewrite=True) == 2
    assert capsys.readouterr().err == f"{golden}: Is a directory\n"
