"""No two names of `[engine]` are one file, and none of them is a file of the user's."""

import os
from pathlib import Path

import pytest

from engine.config import ConfigError, check, load
from engine.config_files import is_old_log
from engine.recovery import boot
from tests.live_engine import config_text
from tests.sessions import standing_text


def written(folder: Path, *, name: str = "config.toml", **keys: str) -> Path:
    """A configuration file whose `[engine]` has these keys."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    path = folder / name
    path.write_text(config_text().replace("grace_ms = 100\n", f"grace_ms = 100\n{lines}"), "utf-8")
    return path


def refused(path: Path) -> list[str]:
    """The findings, without the name of the file; one line each."""
    return [line.removeprefix(f"{path}: ") for line in check(path)]


@pytest.mark.parametrize(
    ("keys", "finding"),
    [
        ({"socket": "journal.db"}, 'engine.socket = "journal.db": must differ from engine.journal'),
        ({"log": "books"}, 'engine.log = "books": must differ from engine.books'),
        (
            {"log": "journal.db.lock"},
            'engine.log = "journal.db.lock": must differ from what goes with engine.journal = '
            '"journal.db"',
        ),
        (
            {"journal": "a", "books": "a.session"},
            'engine.books = "a.session": must differ from what goes with engine.journal = "a"',
        ),
        (
            {"socket": "journal.db.20261201T041500Z"},
            'engine.socket = "journal.db.20261201T041500Z": must not look like engine.journal = '
            '"journal.db" put aside under a date',
        ),
        (
            {"journal": "books.20261201T041500Z-2.db"},
            'engine.books = "books": must not look like engine.journal = '
            '"books.20261201T041500Z-2.db" put aside under a date',
        ),
        (
            {"log": "journal"},
            'engine.log = "journal": must not make journal.db look like an old log, which is '
            "removed in time",
        ),
        (
            {"log": "unwind.sock.log", "socket": "unwind.sock.1.log"},
            'engine.log = "unwind.sock.log": must not make unwind.sock.1.log look like an old log, '
            "which is removed in time",
        ),
    ],
)
def test_names_that_collide_are_refused_with_key_and_value(
    tmp_path: Path, keys: dict[str, str], finding: str
) -> None:
    assert refused(written(tmp_path, **keys)) == [finding]


@pytest.mark.parametrize(
    "end",
    ["-wal", "-shm", "-journal", ".lock", ".session", ".session.new", ".new", ".new-wal"],
)
def test_every_name_that_goes_with_the_journal_is_taken(tmp_path: Path, end: str) -> None:
    for key in ("socket", "books", "log"):
        (finding,) = refused(written(tmp_path, **{key: f"journal.db{end}"}))
        assert finding.startswith(f'engine.{key} = "journal.db{end}": must differ')


def test_names_that_differ_in_case_alone_are_two(tmp_path: Path) -> None:
    assert refused(written(tmp_path, journal="Unwind.db", log="unwind.db", books="BOOKS")) == []


@pytest.mark.parametrize(
    ("name", "log", "old"),
    [
        ("unwind.2026-12-01_04-15-00_000000.log", "unwind.log", True),
        ("unwind.log.gz", "unwind.log", True),
        ("unwind.log", "unwind.log", False),
        ("unwind.db", "unwind.log", False),
        ("unwind.db", "unwind", True),
        ("UNWIND.db", "unwind", False),
    ],
)
def test_what_the_rotation_takes_for_an_old_log(name: str, log: str, *, old: bool) -> None:
    assert is_old_log(name, log) is old


# ---------------------------------------------------------------- the user's own files


@pytest.mark.parametrize("key", ["journal", "socket", "books", "log"])
@pytest.mark.parametrize("directory", [".", "./", "../here", "var/.."])
def test_the_configuration_is_never_a_file_of_the_engine(
    tmp_path: Path, key: str, directory: str
) -> None:
    folder = tmp_path / "here"
    (folder / "var").mkdir(parents=True)
    path = written(folder, directory=directory, **{key: "config.toml"})
    (finding,) = refused(path)
    assert finding.startswith(f'engine.{key} = "config.toml": must not be the configuration (')
    with pytest.raises(ConfigError):
        load(os.path.relpath(path))


@pytest.mark.parametrize(
    ("name", "keys", "where"),
    [
        ("journal.db.session", {}, 'engine.journal = "journal.db"'),
        ("journal.db.20261201T041500Z.toml", {}, 'engine.journal = "journal.db"'),
        ("config.toml", {"log": "config"}, 'engine.log = "config"'),
    ],
)
def test_a_configuration_that_the_engine_would_write_move_or_remove_is_refused(
    tmp_path: Path, name: str, keys: dict[str, str], where: str
) -> None:
    (finding,) = refused(written(tmp_path, name=name, directory=".", **keys))
    assert finding.startswith(f"{where}: must not be the configuration (")
    other = tmp_path / "other"
    other.mkdir()
    assert refused(written(other, name=name, **keys)) == [], "it lies in another folder"


def test_a_configuration_inside_the_books_is_refused(tmp_path: Path) -> None:
    (tmp_path / "books" / "mine").mkdir(parents=True)
    path = written(tmp_path / "books" / "mine", directory="../..")
    (finding,) = refused(path)
    assert finding.startswith('engine.books = "books": must not be the configuration (')


def test_a_recording_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text("1,2,3\n")
    text = config_text().replace(
        'synthetic = { mid = "150.00", spread_ticks = 4, vol_bps_per_sqrt_s = 1, '
        "trade_rate_per_s = 2 }",
        'recording = "trades.csv#0"',
    )
    path = tmp_path / "config.toml"
    path.write_text(
        text.replace("grace_ms = 100\n", 'directory = "."\nlog = "trades.csv"\n'), "utf-8"
    )
    (finding,) = refused(path)
    assert finding.startswith('engine.log = "trades.csv": must not be the recording of one:SOL (')


# ---------------------------------------------------------------- links


def test_a_link_to_another_file_of_the_engine_is_the_same_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "unwind.log").symlink_to("journal.db")
    (finding,) = refused(path)
    assert finding == 'engine.log = "unwind.log": must be another file than engine.journal'


def test_a_second_name_of_one_file_is_the_same_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "var").mkdir()
    os.link(path, tmp_path / "var" / "unwind.log")
    (finding,) = refused(path)
    assert finding.startswith('engine.log = "unwind.log": must not be the configuration (')


@pytest.mark.parametrize("there", [True, False])
def test_a_name_that_leads_out_of_the_directory_is_refused(tmp_path: Path, *, there: bool) -> None:
    path = written(tmp_path)
    (tmp_path / "var").mkdir()
    outside = tmp_path / "outside.db"
    if there:
        outside.touch()
    (tmp_path / "var" / "journal.db").symlink_to(outside)
    (finding,) = refused(path)
    assert finding == (
        'engine.journal = "journal.db": must stay in the directory; '
        f"{tmp_path / 'var' / 'journal.db'} is a link to {outside}"
    )


def test_a_directory_that_is_a_link_is_as_good_as_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "var").symlink_to("real")
    assert refused(written(tmp_path)) == []


@pytest.mark.parametrize("name", ["../journal.db", "./journal.db", "a/b", "..", ".hidden", ""])
def test_a_name_with_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (finding,) = refused(written(tmp_path, journal=name))
    assert finding.startswith(f'engine.journal = "{name}": must be a file name without a folder')


def test_all_of_it_is_told_at_once_and_a_start_tells_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, socket="journal.db", log="journal.db-wal")
    assert len(refused(path)) == 2
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.lines() == check(path)


def test_its_own_files_do_not_forbid_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(standing_text(), "utf-8")
    boot(load(path)).journal.close()
    assert check(path) == []
