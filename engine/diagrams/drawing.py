"""Everything that can be drawn or written of the machines: every format, as files by name.

Chooses who draws what, with which arrows and counts. It must not write: `command` does, or prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.config import Config
from engine.diagrams import coverage, graphs, overview, pages, review
from engine.diagrams.arrows import Arrow, moving_arrows, staying_arrows
from engine.diagrams.coverage import Coverage
from engine.diagrams.docs import Docs, MachineDoc
from engine.diagrams.graphs import Overlay
from engine.diagrams.revision import JSON_NAME

FORMATS = ("mermaid", "dot", "svg", "png", "md", "html", "json")
#: What can be printed as it is; the others need a folder to be written into.
PRINTED = ("mermaid", "dot", "svg", "md", "html", "json")
#: Formats of pictures, by the end of their files' names.
ENDINGS = {"mermaid": "mmd", "dot": "dot", "svg": "svg", "png": "png"}
REVIEW_NAME = "review.html"


class Style(Struct, frozen=True):
    """Which arrows a picture has: `loops` for rows that stay, `unfolded` without frames' own."""

    loops: bool = False
    unfolded: bool = False

    def arrows(self, machine: MachineDoc) -> list[Arrow]:
        """The arrows of a machine."""
        arrows = moving_arrows(machine, folded=not self.unfolded)
        return arrows + (staying_arrows(machine, len(arrows) + 1) if self.loops else [])

    def keyed(self, look: Overlay) -> Overlay:
        """The look with a key that fits the arrows."""
        other = {
            **(graphs.UNFOLDED if self.unfolded else {}),
            **(graphs.LOOPS if self.loops else {}),
        }
        return replace(look, key=tuple(filter(None, (other.get(line, line) for line in look.key))))


class Drawing(Struct, frozen=True):
    """What is to be drawn: machines out of all that there are, and what is laid over them.

    `measured` are the counts that the review page shows, `laid` those that colour the pictures.
    """

    docs: Docs
    whole: Docs
    style: Style
    config: Config | None = None
    measured: Coverage | None = None
    laid: Coverage | None = None

    def files(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """Every file of one format, by name; of some machines only what they need."""
        is_whole = self.docs is self.whole
        if kind == "json":
            yield JSON_NAME, msgspec.json.format(msgspec.json.encode(self.docs))
        elif kind == "md":
            for name, text in pages.pages(self.docs).items():
                if is_whole or name != pages.HOME:
                    yield name, text.encode()
        elif kind == "html":
            text = review.page(self.docs, self.config, self.measured, self.whole)
            yield REVIEW_NAME, text.encode()
        else:
            for machine in self.docs.machines:
                yield f"{machine.name}.{ENDINGS[kind]}", self._picture(machine, kind)
            if is_whole:
                yield f"overview.{ENDINGS[kind]}", _overview(self.docs, kind)

    def _picture(self, machine: MachineDoc, kind: str) -> bytes:
        arrows = self.style.arrows(machine)
        look = Overlay(machine.name)
        if self.laid is not None:
            look = coverage.overlay(machine, arrows, self.laid)
        return picture(machine, arrows, kind, self.style.keyed(look))


def picture(machine: MachineDoc, arrows: Sequence[Arrow], kind: str, look: Overlay) -> bytes:
    """One picture of a machine, in a format of `ENDINGS`."""
    if kind == "mermaid":
        return graphs.mermaid(machine, arrows, look).encode()
    if kind == "dot":
        return graphs.dot(machine, arrows, look).encode()
    return graphs.draw(machine, arrows, kind, look)


def _overview(docs: Docs, kind: str) -> bytes:
    if kind == "mermaid":
        return overview.mermaid(docs).encode()
    return overview.dot(docs).encode() if kind == "dot" else overview.draw(docs, kind)


def has_fonts() -> bool:
    """Whether there is a font on this machine, which PNG needs for its letters."""
    folders = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library")
    own = (Path.home() / ".fonts", Path.home() / ".local/share/fonts", Path("C:/Windows/Fonts"))
    return any(
        next(Path(folder).rglob("*.[to]tf"), None)
        for folder in (*folders, *own)
        if Path(folder).is_dir()
    )
