"""Files, names and texts of others: refused or shown, never obeyed and never waited for."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loguru import logger
from rich.console import Console, Group
from rich.text import Text

from engine.app import _log_to
from engine.board import make_board
from engine.config import load
from engine.config_values import ConfigError
from engine.control import CloseWanted, ControlError, ask
from engine.diagrams.command import Wanted
from engine.diagrams.command import main as diagram
from engine.files import TooLarge, is_regular, open_regular, read_whole
from engine.journal import Record, open_journal
from engine.pairs_table import status_parts
from engine.recovery import SESSION_SUFFIX, BootError, boot
from engine.simulation.runner import main as sim
from engine.snapshot import SessionView, Snapshot
from engine.story.command import replay, trace, why
from engine.texts import ascii_json, printable, put, shortened
from engine.venue_actor import BookError, BookFile
from machines.messages import (
    Alarm,
    CloseRequested,
    EngineStarted,
    Fact,
    FundingPaid,
    OperatorCommanded,
    PositionDeclared,
    TopSeen,
)
from machines.types import NS
from tests.hostile import ATTACK, hostile_scenario
from tests.live_engine import LIMIT_S, ROOT, LiveEngine, config_text

#: A name that no terminal may be shown as it is; the last character is no text at all.
NAME = "e\x1b[31m\u202e\x9bvil\udcff"


def is_plain(text: str) -> bool:
    """Whether a terminal can be shown these lines."""
    return all(line.isprintable() for line in text.split("\n"))


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ≥ text", "plain ≥ text"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\u2028d", "a b c d"),
        ("a\x00\x7f\x9b", "a\\x00\\x7f\\x9b"),
        ("\u202eabc\u200b", "\\u202eabc\\u200b"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_a_text_is_shown_with_the_codes_of_what_cannot_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_lines_for_a_person_are_plain_and_of_bounded_length() -> None:
    stream = io.StringIO()
    put(["one\ntwo\x1b", "x" * 10_000], stream)
    first, second, third = stream.getvalue().splitlines()
    assert (first, second) == ("one", "two\\x1b")
    assert third.endswith("x...")
    assert len(third) == 4000
    assert shortened("abc", 3) == "abc"


def test_json_says_the_same_with_everything_escaped_that_cannot_be_shown() -> None:
    document = msgspec.json.encode({"text": f"{ATTACK}\U000e0001é"}).decode()
    escaped = ascii_json(document)
    assert not document.isprintable()
    assert escaped.isprintable()
    assert json.loads(escaped) == json.loads(document)


# ---------------------------------------------------------------- what is no file

KINDS = ["folder", "pipe", "device", "none", "long"]


def spoilt(folder: Path, kind: str, name: str) -> Path:
    """Something else in place of a file."""
    path = folder / name
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "long":
        path = folder / (name * 60)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_only_files_are_opened_and_nobody_is_waited_for(tmp_path: Path, kind: str) -> None:
    path = spoilt(tmp_path, kind, "a.toml")
    assert not is_regular(path)
    with pytest.raises(OSError, match=r"\[Errno"):
        open_regular(path)


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_whole(path, 5) == b"12345"
    with pytest.raises(TooLarge):
        read_whole(path, 4)
    assert not is_regular(tmp_path / "x\0y")
    with pytest.raises(OSError, match="no file has such a name"):
        open_regular(tmp_path / "x\0y")


@pytest.mark.slow  # the first use of the commands pays for what they import
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [".toml", ".db"])
def test_every_command_refuses_what_is_no_file_in_one_line(
    tmp_path: Path, kind: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spoilt(tmp_path, kind, f"\x1b[31m\u202e{ending}")
    config = Path("config.toml")
    verbs: list[Callable[[], int]] = [
        lambda: trace("x", path, config, "text", None, everything=False),
        lambda: why("x", path, config, everything=False),
        lambda: replay(path, None, None, step=False, hashes=False),
        lambda: diagram(Wanted(journals=[path])),
    ]
    if ending == ".toml":
        verbs += [lambda: sim([path]), lambda: diagram(Wanted(scenarios=[path]))]
    for verb in verbs:
        assert verb() == 2
        printed = capsys.readouterr()
        assert not printed.out
        assert len(printed.err.splitlines()) == 1
        assert is_plain(printed.err)


def test_a_pipe_in_place_of_a_golden_trace_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = hostile_scenario(tmp_path)
    os.mkfifo(scenario.with_suffix(".trace"))
    assert sim([scenario]) == 2
    assert "Not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_the_engine_refuses_what_is_no_file_among_its_own(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BookError, match="cannot be read"):
        BookFile(spoilt(tmp_path, kind, "a.book")).load()
    live = LiveEngine(tmp_path, config_text())
    live.paths.make()
    spoilt(live.paths.directory, kind, live.paths.session.name)
    with pytest.raises((BootError, ConfigError), match=r"is damaged|must stay in the"):
        boot(load(live.config))


def test_a_pipe_in_place_of_the_log_is_an_error(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    started = boot(load(live.config))
    os.mkfifo(started.paths.log)
    with pytest.raises(BootError, match="cannot be written"):
        _log_to(started, Console(file=io.StringIO()))
    started.journal.close()


# ---------------------------------------------------------------- recordings that somebody made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with a session file, and no record yet."""
    live = LiveEngine(tmp_path, config_text())
    boot(load(live.config)).journal.close()
    return live.paths.journal


def write(journal: Path, *facts: Fact, seen: tuple[TopSeen, ...] = ()) -> None:
    """Append records that no engine decided; their hashes agree."""
    opened = open_journal(journal)
    opened.append(
        [
            Record(opened.last_seq + 1 + number, fact.at, fact, seen, (), 0)
            for number, fact in enumerate(facts)
        ]
    )
    opened.close()


def verbs(journal: Path, subject: str = "eth") -> list[Callable[[], int]]:
    config = Path("config.toml")
    return [
        *(
            lambda kind=kind: trace(subject, journal, config, kind, None, everything=True)
            for kind in ("text", "mermaid", "svg", "html")
        ),
        lambda: why(subject, journal, config, everything=True),
        lambda: replay(journal, None, None, step=True, hashes=False),
        lambda: diagram(Wanted(journals=[journal])),
    ]


@pytest.mark.parametrize(
    "fact",
    [
        PositionDeclared(2, 99, 1, None),
        PositionDeclared(2, 0, 2**64 - 1, Decimal("9e999999999")),
        FundingPaid(2, 0, Decimal("9e999999999"), "x"),
        CloseRequested(2, "eth", "MANUAL", None, (1, 0)),
    ],
    ids=["instrument", "entry", "amount", "ratio"],
)
def test_a_record_that_no_engine_wrote_is_told_and_breaks_nothing(
    journal: Path, fact: Fact, capsys: pytest.CaptureFixture[str]
) -> None:
    write(journal, EngineStarted(1, 1), PositionDeclared(1, 0, 5, Decimal(1)), fact)
    for verb in verbs(journal):
        assert verb() in (0, 1, 2)
        assert is_plain(capsys.readouterr().err)


def test_a_book_that_no_instrument_has_is_told_by_the_record(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(journal, EngineStarted(1, 1), seen=(TopSeen(0, 0, 99, 1, 1, 1, 1),))
    assert replay(journal, None, None, step=False, hashes=False) == 1
    assert "record 1: cannot be folded: IndexError" in capsys.readouterr().err


def test_texts_of_a_recording_do_not_steer_who_reads_it(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        journal,
        EngineStarted(1, 1),
        PositionDeclared(1, 0, 5, Decimal(1)),
        CloseRequested(2, "eth", "MANUAL", None, (1, 1), ATTACK),
        OperatorCommanded(3, "halt", by=ATTACK),
        OperatorCommanded(4, ATTACK, ATTACK, by=ATTACK),
    )
    for verb in verbs(journal):
        assert verb() == 0
        printed = capsys.readouterr()
        assert is_plain(printed.out)
        assert is_plain(printed.err)
    assert replay(journal, None, None, step=False, hashes=False) == 0
    assert "halted by <img src=q" in capsys.readouterr().out


def session_with(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """A session file whose shape is not what an engine wrote."""

    def spoil(data: bytes) -> bytes:
        document = json.loads(data)
        change(document["shape"])
        return json.dumps(document).encode()

    return spoil


def rules_with(field: str, value: object) -> Callable[[bytes], bytes]:
    return session_with(lambda shape: shape["instruments"]["one:ETH"].__setitem__(field, value))


@pytest.mark.parametrize(
    "spoil",
    [
        rules_with("tick", "9e999999999"),
        rules_with("tick", "0"),
        rules_with("unit", "NaN"),
        rules_with("lot", 10**30),
        rules_with("venue", "nowhere"),
        rules_with("key", NAME[:-1]),
        session_with(lambda shape: shape["pairs"]["eth"].__setitem__("legs", [99])),
        session_with(lambda shape: shape["pairs"]["eth"].__setitem__("name", "a\nb")),
        lambda _: b'{"shape":{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        lambda _: b"\xff\xfe",
        lambda _: b" " * (17 << 20),
    ],
    ids="bomb zero nan wide venue name leg lines deep bytes large".split(),
)
def test_a_session_file_that_no_engine_wrote_is_refused(
    journal: Path, spoil: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    beside = journal.with_name(journal.name + SESSION_SUFFIX)
    beside.write_bytes(spoil(beside.read_bytes()))
    for verb in verbs(journal):
        assert verb() == 2
        printed = capsys.readouterr().err
        assert "cannot be read" in printed
        assert len(printed.splitlines()) == 1
        assert is_plain(printed)


# ---------------------------------------------------------------- a run and who watches it


def test_a_scenario_of_hostile_texts_is_reported_in_plain_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = hostile_scenario(tmp_path)
    assert sim([scenario], trace=True) == 1
    printed = capsys.readouterr().out
    assert is_plain(printed)
    assert "\\x1b[31m" in printed
    assert sim([scenario], json=True) == 1
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1
    assert is_plain(printed)
    assert json.loads(printed)["name"] == ATTACK
    assert sim([scenario], rewrite=True) == 1
    assert is_plain(scenario.with_suffix(".trace").read_text(encoding="utf-8"))


def test_alarms_and_names_do_not_steer_the_terminal_that_shows_them() -> None:
    snapshot = Snapshot(
        Decimal(1), 1, 1, False, False, [SessionView(ATTACK, "live", "online")], [], [ATTACK]
    )
    lines = Console(width=80, file=io.StringIO())
    table = Console(width=200, height=40, file=io.StringIO(), force_terminal=True)
    for console in (lines, table):
        board = make_board(console, lambda: snapshot, lambda: NS)
        board.alarm(Alarm(NS, "unmapped_code", ATTACK, ATTACK))
        board.say(ATTACK)
        board.finish()
    table.print(Group(*status_parts(snapshot, 200)))
    assert isinstance(lines.file, io.StringIO)
    assert isinstance(table.file, io.StringIO)
    assert is_plain(lines.file.getvalue())
    assert len(lines.file.getvalue().splitlines()) == 2
    shown = Text.from_ansi(table.file.getvalue()).plain
    assert "\\x1b[31m\\x00" in shown
    assert is_plain(shown.replace("\r", ""))
    assert "\x1b[31m\x00" not in table.file.getvalue()


def test_texts_of_others_are_one_line_each_in_the_log(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    started = boot(load(live.config))
    _log_to(started, Console(file=io.StringIO()))
    logger.warning("alarm {} {}: {}", "unmapped_code", "two:ETH", f"{ATTACK}\n2026 ERROR made up")
    logger.remove()
    started.journal.close()
    (line,) = started.paths.log.read_text(encoding="utf-8").splitlines()
    assert line.isprintable()
    assert line.endswith("2026 ERROR made up")


def test_what_is_no_text_is_not_asked_of_an_engine(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="what is asked must be text"):
        ask(tmp_path / "unwind.sock", CloseWanted(NAME, "MANUAL"))


@pytest.mark.slow  # starts the command line for each case
@pytest.mark.parametrize(
    "arguments",
    [
        (NAME,),
        ("run", f"--{NAME}"),
        ("status", NAME),
        ("close", NAME, "--reason", "MANUAL"),
        ("trace", NAME),
        ("replay", NAME),
        ("replay", "config.toml", "--until", NAME),
        ("sim", NAME),
        ("config", "--check", NAME),
        ("run", "--config", NAME),
        ("diagram", "--machine", NAME),
        ("diagram", "--against", NAME),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "backslashreplace").decode(),
)
def test_the_command_line_repeats_no_argument_raw(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    shutil.copy(ROOT / "config.toml", tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=tmp_path,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
    )
    errors = result.stderr.decode()
    assert (result.returncode, result.stdout) == (2, b"")
    assert is_plain(errors)
    assert "Traceback" not in errors
