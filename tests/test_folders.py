"""Where an engine works: a folder that was there stays as it is, and is judged."""

import resource
from pathlib import Path

import pytest

from engine import app
from engine.config import Config, ConfigError, load
from engine.operator.address import address_of
from engine.paths import BootError
from engine.recovery import Boot, boot
from tests.live_engine import LiveEngine
from tests.sessions import standing_text


@pytest.fixture
def live(tmp_path: Path) -> LiveEngine:
    return LiveEngine(tmp_path, standing_text())


def modes(live: LiveEngine) -> dict[str, int]:
    there = live.paths.directory.rglob("*")
    return {each.name: each.stat().st_mode & 0o777 for each in there}


def test_what_the_engine_makes_is_for_its_user_alone(live: LiveEngine) -> None:
    started = boot(load(live.config))
    started.journal.close()
    assert started.notes == []
    assert live.paths.directory.stat().st_mode & 0o777 == 0o700
    assert modes(live)["books"] == 0o700
    assert {mode for name, mode in modes(live).items() if name != "books"} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
def test_a_folder_that_others_may_look_into_is_told_of_and_left_as_it_is(
    live: LiveEngine, mode: int
) -> None:
    live.paths.directory.mkdir(mode=mode)
    started = boot(load(live.config))
    started.journal.close()
    (note,) = started.notes
    assert note.startswith(f"{live.paths.directory}: others may look into this folder")
    assert live.paths.directory.stat().st_mode & 0o777 == mode
    assert {mode for name, mode in modes(live).items() if name != "books"} == {0o600}


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_others_may_write_to_is_refused_and_left_as_it_is(
    live: LiveEngine, mode: int, fresh: bool
) -> None:
    folder = live.paths.directory
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(BootError, match="others may write into this folder"):
        boot(load(live.config), fresh=fresh)
    assert folder.stat().st_mode & 0o7777 == mode
    assert list(folder.iterdir()) == []


def test_the_folder_of_the_books_is_judged_as_well(live: LiveEngine) -> None:
    live.paths.books.mkdir(parents=True)
    live.paths.directory.chmod(0o700)
    live.paths.books.chmod(0o777)
    with pytest.raises(BootError, match="books: others may write"):
        boot(load(live.config))


# ---------------------------------------------------------------- a home


def test_a_tilde_is_the_home_for_the_engine_and_for_who_asks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    config = tmp_path / "config.toml"
    config.write_text(standing_text().replace("[engine]\n", '[engine]\ndirectory = "~/x"\n'))
    assert load(config).engine.directory == str(home / "x")
    assert address_of(config) == (home / "x" / "unwind.sock", "")


def test_a_recording_may_lie_at_home_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "sub" / "config.toml"
    config.parent.mkdir()
    (tmp_path / "book.csv").touch()
    text = standing_text()
    first = text.index("book = {")
    text = text[:first] + 'recording = "~/book.csv"\n' + text[text.index("\n", first) :]
    config.write_text(text)
    assert load(config).instruments["one:ETH"].recording == str(tmp_path / "book.csv")


def test_a_home_that_is_not_known_is_refused_with_the_key(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = standing_text().replace("[engine]\n", '[engine]\ndirectory = "~nobody-here/x"\n')
    config.write_text(text)
    with pytest.raises(ConfigError, match=r"engine\.directory.*a home that is known"):
        load(config)
    found = address_of(config)
    assert found.path == tmp_path / "var" / "unwind.sock"
    assert "engine.directory" in found.remark


# ---------------------------------------------------------------- a dead process


def test_a_process_that_runs_the_engine_leaves_no_core_when_it_dies(
    live: LiveEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.append((what, limit)))

    def told(config: Config, *, fresh: bool) -> Boot:
        assert limits == [(resource.RLIMIT_CORE, (0, 0))], "secrets may be in memory from here on"
        raise BootError("enough")

    monkeypatch.setattr(app, "boot", told)
    assert app.run(live.config) == app.EXIT_USAGE
