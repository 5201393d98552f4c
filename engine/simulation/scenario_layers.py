"""Lays a scenario file over its bases, and remembers which file each key came from.

Tables merge key by key, everything else is replaced; the timelines are kept apart, the base's
entries first. Must not know what the keys mean, but for the sources of a book, of which an
instrument has one.
"""

from collections.abc import Callable, Mapping
from os.path import realpath
from pathlib import Path
from typing import Any

from engine.config_values import Finding, Findings, above, join, overlay

#: A longer chain of bases is a mistake.
LAYERS_MAX = 16
BASE_MAX = 1024

_SOURCES = ("book", "synthetic", "recording")


class Layers:
    """The tables of a file and its bases, laid over each other; `mistakes` are (file, finding)."""

    __slots__ = ("file", "mistakes", "origins", "tables", "timelines")

    def __init__(self, file: str) -> None:
        self.file = file
        self.tables: dict[str, Any] = {}
        self.timelines: list[tuple[str, Any]] = []
        self.origins: dict[str, str] = {}
        self.mistakes: list[tuple[str, Finding]] = []

    def lay(self, file: str, tables: dict[str, Any]) -> None:
        """Lay one more file over what there is."""
        upper = {key: value for key, value in tables.items() if key not in ("base", "timeline")}
        upper = _with_sources_beside(upper)
        self.tables = overlay(_without_replaced_sources(self.tables, upper), upper)
        self._mark(file, upper, "")
        if "timeline" in tables:
            self.timelines.append((file, tables["timeline"]))

    def _mark(self, file: str, tables: Mapping[str, Any], path: str) -> None:
        for key, value in tables.items():
            where = join(path, key)
            self.origins[where] = file
            if isinstance(value, dict):
                self._mark(file, value, where)

    def file_of(self, key: str) -> str:
        """The file that a key (or the table that lacks it) stands in."""
        known = [path for path in above(key) if path in self.origins]
        return self.origins[known[-1]] if known else self.file


def read_layers(path: Path, read: Callable[[Path, Findings], dict[str, Any]]) -> Layers:
    """Read a file and, first, the file that its `base` names, relative to it; and so on.

    What cannot be read, a base that is no text and a circle of bases are mistakes of the result.
    """
    layers = Layers(str(path))
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: set[str] = set()
    current: Path | None = path
    while current is not None:
        findings = Findings()
        tables = read(current, findings)
        seen.add(realpath(current))
        base = tables.get("base")
        following: Path | None = None
        if isinstance(base, str) and base.isprintable() and 0 < len(base) <= BASE_MAX:
            following = current.parent / base
            if realpath(following) in seen or len(seen) >= LAYERS_MAX:
                findings.add("base", base, "must not lead back to a file that is based on it")
                following = None
        elif "base" in tables:
            findings.add("base", base, f"must be the name of a file, at most {BASE_MAX} characters")
        layers.mistakes += [(str(current), finding) for finding in findings.items]
        chain.append((str(current), tables))
        current = following
    for file, tables in reversed(chain):
        layers.lay(file, tables)
    return layers


def _with_sources_beside(tables: dict[str, Any]) -> dict[str, Any]:
    """Move a `synthetic` or `recording` that stands inside `book` beside it: both are read."""
    instruments = tables.get("instruments")
    if not isinstance(instruments, dict):
        return tables
    moved = {key: _moved(spec) for key, spec in instruments.items()}
    return {**tables, "instruments": moved}


def _moved(spec: Any) -> Any:
    book = spec.get("book") if isinstance(spec, dict) else None
    if isinstance(book, dict) and len(book) == 1 and next(iter(book)) in _SOURCES[1:]:
        return {key: value for key, value in spec.items() if key != "book"} | book
    return spec


def _without_replaced_sources(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Take away the sources of books in `lower` in whose place `upper` gives another."""
    below, above = lower.get("instruments"), upper.get("instruments")
    if not isinstance(below, dict) or not isinstance(above, dict):
        return lower
    kept = {key: _without_sources(spec, above.get(key)) for key, spec in below.items()}
    return {**lower, "instruments": kept}


def _without_sources(spec: Any, upper: Any) -> Any:
    given = [name for name in _SOURCES if isinstance(upper, dict) and name in upper]
    if not given or not isinstance(spec, dict):
        return spec
    gone = [name for name in _SOURCES if name not in given]
    return {key: value for key, value in spec.items() if key not in gone}
