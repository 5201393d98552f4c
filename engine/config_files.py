"""Checks that no two things of `[engine]` are one file, and none of them the user's own.

A process writes, renames or removes what it owns: the four names of `[engine]` and those that go
with them. Names are compared as they are written; places as they are on disk, whatever links lead
there. It must not change anything, nor judge the folder itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from engine.config_specs import EngineSpec
from engine.config_values import Findings, join
from engine.paths import is_archived, owned

_KEYS = ("journal", "socket", "books", "log")
#: What is put aside under a date.
_ARCHIVED = ("journal", "socket", "books")
#: Any date: a stand-in for names that there may once be.
_SOME_DATE = ".20000101T000000Z"


# ---------------------------------------------------------------- names


def check_names(engine: EngineSpec, path: str, findings: Findings) -> None:
    """Note every key of `[engine]` whose name belongs to another one already."""
    names = owned(engine)
    for number, key in enumerate(_KEYS):
        value = names[key][0]
        for other in _KEYS[:number]:
            first = names[other][0]
            if value == first:
                findings.add(join(path, key), value, f"must differ from {join(path, other)}")
            elif value in names[other]:
                text = f'must differ from what goes with {join(path, other)} = "{first}"'
                findings.add(join(path, key), value, text)
            elif is_archived(value, first) or is_archived(first, value):
                text = f'must not look like {join(path, other)} = "{first}" put aside under a date'
                findings.add(join(path, key), value, text)
    if findings.about(path):
        return
    for key in _ARCHIVED:
        for name in (*names[key], names[key][0] + _SOME_DATE):
            if is_old_log(name, engine.log):
                text = f"must not make {name} look like an old log, which is removed in time"
                findings.add(join(path, "log"), engine.log, text)
                break


def is_old_log(name: str, log: str) -> bool:
    """Whether the log's rotation takes a name for that of an older log of its own."""
    root, end = os.path.splitext(log)
    patterns = [f"{log}.*", f"{root}.*{end}", f"{root}.*{end}.*"] if end else [f"{log}.*"]
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# ---------------------------------------------------------------- places


def check_places(
    engine: EngineSpec, path: str, inputs: Mapping[str, Path], findings: Findings
) -> None:
    """Note every key of `[engine]` that leads out of the folder, or to another file that counts.

    `inputs` are files that the process only reads, by what they are.
    """
    folder = Path(engine.directory)
    places: dict[str, list[Path]] = {
        key: [folder / name for name in names] for key, names in owned(engine).items()
    }
    for number, key in enumerate(_KEYS):
        where, value = join(path, key), places[key][0].name
        for text in (
            *_leaving(places[key], folder),
            *(
                f"must be another file than {join(path, other)}"
                for other in _KEYS[:number]
                if _meet(places[key], places[other])
            ),
            *(
                f"must not be {what} ({file})"
                for what, file in inputs.items()
                if _takes(engine, key, places[key], file)
            ),
        ):
            findings.add(where, value, text)


def _leaving(places: list[Path], folder: Path) -> Iterator[str]:
    inside = Path(os.path.realpath(folder))
    for place in places:
        real = Path(os.path.realpath(place))
        if not real.is_relative_to(inside):
            yield f"must stay in the directory; {place} is a link to {real}"


def _meet(places: list[Path], others: list[Path]) -> bool:
    return any(_is_same(place, other) for place in places for other in others)


def _takes(engine: EngineSpec, key: str, places: list[Path], file: Path) -> bool:
    """Whether a key makes a file of the user's one that the process writes, moves or removes."""
    if any(_is_same(place, file) for place in places):
        return True
    name: str = getattr(engine, key)
    if key == "books" and Path(os.path.realpath(file)).is_relative_to(os.path.realpath(places[0])):
        return True
    if os.path.realpath(file.parent) != os.path.realpath(engine.directory):
        return False
    return is_old_log(file.name, name) if key == "log" else is_archived(file.name, name)


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place; two names of one file are one place too."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False
