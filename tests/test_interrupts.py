"""A signal that comes while the process starts ends it as any other does: with what is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.interrupts import INSISTENT, WANTED, Insisted, Interrupts
from machines.messages import CloseRequested
from machines.types import NS
from tests.live_engine import LIMIT_S, ROOT, LiveEngine, read_until
from tests.sessions import copied, running, standing_text

#: Starts the command; a signal comes whenever the module `WHEN` is about to be imported.
SCRIPT = """
import os, signal, sys
from importlib.abc import MetaPathFinder

when, times, sys.argv[1:] = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == when:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from engine.__main__ import main
main()
"""
#: Modules that are imported by a start, in this order, the last one after it has read everything.
MOMENTS = ("engine.streams", "engine.cli", "typer", "engine.recovery", "uvloop")


def interrupted(
    live: LiveEngine, when: str, *words: str, times: int = 1
) -> "subprocess.CompletedProcess[str]":
    command = (words or ("run",)) + ("--config", os.fspath(live.config))
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, when, str(times), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def naked(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """What a process left that was killed with one leg closed and the other waiting for depth."""
    text = (
        standing_text()
        .replace('ask = "60001.02", ask_qty = "1000"', 'ask = "60001.02", ask_qty = "0.001"')
        .replace('bid = "60001.00", bid_qty = "1000"', 'bid = "60001.00", bid_qty = "0.001"')
    )
    live = LiveEngine(tmp_path_factory.mktemp("left"), text)
    with running(live) as process:
        process.say(CloseRequested(process.kernel.now, "btc", "HARD_STOP"))
        process.run(NS // 2)
        assert process.boot.core.closes["btc"].naked
        return copied(live, tmp_path_factory.mktemp("killed"))


@pytest.mark.slow  # starts the command once per moment
@pytest.mark.parametrize("when", MOMENTS)
def test_whoever_interrupts_a_start_is_told_what_is_left(
    naked: LiveEngine, tmp_path: Path, when: str
) -> None:
    live = copied(naked, tmp_path)
    done = interrupted(live, when)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert "left: btc" in done.stdout
    assert "goes on with the next: unwind run" in done.stdout


@pytest.mark.slow  # starts the command
def test_a_first_start_that_is_interrupted_has_left_nothing_naked(tmp_path: Path) -> None:
    done = interrupted(LiveEngine(tmp_path, standing_text(closes=True)), "engine.recovery")
    assert (done.returncode, done.stderr) == (130, "")
    assert "0 of 3 flat" in done.stdout


@pytest.mark.slow  # starts the command
def test_whoever_insists_gets_out_at_once_and_is_told_that_nothing_is_known(
    naked: LiveEngine, tmp_path: Path
) -> None:
    live = copied(naked, tmp_path)
    done = interrupted(live, "engine.recovery", times=INSISTENT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ended at once, before it was known what is left")
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # starts the command once per moment
@pytest.mark.parametrize("when", ["engine.streams", "typer"])
def test_another_command_that_is_interrupted_ends_silently(
    naked: LiveEngine, tmp_path: Path, when: str
) -> None:
    done = interrupted(copied(naked, tmp_path), when, "status")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# ---------------------------------------------------------------- the handlers


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers are as before at the end."""
    before = {number: signal.getsignal(number) for number in WANTED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_what_comes_is_noted_in_order_and_handed_out_once() -> None:
    held = Interrupts()
    held.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert held.taken() == [signal.SIGTERM, signal.SIGINT]
    assert held.taken() == []
    for _ in range(INSISTENT - 1):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Insisted):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("handlers")
def test_signals_are_noted_again_after_a_run_only_if_they_were_before() -> None:
    held = Interrupts()
    before = signal.getsignal(signal.SIGTERM)
    held.hold_again()
    assert signal.getsignal(signal.SIGTERM) is before
    held.hold()
    noting = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    held.hold_again()
    assert signal.getsignal(signal.SIGTERM) == noting != before


@pytest.mark.usefixtures("handlers")
def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert signal.SIGHUP in Interrupts().wanted()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    held = Interrupts()
    held.hold()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert held.wanted() == [signal.SIGINT, signal.SIGTERM]


@pytest.mark.slow  # starts the command and has it stop
def test_an_engine_that_was_started_with_nohup_survives_its_terminal(
    naked: LiveEngine, tmp_path: Path
) -> None:
    live = copied(naked, tmp_path)
    nohup = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    nohup += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with subprocess.Popen(
        [sys.executable, "-c", nohup, *live.command("run")[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        read_until(process, "session two", "> live")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert "SIGTERM: no new closes" in output
    assert "SIGHUP" not in output
