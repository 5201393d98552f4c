"""Texts of others as they may be shown: on one line, without anything that steers who shows them.

Files, venues, people and their names give texts, and those are read by terminals, browsers and
logs. Every text that leaves the process for a person passes here. It must not hide what it shows.
"""

import os
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


class Unwritable(Exception):
    """A stream for people does not take what is to be shown; the text is the system's reason.

    No OSError, since whoever catches those means the files that he works on.
    """


def put(lines: Iterable[str], stream: TextIO) -> None:
    """Write lines for a person to standard output or error; a line end inside one is ours.

    Raises BrokenPipeError where the reader has left, else Unwritable.
    """
    write(
        "".join(
            f"{printable(shortened(part, LINE_MAX))}\n"
            for line in lines
            for part in line.split("\n")
        ),
        stream,
    )


def write(text: str, stream: TextIO) -> None:
    """Write a text that is fit to be shown as it is. Raises as `put` does."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.strerror or str(error)) from error


def ascii_json(text: str) -> str:
    """JSON with everything escaped that cannot be shown; it says the same to who reads JSON."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(each: str) -> str:
    units = each.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)


def abandon(stream: TextIO) -> None:
    """Lead a stream nowhere, that its end does not fail a second time for what it still holds."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        return  # it has no file of its own, as in a test
    finally:
        os.close(nowhere)
