"""Writes `docs/config.md` from the table of keys; must not hold a key or default of its own.

To write the file anew: `python -m engine.config_reference > docs/config.md`.
"""

import sys
from decimal import Decimal
from typing import Any, get_args, get_type_hints

from msgspec import Struct

from engine.config_keys import SECTIONS
from engine.config_reading import Key, Section, default_of, is_required
from engine.config_values import DECIMAL, MILLISECONDS, SECONDS
from machines.types import REASON_URGENCY, URGENCY_RANK, Capabilities
from venues.profiles import override_keys

_HEAD = """\
# Configuration

Generated from `engine/config_keys.py`; to write it anew, run
`python -m engine.config_reference > docs/config.md`.

`unwind` reads `config.toml`, or the file that `--config` names; `unwind config --check FILE` lists
everything that is wrong with one: unknown keys, values that are not allowed, and values that
contradict each other. Nothing starts with a file that has a mistake.

* Quantities, prices, money and ratios are decimals in quotes (`"0.05"`), because numbers without
  quotes invite rounding. Times, counts and the keys in `_bps`, `_pct` and `_ticks` are plain
  numbers, read exactly as written; quotes are accepted there too.
* Times carry their unit in the name (`_s`, `_ms`) and may have decimals down to 1 ns.
* Every number has a range and is refused beyond it, however it is written: a price has at most
  10^15 ticks, a quantity 10^15 lots (or units, where a holding is finer than the lot), a tick or a
  lot 12 digits, a ratio a denominator of at most 10^15, an amount of quote currency is at most
  10^15, a time 10^9 seconds. `venues/numbers.py` says why.
* Upper-case words in a heading stand for names of your own.
"""


def reference() -> str:
    """The reference of all keys as Markdown."""
    sections = [_section(section) for section in SECTIONS]
    return "\n".join([_HEAD, *sections, _capabilities(), _reasons()])


def _section(section: Section) -> str:
    fields = section.fields()
    lines = [f"## `[{section.path}]`", "", section.about, ""]
    lines += ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    for key in section.keys:
        field = fields[key.filled]
        default = "required" if is_required(field) else _default(key, default_of(field))
        lines.append(f"| `{key.name}` | {default} | {key.allowed} | {key.meaning} |")
    return "\n".join([*lines, ""])


def _capabilities() -> str:
    lines = [
        "## Capabilities",
        "",
        "Keys of `[venues.NAME.override]`. What is not overridden is as the profile has it: as its "
        "venue was seen to behave.",
        "",
        "| key | values |",
        "|---|---|",
    ]
    hints = get_type_hints(Capabilities)
    for name, hint in hints.items():
        words = [f'`"{word}"`' for word in get_args(hint)] or ["`true`", "`false`"]
        lines.append(f"| `{name}` | {', '.join(words)} |")
    habits = ", ".join(f"`{name}`" for name in override_keys() if name not in hints)
    lines += ["", f"Habits that only a simulated venue needs can be overridden too: {habits}."]
    return "\n".join([*lines, ""])


def _reasons() -> str:
    lines = ["## Reasons of a close and their urgency", "", "| urgency | reasons |", "|---|---|"]
    for urgency in URGENCY_RANK:
        reasons = [f"`{reason}`" for reason, word in REASON_URGENCY.items() if word == urgency]
        lines.append(f"| `{urgency}` | {', '.join(reasons)} |")
    return "\n".join([*lines, ""])


def _default(key: Key, value: Any) -> str:
    if value is None or value in ("", (), {}) or isinstance(value, Struct):
        return ""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif key.kind in (SECONDS, MILLISECONDS):
        text = f"{(Decimal(value) / key.kind.unit).normalize():f}"
    elif key.kind is DECIMAL:
        text = f'"{value:f}"'
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, tuple):
        text = '"1"'
    else:
        text = f'"{value}"' if isinstance(value, str) else str(value)
    return f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
