"""Settings that the machines read, under the names that a configuration file gives them.

Maps a field of a settings struct to its key, shows a value as the file writes it, and finds keys
that a text names. It must not hold a key or a default of its own.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct

from engine.config import Config
from engine.config_keys import AGGRESSIVE, CLOSE, MARKET, PASSIVE, SESSION, VENUE
from engine.config_reading import Key
from engine.config_values import MILLISECONDS, SECONDS
from machines.types import Capabilities, VenueSettings

Field = tuple[str, str]

_WORD = re.compile(r"[a-z_]+(?:\.[a-z_]+)?")


class ConfigKey(Struct, frozen=True):
    """One key: `path` as `docs/config.md` has it, `short` as a table of the machines names it."""

    path: str
    short: str
    struct: str
    field: str
    meaning: str
    key: Key | None = None


@cache
def known() -> dict[Field, ConfigKey]:
    """Every setting of the machines by (class, field)."""
    found: dict[Field, ConfigKey] = {}
    for section in (CLOSE, PASSIVE, AGGRESSIVE, MARKET, SESSION, VENUE):
        struct = VenueSettings.__name__ if section is VENUE else section.struct.__name__
        fields = VenueSettings.__struct_fields__ if section is VENUE else section.fields()
        prefix = section.path.removeprefix("close.") + "." if section.path.count(".") else ""
        for key in section.keys:
            if key.filled in fields:
                short = key.name if section is VENUE else prefix + key.name
                found[struct, key.filled] = ConfigKey(
                    f"{section.path}.{key.name}",
                    short,
                    struct,
                    key.filled,
                    key.meaning,
                    key,
                )
    for name in Capabilities.__struct_fields__:
        path = f"venues.NAME.override.{name}"
        found["Capabilities", name] = ConfigKey(
            path, f"override.{name}", "Capabilities", name, "a capability of the venue"
        )
    return found


@cache
def by_short() -> dict[str, ConfigKey]:
    """The same by short name."""
    return {key.short: key for key in known().values()}


def named_in(text: str) -> list[ConfigKey]:
    """The keys that a text names, in order."""
    found = [by_short()[word] for word in _WORD.findall(text) if word in by_short()]
    return list(dict.fromkeys(found))


def shown(key: ConfigKey, value: Any) -> str:
    """A value as the file writes it, with its unit where the name of the key does not end in it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if key.key is not None and key.key.kind in (SECONDS, MILLISECONDS):
        return f"{(Decimal(value) / key.key.kind.unit).normalize():f}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {each}" for name, each in value.items()) or "{}"
    return str(value)


def values(key: ConfigKey, config: Config) -> list[tuple[str, str]]:
    """What a configuration sets, as (for whom, value); the first is what holds in general."""
    if key.struct in ("VenueSettings", "Capabilities"):
        return _of_venues(key, config)
    if key.struct == "SessionSettings":
        return [("", shown(key, getattr(config.session, key.field)))]
    general = shown(key, _of_ladder(key, config.close))
    found = [("", general)]
    for name, pair in config.pairs.items():
        own = shown(key, _of_ladder(key, pair.close))
        if own != general:
            found.append((name, own))
    return found


def _of_ladder(key: ConfigKey, settings: Any) -> Any:
    part, dot, _ = key.short.rpartition(".")
    return getattr(getattr(settings, part) if dot else settings, key.field)


def _of_venues(key: ConfigKey, config: Config) -> list[tuple[str, str]]:
    from engine.assembly import profiles, venue_settings  # noqa: PLC0415 - only for a configuration

    found = []
    for name, settings in venue_settings(config, profiles(config)).items():
        holder = settings.capabilities if key.struct == "Capabilities" else settings
        found.append((name, shown(key, getattr(holder, key.field))))
    return found
