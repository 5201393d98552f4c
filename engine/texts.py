"""Texts of others as they may be shown: on one line, without anything that steers who shows them.

Files, venues, people and their names give texts, and those are read by terminals, browsers and
logs. Every text that leaves the process for a person passes here. It must not hide what it shows.
"""

from collections.abc import Iterable
from typing import TextIO

#: A longer line is nothing that a person reads.
LINE_MAX = 4000


def printable(text: str) -> str:
    """A text on one line; what would steer a terminal or break a file is shown as its code."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else ascii(each)[1:-1]
        for each in text
    )


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters; where it is cut, three dots say so."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def put(lines: Iterable[str], stream: TextIO) -> None:
    """Write lines for a person to standard output or error; a line end inside one is ours."""
    stream.write(
        "".join(
            f"{printable(shortened(part, LINE_MAX))}\n"
            for line in lines
            for part in line.split("\n")
        )
    )


def ascii_json(text: str) -> str:
    """JSON with everything escaped that cannot be shown; it says the same to who reads JSON."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(each: str) -> str:
    units = each.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)
