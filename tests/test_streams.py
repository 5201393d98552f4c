"""What a command does, and how it ends, does not depend on whether its words arrive."""

import errno
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.streams import Patient
from tests.live_engine import LIMIT_S, ROOT, LiveEngine, config_text, read_until
from tests.live_run import still

#: What is done to the standard streams, as a shell writes it.
CLOSED = ">&- 2>&-"
ALL_CLOSED = "<&- >&- 2>&-"
FULL = ">/dev/full 2>/dev/full"


def through(
    live: LiveEngine, streams: str, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command with other standard streams."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {streams}', "sh", *live.command(*arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.slow  # the real engine closes three pairs
@pytest.mark.parametrize("streams", [ALL_CLOSED, FULL, ">/dev/full"])
def test_an_engine_that_can_tell_nobody_closes_all_the_same_and_its_log_has_everything(
    tmp_path: Path, streams: str
) -> None:
    live = LiveEngine(tmp_path, config_text())
    done = through(live, streams, "run")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    log = live.paths.log.read_text()
    assert "started: epoch 1" in log
    assert "ended: exit 0" in log
    if streams == ">/dev/full":
        assert "standard output cannot be written (No space left on device)" in done.stderr
    # Nothing that was meant for a person went into a file that took a closed stream's number.
    again = live.call("replay", os.fspath(live.paths.journal))
    assert again.returncode == 0, again.stderr


@pytest.mark.slow  # the real engine closes three pairs
def test_letters_that_cannot_be_shown_are_shown_by_their_number(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    done = through(live, "", "run", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "base\\xb7s" in done.stdout
    assert "3 of 3 flat" in done.stdout


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """An engine whose orders rest."""
    text = still(config_text()).replace(
        "[close.passive_limit]\ntimeout_s = 0.4", "[close.passive_limit]\ntimeout_s = 60"
    )
    live = LiveEngine(tmp_path_factory.mktemp("resting"), text)
    with live.running() as process:
        read_until(process, "leg one:SOL", "> passive_limit")
        yield live


@pytest.mark.slow  # starts the command
@pytest.mark.parametrize("streams", [CLOSED, FULL])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("halt",), 0),
        (("status",), 0),
        (("trace", "eth"), 0),
        (("cancel", "nothing"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_exit_code_tells_of_the_command_and_not_of_its_streams(
    resting: LiveEngine, streams: str, arguments: tuple[str, ...], code: int
) -> None:
    done = through(resting, streams, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- one stream


def test_a_stream_that_fails_loses_what_comes_and_says_why() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = Patient(io.BufferedWriter(full), encoding="utf-8")
        stream.write("lost")
        stream.flush()
        stream.write("lost as well")
        stream.flush()
        assert stream.failure is not None
        assert stream.failure.errno == errno.ENOSPC
        stream.close()


def test_a_reader_that_has_left_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = Patient(open(writing, "wb", buffering=0), encoding="utf-8", write_through=True)  # noqa: SIM115
    stream.write("lost")
    assert isinstance(stream.failure, BrokenPipeError)
    stream.close()
