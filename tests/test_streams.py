"""Closed, full and narrow standard streams: a command does what it does, and says what it can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.operator import commands
from engine.operator.protocol import Answer
from engine.texts import Unwritable, put
from tests.live_engine import LIMIT_S

ENTRY = [sys.executable, "-m", "engine.entry"]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this program with redirections, as a person types it."""
    line = " ".join([*ENTRY, command])
    return subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@needs_full
@pytest.mark.parametrize("command", ["diagram", "config --reference", "diagram --format json"])
def test_what_cannot_be_shown_is_an_error_without_a_traceback(command: str) -> None:
    done = shell(f"{command} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "standard output cannot be written: No space left on device; the rest is lost"
    ]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_but_what_is_shown(closed: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    done = shell(f"config --check {missing} {closed}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout


def test_a_stream_that_knows_ascii_alone_takes_every_text() -> None:
    script = "import engine.entry as e; e.mend_streams(); print('0.2 base·s')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout == "0.2 base\\xb7s\n"


@needs_full
def test_an_answer_that_cannot_be_shown_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        commands._show_answer(Answer(True, "halted"))
    assert "done, but not shown (No space left on device): halted" in capsys.readouterr().err


@needs_full
def test_a_full_stream_is_no_error_of_the_files_that_are_worked_on() -> None:
    full = FULL.open("w")
    with pytest.raises(Unwritable, match="No space left"):
        put(["text"], full)
    with pytest.raises(OSError, match="No space left"):
        full.close()
