"""From a checked configuration to the parts it describes: instruments, venue settings, a core.

Shared by the live engine and the simulation, so that both run the same thing. It opens nothing and
starts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from engine.config import Config, Findings
from engine.config_scaling import profiles_of, scale_instruments
from machines.core import Core
from machines.types import Instrument, VenueSettings
from venues.profiles import Profile


def profiles(config: Config) -> dict[str, Profile]:
    """Each venue's profile with its overrides; the configuration has checked them."""
    return profiles_of(config.venues)


def venue_settings(config: Config, known: dict[str, Profile]) -> dict[str, VenueSettings]:
    """The core's view of each venue."""
    return {name: spec.settings(known[name].capabilities) for name, spec in config.venues.items()}


def instruments(
    config: Config,
    mentioned: Callable[[str], Iterable[Decimal]] | None = None,
) -> list[Instrument]:
    """The configured instruments in integers, in the order that gives them their index.

    `mentioned(key)` names further quantities (contracts) that the unit has to divide.
    """
    quantities = {
        key: [value * spec.multiplier for value in mentioned(key)] if mentioned is not None else []
        for key, spec in config.instruments.items()
    }
    findings = Findings()
    scaled = scale_instruments(
        config.venues, config.instruments, config.positions, findings, quantities
    )
    findings.raise_if_any()
    return list(scaled)


def build_core(
    config: Config,
    scaled: list[Instrument],
    settings: dict[str, VenueSettings],
    *,
    tracing: bool = True,
    recording: bool = True,
) -> Core:
    """A core without history."""
    return Core(
        scaled,
        settings.values(),
        config.pair_settings(),
        config.session,
        tracing=tracing,
        recording=recording,
    )
