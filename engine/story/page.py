"""A story as one HTML page that needs no network: the picture, the reasons, the end, the sequence.

Puts what the other tellers say into `story.html`. It must not say anything of its own.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from engine.report import close_report
from engine.story.picture import LEFT, RIGHT, WIDTH, svg
from engine.story.reasons import explained, raised
from engine.story.sequence import mermaid
from engine.story.story import Story
from engine.story.words import clock
from engine.summary import describe
from engine.texts import printable
from machines.types import NS


def page(story: Story) -> str:
    """The page as HTML text."""
    template = files("engine.story").joinpath("story.html").read_text(encoding="utf-8")
    end = max((step.at - story.origin for step in story.steps), default=0) / NS
    parts = {
        "TITLE": escape(story.title),
        "ABOUT": escape(story.about),
        "PICTURE": svg(story, titled=False),
        "REASONS": "\n".join(_items(story)),
        "END": _end(story),
        "SEQUENCE": escape(mermaid(story)),
        "LEFT": str(LEFT),
        "RIGHT": str(WIDTH - RIGHT),
        "SPAN": str(max(end * 1.02, 0.1)),
    }
    # In one go: what is put in may look like a place itself.
    return re.sub(r"/\*([A-Z]+)\*/", lambda place: parts[place[1]], template)


def _items(story: Story) -> list[str]:
    found = []
    for step, move, sentence in explained(story):
        at = move.at - story.origin
        text = sentence.partition(" s: ")[2]
        alarm = ' class="alarm"' if raised(step, move) else ""
        found.append(
            f'<li tabindex="0"{alarm} data-at="{at / NS:.6f}"><time>{clock(at)}</time>'
            f"<span>{escape(text)}</span></li>"
        )
    return found


def _end(story: Story) -> str:
    """How the close ended; empty where the story is not one of a close."""
    if story.close is None or not story.steps:
        return ""
    at = story.steps[-1].at
    text = "\n".join(map(printable, describe(close_report(story.close, at), story.core, at)))
    return f"<h2>In the end</h2><pre>{escape(text)}</pre>"
