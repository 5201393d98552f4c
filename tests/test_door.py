"""The socket file of a running engine: made, missed and made anew, and never at another's cost."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from engine import control
from engine.config import load
from engine.control import CommandWanted, StatusWanted, ask
from engine.live import Engine
from engine.operator.address import address_of
from engine.operator.door import Door, DoorError
from engine.recovery import Paths
from tests.live_engine import LIMIT_S, LiveEngine, config_text, read_until


def bound(path: Path) -> socket.socket:
    """A socket file at a path; nobody answers once this is closed."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(os.fspath(path))
    made.listen()
    return made


def opened(door: Door) -> None:
    async def main() -> None:
        await (await door.open()).aclose()

    anyio.run(main)


# ---------------------------------------------------------------- what stands in the way


def a_file(path: Path) -> None:
    path.write_text("precious")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_text("precious")
    path.symlink_to(path.with_name("elsewhere"))


def a_link_to_a_socket(path: Path) -> None:
    bound(path.with_name("elsewhere")).close()
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("thing", [a_file, a_folder, a_link, a_link_to_a_socket])
def test_what_is_no_socket_is_left_as_it_is(tmp_path: Path, thing: Callable[[Path], None]) -> None:
    path = tmp_path / "unwind.sock"
    thing(path)
    before = path.lstat()
    with pytest.raises(DoorError, match="is no socket, and was left as it is; move it away"):
        opened(Door(path))
    assert path.lstat() == before


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "unwind.sock"
    bound(path).close()
    door = Door(path)
    opened(door)
    assert door.is_there
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    with bound(path):
        before = path.lstat()
        with pytest.raises(DoorError, match="another engine answers here"):
            opened(Door(path))
        assert path.lstat() == before


def test_a_socket_in_place_of_ours_is_missed_and_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "unwind.sock"
    door = Door(path)
    opened(door)
    path.unlink()
    with bound(path):
        assert not door.is_there
        door.close()
        assert path.exists()


def test_a_closed_door_leaves_no_file(tmp_path: Path) -> None:
    door = Door(tmp_path / "unwind.sock")
    opened(door)
    door.close()
    assert not door.path.exists()
    door.close()


@pytest.mark.slow  # one start of the real process
def test_a_start_is_refused_before_anything_else_where_the_socket_cannot_be(
    tmp_path: Path,
) -> None:
    live = LiveEngine(tmp_path, config_text())
    live.paths.make()
    live.paths.socket.write_text("precious")
    result = live.call("run")
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "is no socket, and was left as it is" in result.stderr
    assert live.paths.socket.read_text() == "precious"
    assert not live.paths.journal.exists()


# ---------------------------------------------------------------- while the engine runs


@pytest.mark.slow  # the real process looks at its socket once a second
def test_a_socket_that_is_removed_or_replaced_is_missed_and_made_anew(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text(closes=False))
    path = live.paths.socket
    with live.running() as process:
        read_until(process, "session two", "> live")
        path.unlink()
        read_until(process, f"the control socket {path} was removed or replaced")
        read_until(process, f"the control socket {path} was made anew")
        assert ask(path, StatusWanted()).ok
        path.unlink()
        path.write_text("precious")
        read_until(process, f"the control socket {path} cannot be made anew", "is no socket")
        assert path.read_text() == "precious"
        path.unlink()
        read_until(process, f"the control socket {path} was made anew")
        assert ask(path, CommandWanted("halt")).ok
        process.terminate()
        process.communicate(timeout=LIMIT_S)
    assert not path.exists()
    log = live.paths.log.read_text(encoding="utf-8")
    assert log.count("was removed or replaced while the engine runs") == 2
    assert log.count("was made anew") == 2
    assert log.count("cannot be made anew") == 1


class Nobody:
    """An engine of which nothing is asked."""

    def task_failed(self, name: str, error: BaseException, vital: bool) -> None:
        raise error


def test_a_lasting_obstacle_is_said_once_and_the_socket_made_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOOK_S", 0)
    path = tmp_path / "unwind.sock"
    path.write_text("precious")
    said: list[str] = []

    async def main() -> None:
        served = control.Control(cast(Engine, Nobody()), Door(path), said.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.serve)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert [text.count("cannot be made anew") for text in said] == [1]
            path.unlink()
            while not path.exists():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert len(said) == 2
    assert said[1].endswith("was made anew: the engine can be reached again")
    assert not path.exists()


# ---------------------------------------------------------------- where it is looked for


def test_the_address_is_that_of_the_configuration(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, f'{config_text(closes=False)}directory = "here"\nsocket = "s"\n')
    assert address_of(live.config) == (Paths(load(live.config)).socket, "")


@pytest.mark.parametrize(
    ("text", "place", "remark"),
    [
        ('[engine]\ndirectory = "here"\nsocket = "s"\njournal = 5\n[nonsense]\n', "here/s", ""),
        ('[engine]\ndirectory = 5\nsocket = "s"\n', "var/s", "engine.directory = 5: must be a"),
        ('[engine]\ndirectory = "here"\nsocket = ""\n', "here/unwind.sock", 'engine.socket = "": '),
        ('[engine]\nsocket = "\\u001b[2J"\n', "var/unwind.sock", r'socket = "\u001b[2J": must'),
        ("engine = 7\n", "var/unwind.sock", "engine = 7: must be a table"),
        ("[engine\n", "var/unwind.sock", "file: is not TOML"),
        (None, "var/unwind.sock", "file: cannot be read: No such file"),
    ],
)
def test_only_the_two_keys_that_lead_to_the_socket_are_needed(
    tmp_path: Path, text: str | None, place: str, remark: str
) -> None:
    config = tmp_path / "config.toml"
    if text is not None:
        config.write_text(text)
    found = address_of(config)
    assert found.path == tmp_path / place
    assert remark in found.remark
    assert bool(remark) == bool(found.remark)
    assert remark == "" or found.remark.endswith(f"; trying {found.path} instead")


@pytest.mark.slow  # the real process, and a start of the command line per case
def test_a_person_can_halt_and_kill_while_the_configuration_has_mistakes(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text(closes=False))
    with live.running() as process:
        read_until(process, "session two", "> live")
        live.config.write_text(config_text() + "[engine]\n[[[\n", encoding="utf-8")
        halted = live.call("halt")
        assert (halted.returncode, halted.stdout.startswith("halted: ")) == (0, True)
        assert "is not TOML" in halted.stderr
        assert f"trying {live.paths.socket} instead" in halted.stderr
        live.config.write_text(config_text().replace("tick", "tock"), encoding="utf-8")
        killed = live.call("kill")
        assert (killed.returncode, killed.stdout) == (0, "kill: closing everything\n")
        assert killed.stderr == ""
        process.kill()
