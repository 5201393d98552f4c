"""The control socket and the command line: requests become facts, nonsense becomes a sentence."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from engine.cli import app
from engine.control import (
    CLIENTS_MAX,
    PATH_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Answer,
    CloseWanted,
    CommandWanted,
    ControlError,
    StatusWanted,
    ask,
    check_close,
)
from engine.journal import read_journal
from engine.operator import protocol
from engine.operator.protocol import Unanswered
from engine.snapshot import Snapshot
from machines.env import STOP
from machines.messages import CloseRequested, OperatorCommanded
from tests.live_engine import LIMIT_S, ROOT, LiveEngine, config_text, read_until
from venues.numbers import RATIO_MAX

# One engine serves the whole module; it has no closes of its own, so it runs until it is stopped.


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    live = LiveEngine(tmp_path_factory.mktemp("served"), config_text(closes=False))
    live.paths.make()
    # What a killed process leaves behind must not keep the next one from listening.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(live.paths.socket))
    with live.running() as process:
        read_until(process, "session two", "> live")
        yield live
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def send(live: LiveEngine, data: bytes) -> list[dict[str, object]]:
    """Send bytes as they are; the answers until the engine has nothing more to say."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        client.connect(os.fspath(live.paths.socket))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            return [json.loads(line) for line in stream]


@pytest.mark.slow  # the first use of the served engine pays for its start
def test_only_the_owner_may_open_the_socket(served: LiveEngine) -> None:
    assert stat.S_IMODE(served.paths.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(served.paths.directory.stat().st_mode) == 0o700


@pytest.mark.slow  # starts the command line twice
def test_status_shows_every_pair_as_table_and_as_json(served: LiveEngine) -> None:
    plain = served.call("status")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert all(word in plain.stdout for word in ("eth", "btc", "one:SOL", "one live", "two live"))
    state = json.loads(served.call("status", "--json").stdout)
    assert [session["state"] for session in state["sessions"]] == ["live", "live"]
    assert [pair["pair"] for pair in state["pairs"]] == ["eth", "btc", "one:SOL"]
    leg = state["pairs"][0]["legs"][0]
    assert (leg["instrument"], leg["remaining"]) == ("one:ETH", "0.500")
    assert state["records"] > 0


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (CloseWanted("nope", "MANUAL"), "unknown pair 'nope'; known: btc, eth, one:SOL"),
        (CloseWanted("eth", "BORED"), "unknown reason 'BORED'; known: ADL"),
        (CloseWanted("eth", "MANUAL", "soon"), "unknown urgency 'soon'; known: normal"),
        (CloseWanted("eth", "MANUAL", None, "3/2"), "the ratio '3/2' must be above 0"),
        (CloseWanted("eth", "MANUAL", None, "1/0"), "the ratio '1/0' must be above 0"),
        (CloseWanted("eth", "MANUAL", None, "half"), "the ratio 'half' must be above 0"),
        (CloseWanted("eth", "MANUAL", None, "9e-999999999"), "the ratio '9e-999999999' must be"),
        (CloseWanted("eth", "MANUAL", None, "9e999999999"), "the ratio '9e999999999' must be"),
        (CloseWanted("eth", "MANUAL", None, f"1/{2**65}"), f"the ratio '1/{2**65}' must be"),
        (CloseWanted("eth", "MANUAL", None, "0." + "0" * 20 + "1"), "a part whose denominator is"),
        (CloseWanted("eth", "MANUAL", None, "1" * 60_000), "the ratio '1111"),
        (CloseWanted("e\x1b[31m\u202e", "MANUAL"), "unknown pair 'e\\x1b[31m\\u202e'"),
        (CloseWanted("e" * 60_000, "MANUAL"), "unknown pair 'eeee"),
        (CommandWanted("x" * 60_000), "unknown command 'xxxx"),
        (CommandWanted("explode"), "unknown command 'explode'; known: halt"),
        (CommandWanted("retry", "nope"), "unknown pair 'nope'"),
    ],
)
def test_nonsense_is_answered_with_what_is_allowed_and_not_recorded(
    served: LiveEngine, wanted: CloseWanted | CommandWanted, words: str
) -> None:
    before = facts(served)
    answer = ask(served.paths.socket, wanted)
    assert not answer.ok
    assert words in answer.text
    assert answer.text.isprintable()
    assert len(answer.text) < 1000
    assert facts(served) == before


@pytest.mark.parametrize(
    "data",
    [
        b"status\n",
        b"[]\n",
        b"{}\n",
        b'{"command": "stat"}\n',
        b'{"command": "status", "more": 1}\n',
        b'{"command": "close", "pair": 1, "reason": "MANUAL"}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"command": "close", "pair": ' + b"9" * 5000 + b"}\n",
        b'{"command": "close", "pair": "eth", "reason": "MANUAL", "ratio": 9e-999999999}\n',
        b'{"command": "status", "\\u001b[31m\\u202e": 1}\n',
        b'{"command": "\\u001b[31m\\u202e"}\n',
        b'{"command": "close", "pair": "\\ud800"}\n',
        b'{"command": "operator", "name": "halt", "pair": ["\x00"]}\n',
    ],
)
def test_what_is_no_request_is_answered_and_hurts_nobody(served: LiveEngine, data: bytes) -> None:
    (answer,) = send(served, data)
    assert answer["ok"] is False
    assert str(answer["text"]).startswith("not a request")
    assert str(answer["text"]).isprintable()
    assert ask(served.paths.socket, StatusWanted()).ok


def test_a_request_that_is_too_long_is_refused(served: LiveEngine) -> None:
    (answer,) = send(served, b" " * (REQUEST_BYTES_MAX + 1))
    assert "at most 65536 bytes" in str(answer["text"])


def test_several_requests_in_one_go_are_answered_in_order(served: LiveEngine) -> None:
    answers = send(served, b'{"command": "status"}\nx\n{"command": "status"}\n')
    assert [answer["ok"] for answer in answers] == [True, False, True]


@contextmanager
def crowd(live: LiveEngine) -> Iterator[None]:
    """Sixteen clients that were answered, and then neither ask nor leave."""
    with ExitStack() as clients:
        for _ in range(CLIENTS_MAX):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(LIMIT_S)
            client.connect(os.fspath(live.paths.socket))
            client.sendall(b"x\n")
            assert client.recv(4096)
        yield


@pytest.mark.parametrize(
    "wanted", [StatusWanted(), CloseWanted("eth", "MANUAL"), CommandWanted("resume")]
)
def test_no_more_clients_than_allowed_are_served_at_once(
    served: LiveEngine, wanted: StatusWanted | CloseWanted | CommandWanted
) -> None:
    before = facts(served)
    with crowd(served):
        assert ask(served.paths.socket, wanted) == Answer(False, "busy: 16 clients are served")
    assert facts(served) == before


def test_a_crowd_that_hangs_does_not_shut_the_door_of_halt_and_kill(served: LiveEngine) -> None:
    with crowd(served), ExitStack() as more:
        for _ in range(2):
            # In the door itself, and silent: it is shown out before long.
            hanging = more.enter_context(socket.socket(socket.AF_UNIX))
            hanging.settimeout(LIMIT_S)
            hanging.connect(os.fspath(served.paths.socket))
        for word in ("kill", "halt"):
            assert ask(served.paths.socket, CommandWanted(word)).ok
        assert b"busy" in hanging.recv(4096)
    assert ask(served.paths.socket, CommandWanted("resume")).ok
    told = [fact.command for fact in facts(served) if isinstance(fact, OperatorCommanded)]
    assert told[-3:] == ["kill", "halt", "resume"]


def test_places_are_free_again_when_a_crowd_has_left(served: LiveEngine) -> None:
    for _ in range(3):
        with crowd(served):
            pass
    with crowd(served):
        assert not ask(served.paths.socket, StatusWanted()).ok
    # The engine sees only now that they have left.
    while not ask(served.paths.socket, StatusWanted()).ok:
        pass


def facts(live: LiveEngine) -> list[object]:
    """Everything that people asked for, as the journal has it."""
    asked = (CloseRequested, OperatorCommanded)
    return [r.fact for r in read_journal(live.paths.journal) if isinstance(r.fact, asked)]


@pytest.mark.slow  # a dozen starts of the command line, and a real close on the wall clock
def test_commands_act_are_answered_and_become_facts_with_a_name(tmp_path: Path) -> None:
    text = config_text(closes=False).replace("trade_rate_per_s = 2", "trade_rate_per_s = 0")
    live = LiveEngine(tmp_path, text.replace("timeout_s = 0.4", "timeout_s = 20"))
    with live.running() as process:
        read_until(process, "session two", "> live")
        said = [
            live.call(*arguments)
            for arguments in (
                ("halt",),
                ("close", "eth", "--reason", "TAKE_PROFIT"),
                ("close", "eth", "--reason", "MANUAL"),
                ("close", "eth", "--reason", "TRAILING_STOP"),
                ("retry", "eth"),
                ("resume",),
            )
        ]
        assert [(each.returncode, each.stdout, each.stderr) for each in said] == [
            (0, "halted: nothing is created, what rests is being cancelled\n", ""),
            (0, "closing eth\n", ""),
            (0, "already closing eth; urgency unchanged\n", ""),
            (0, "already closing eth; urgency raised to urgent\n", ""),
            (2, "", "nothing was changed: eth is aggressive_limit\n"),
            (0, "resumed\n", ""),
        ]
        assert live.call("run").returncode == 2
        assert live.call("kill").returncode == 0
        await_end(live, process, "eth", "btc", "one:SOL")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, "")
        assert "3 of 3 flat on the venues' own books" in output
    by = {getattr(fact, "by", "") for fact in facts(live)}
    assert len(by) == 1
    assert by.pop().startswith(f"{os.getuid()}:")
    commands = [fact.command for fact in facts(live) if isinstance(fact, OperatorCommanded)]
    assert commands == ["halt", "retry", "resume", "kill"]
    assert STOP not in str(facts(live))


#: What stopped the engine with its orders left open, in one way or another.
BOMBS = ["9e-999999999", f"1/{2**65}", f"{2**64}/{2**64 + 1}", "0." + "0" * 25 + "1", "1e-30"]


@pytest.mark.slow  # a real close on the wall clock
def test_a_ratio_that_the_core_cannot_hold_leaves_the_engine_and_its_orders_alone(
    tmp_path: Path,
) -> None:
    live = LiveEngine(tmp_path, config_text(closes=False))
    with live.running() as process:
        read_until(process, "session two", "> live")
        assert ask(live.paths.socket, CloseWanted("eth", "TAKE_PROFIT")).ok
        for ratio in BOMBS:
            answer = ask(live.paths.socket, CloseWanted("btc", "MANUAL", None, ratio))
            assert not answer.ok
            assert f"the ratio '{ratio}' must be above 0 and at most 1, as a/b" in answer.text
        # The finest part that there is: nothing of it can be traded.
        finest = f"1/{RATIO_MAX}"
        answer = ask(live.paths.socket, CloseWanted("btc", "MANUAL", None, finest))
        assert not answer.ok
        assert answer.text.startswith("nothing is closed: the part of one:BTC, 0.000")
        await_end(live, process, "eth")
        assert [leg.order for pair in status_of(live).pairs for leg in pair.legs] == [None] * 5
        assert ask(live.paths.socket, CommandWanted("kill")).ok
        await_end(live, process, "eth", "btc", "one:SOL")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, "")


def await_end(live: LiveEngine, process: subprocess.Popen[str], *names: str) -> None:
    """Wait until every close of these pairs has ended, as long as the engine lives."""
    for name in names:
        while pair_state(live, name) != "reconciled":
            assert process.poll() is None


def pair_state(live: LiveEngine, name: str) -> str:
    return next(pair.state for pair in status_of(live).pairs if pair.pair == name)


def status_of(live: LiveEngine) -> Snapshot:
    return msgspec.convert(ask(live.paths.socket, StatusWanted()).status, Snapshot)


# ---------------------------------------------------------------- nobody there


@pytest.mark.parametrize("leftover", ["nothing", "dead socket"])
def test_where_no_engine_runs_one_sentence_says_so(tmp_path: Path, leftover: str) -> None:
    path = tmp_path / "unwind.sock"
    if leftover == "dead socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.fspath(path))
    with pytest.raises(ControlError, match="no engine is running"):
        ask(path, StatusWanted())


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="too long for a socket"):
        ask(tmp_path / ("x" * PATH_BYTES_MAX), StatusWanted())


class Mute:
    """A socket at which somebody listens, who says no more than `says` and leaves if `leaves`."""

    def __init__(self, path: Path, says: bytes = b"", *, leaves: bool = False) -> None:
        self.says = says
        self.leaves = leaves
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(os.fspath(path))
        self.server.listen()

    def __enter__(self) -> "Mute":
        if self.says or self.leaves:
            self.thread = threading.Thread(target=self._serve)
            self.thread.start()
        return self

    def _serve(self) -> None:
        client, _ = self.server.accept()
        client.recv(1000)
        if self.says:
            client.sendall(self.says)
        client.close()

    def __exit__(self, *_: object) -> None:
        if self.says or self.leaves:
            self.thread.join()
        self.server.close()


HALT = CommandWanted("halt")


@pytest.mark.parametrize(
    ("says", "leaves", "words"),
    [
        (b"", False, r"did not answer within 0\.05 s"),
        (b"", True, "no answer came"),
        (b'{"ok":true', True, "no answer came"),
        (b"nonsense\n", True, "the answer cannot be read"),
    ],
)
def test_a_word_without_an_answer_may_still_be_carried_out_and_that_is_said(
    tmp_path: Path, says: bytes, leaves: bool, words: str
) -> None:
    path = tmp_path / "unwind.sock"
    with Mute(path, says, leaves=leaves), pytest.raises(Unanswered, match=words) as told:
        ask(path, HALT, timeout_s=0.05)
    assert "it may have done what was asked, or may still do it" in str(told.value)
    assert "unwind status" in str(told.value)


def test_a_question_without_an_answer_has_done_nothing(tmp_path: Path) -> None:
    path = tmp_path / "unwind.sock"
    with Mute(path), pytest.raises(ControlError, match="did not answer within") as told:
        ask(path, StatusWanted(), timeout_s=0.05)
    assert not isinstance(told.value, Unanswered)


def test_a_word_that_the_engine_never_took_was_not_carried_out(tmp_path: Path) -> None:
    path = tmp_path / "unwind.sock"
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(os.fspath(path))
        server.listen(0)
        with suppress(BlockingIOError):
            while True:
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(os.fspath(path))
        with pytest.raises(ControlError, match="nothing was asked") as told:
            ask(path, HALT, timeout_s=0.05)
    assert not isinstance(told.value, Unanswered)


@pytest.mark.parametrize(("error", "code"), [(ControlError, 2), (Unanswered, 1)])
def test_the_command_line_tells_what_was_not_done_from_what_is_not_known(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[ControlError],
    code: int,
) -> None:
    def asked(*_: object) -> None:
        raise error("the reason")

    monkeypatch.setattr(protocol, "ask", asked)
    config = tmp_path / "config.toml"
    config.write_text("")
    assert app(["halt", "--config", os.fspath(config)], standalone_mode=False) == code
    assert capsys.readouterr().err.endswith("the reason\n")


@pytest.mark.parametrize(
    ("ratio", "read"),
    [
        ("1/1", (1, 1)),
        ("2/4", (1, 2)),
        ("1/3", (1, 3)),
        ("0.25", (1, 4)),
        (f"{2**60}/{2**61}", (1, 2)),
        ("0.000000000000001", (1, 10**15)),
    ],
)
def test_a_ratio_is_read_exactly(ratio: str, read: tuple[int, int]) -> None:
    assert check_close(CloseWanted("eth", "MANUAL", None, ratio), ["eth"]) == read


# ---------------------------------------------------------------- the command line


def unwind(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
    )


@pytest.mark.slow  # starts the command line once per case
@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("status",),
        ("halt",),
        ("close", "eth", "--reason", "MANUAL"),
        ("config", "--check"),
    ],
)
def test_a_missing_file_is_one_sentence_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    extra = ("none.toml",) if arguments[-1] == "--check" else ("--config", "none.toml")
    result = unwind(*arguments, *extra, folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "none.toml" in result.stderr


@pytest.mark.slow  # starts the command line twice
def test_config_check_lists_every_mistake_on_its_own_line(tmp_path: Path) -> None:
    text = config_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        text.replace('profile = "ideal"', 'profile = "idle"')
        .replace("backoff_ms = 50", "backof_ms = 50")
        .replace('qty = "3"', 'qty = "NaN"'),
        encoding="utf-8",
    )
    result = unwind("config", "--check", str(wrong))
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 3
    for words in ("venues.one.profile", "did you mean backoff_ms?", 'positions."one:SOL".qty'):
        assert words in result.stderr
    right = tmp_path / "right.toml"
    right.write_text(text, encoding="utf-8")
    result = unwind("config", "--check", str(right))
    assert (result.returncode, result.stderr) == (0, "")
    assert "good; 2 venues, 5 instruments, 3 pairs, 3 closes" in result.stdout


@pytest.mark.slow  # starts the command line twice
def test_the_shipped_configuration_is_good_and_the_reference_is_the_committed_one() -> None:
    assert unwind("config", "--check", "config.toml").returncode == 0
    reference = unwind("config", "--reference")
    assert reference.stdout == (ROOT / "docs" / "config.md").read_text(encoding="utf-8")


@pytest.mark.slow  # starts the command line
def test_help_tells_the_exit_codes() -> None:
    result = unwind("run", "--help")
    assert result.returncode == 0
    assert "130" in result.stdout
    assert "Traceback" not in unwind("explode").stderr
