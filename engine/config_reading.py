"""Reads one declared table of a configuration: unknown, missing and wrong keys are all noted.

A `Section` lists the `Key`s of a table and names the struct that they fill; a default is that of
the struct's field. Must not know any particular key.
"""

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from engine.config_values import (
    LIMIT,
    MILLISECONDS,
    MISSING,
    SECONDS,
    Findings,
    Kind,
    Refused,
    join,
)

#: What a value that cannot be used reads as.
_BAD = object()


class Key(Struct, frozen=True):
    """One key. Bounds are in the unit of the file; `above` excludes the minimum itself."""

    name: str
    kind: Kind
    meaning: str
    minimum: Decimal | None = None
    above: bool = False
    maximum: Decimal | None = None
    field: str = ""

    @property
    def filled(self) -> str:
        """Name of the field that this key fills."""
        if not self.field and self.kind in (SECONDS, MILLISECONDS):
            return self.name.rpartition("_")[0] + "_ns"
        return self.field or self.name

    @property
    def least(self) -> Decimal | None:
        """Smallest value allowed, in the unit of the file."""
        return self.kind.minimum if self.minimum is None else self.minimum

    @property
    def most(self) -> Decimal | None:
        """Largest value allowed, in the unit of the file."""
        return self.kind.maximum if self.maximum is None else self.maximum

    @property
    def allowed(self) -> str:
        """What may stand here, in words; bounds that only a slip of the pen meets are left out."""
        words = [self.kind.label]
        if self.least is not None:
            words.append(f"{'above' if self.above else 'at least'} {self.least:f}")
        if self.most is not None and self.most < LIMIT:
            words.append(f"at most {self.most:f}")
        return ", ".join(words)


class Section(Struct, frozen=True):
    """One table of the file and the struct that it fills."""

    path: str
    struct: type[Struct]
    about: str
    keys: tuple[Key, ...]
    tables: dict[str, "Section"] = {}

    @property
    def known(self) -> list[str]:
        """Every key and table that may stand here."""
        return [*(key.name for key in self.keys), *self.tables]

    def fields(self) -> dict[str, FieldInfo]:
        """The fields of the struct, by name; they hold the defaults."""
        return {field.name: field for field in msgspec.structs.fields(self.struct)}


def as_table(value: Any, path: str, findings: Findings) -> dict[str, Any]:
    """Take a value as a table; anything else is noted and reads as empty."""
    if isinstance(value, dict):
        return value
    findings.add(path, value, "must be a table")
    return {}


def note_unknown(table: Mapping[str, Any], known: list[str], path: str, findings: Findings) -> None:
    """Note every key of `table` that is not `known`, with the nearest one that is."""
    for key in table:
        if key not in known and not findings.is_full:
            nearest = get_close_matches(key, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
            findings.add(join(path, key), table[key], f"is not a key here; {hint}")


def read_section(
    section: Section, value: Any, path: str, findings: Findings, base: Struct | None = None
) -> dict[str, Any]:
    """Read a table into values by field name.

    A key that is absent or wrong takes its value from `base`, else from the default of its field;
    a required one is then left out. Tables inside the table are left to the caller.
    """
    table = as_table(value, path, findings)
    note_unknown(table, section.known, path, findings)
    fields = section.fields()
    values: dict[str, Any] = {}
    for key in section.keys:
        found = _BAD
        if key.name in table:
            found = _read_key(key, table[key.name], join(path, key.name), findings)
        elif base is None and is_required(fields[key.filled]) and isinstance(value, dict):
            findings.add(join(path, key.name), MISSING, f"must be given: {key.allowed}")
        if found is not _BAD:
            values[key.filled] = found
        elif base is not None:
            values[key.filled] = getattr(base, key.filled)
        elif not is_required(fields[key.filled]):
            values[key.filled] = default_of(fields[key.filled])
    return values


def is_required(field: FieldInfo) -> bool:
    """Whether the struct cannot be made without this field."""
    return field.default is NODEFAULT and field.default_factory is NODEFAULT


def default_of(field: FieldInfo) -> Any:
    """The default of a field that has one."""
    return field.default if field.default is not NODEFAULT else field.default_factory()


def _read_key(key: Key, value: Any, path: str, findings: Findings) -> Any:
    try:
        found = key.kind.read(value)
    except Refused as refused:
        reason = str(refused)
        detail = "" if reason in key.allowed else f" ({reason})"
        findings.add(path, value, f"must be {key.allowed}{detail}")
        return _BAD
    least, most, unit = key.least, key.most, key.kind.unit
    if least is not None and (found < least * unit or (key.above and found == least * unit)):
        findings.add(path, value, f"must be {key.allowed}")
        return _BAD
    if most is not None and found > most * unit:
        findings.add(path, value, f"must be {key.kind.label}, at most {most:f}")
        return _BAD
    return found
