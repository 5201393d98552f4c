"""Reads TOML files that others wrote, in bounded time and memory, with their numbers exact.

A file is regular, of at most 1 MiB, and no deeper than a person writes; everything else is a
finding about it, never an error of ours. Must not know what the keys mean.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from engine.config_values import Findings, exact_float
from engine.files import TooLarge, read_whole

#: A configuration is written by hand; a larger file is something else.
FILE_BYTES_MAX = 1 << 20
#: Tables and lists inside each other, and parts of one key.
DEPTH_MAX = 32
#: Python writes and reads no longer integers.
_INTEGER = re.compile(r"[0-9](?:_?[0-9]){4299,}")
#: Characters of a quoted part of a key that are looked at for a long key.
_QUOTED_MAX = 256

_PART = (
    r"(?:[A-Za-z0-9_-]++"
    rf'|"(?:[^"\\\n]|\\[^\n]){{0,{_QUOTED_MAX}}}+"'
    rf"|'[^'\n]{{0,{_QUOTED_MAX}}}+')"
)
#: The library takes time by the square of the parts of a key: it must not see a long one.
_LONG_KEY = re.compile(
    rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{DEPTH_MAX}}}", re.ASCII
)


def read_toml(path: Path, findings: Findings) -> dict[str, Any]:
    """Read a TOML file with its numbers exact; what prevents it is noted, and {} comes back."""
    try:
        return _parsed(read_whole(path, FILE_BYTES_MAX).decode(), findings)
    except TooLarge:
        findings.add("", None, f"must not be larger than {FILE_BYTES_MAX} bytes")
    except OSError as error:
        findings.add("", None, f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        findings.add("", None, f"must be UTF-8; byte {error.start} is not")
    return {}


def _parsed(text: str, findings: Findings) -> dict[str, Any]:
    long = _LONG_KEY.search(text)
    if long is not None:
        allowed = f"a key has more than {DEPTH_MAX} parts, too deep (line {_line(text, long)})"
        findings.add("", None, allowed)
        return {}
    try:
        tables = tomllib.loads(text, parse_float=exact_float)
    except tomllib.TOMLDecodeError as error:
        findings.add("", None, f"is not TOML: {error}")
    except RecursionError:
        findings.add("", None, "holds a value that is too deep")
    except ValueError as error:
        digits = _INTEGER.search(text)
        why = f"an integer (line {_line(text, digits)})" if digits is not None else str(error)
        findings.add("", None, f"holds a value that is too long: {why}")
    else:
        if not _is_deep(tables):
            return tables
        findings.add(
            "", None, f"holds more than {DEPTH_MAX} tables or lists in each other, too deep"
        )
    return {}


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _is_deep(tables: dict[str, Any]) -> bool:
    """Whether tables and lists lie deeper in each other than whoever walks them may rely on."""
    level: list[Any] = [tables]
    for _ in range(DEPTH_MAX):
        level = [
            value
            for each in level
            for value in (each.values() if isinstance(each, dict) else each)
            if isinstance(value, dict | list)
        ]
        if not level:
            return False
    return True
