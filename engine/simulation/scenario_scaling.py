"""Holds every number of a scenario against the integers that its instruments come to.

What the timeline says becomes ticks and units only while the file runs; what cannot become any, or
would add up to more than the core can hold, is a mistake of the file before that. Must not change
or run anything.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.config import Config, Findings, scale_instruments
from engine.config_values import join
from engine.feeds import note_bad_recording
from engine.simulation import actions
from engine.simulation.actions import Entry
from engine.simulation.mentions import Mentions
from machines.types import Instrument
from venues.instruments import base_to_contracts
from venues.numbers import UNITS_MAX, NumberRefused

#: The entries of one file, and where its mistakes go.
Timeline = tuple[Sequence[Entry], Findings]

#: Actions that may add to a position, whatever there is, and the numbers of those that do.
_MOVES = (actions.Fill, actions.Report, actions.Answer, actions.External)
_MOVED = ("qty", "cum")


def check_numbers(config: Config, timelines: Sequence[Timeline], findings: Findings) -> None:
    """Note in `findings` what no instrument can hold, and in each timeline's what no entry can.

    An instrument of which something is known to be wrong is left out.
    """
    files = [(Mentions(entries), noted) for entries, noted in timelines]
    whole = Mentions(entry for entries, _ in timelines for entry in entries)
    for key, spec in config.instruments.items():
        paths = [join("instruments", key), join("positions", key), join("venues", spec.venue)]
        if spec.venue in config.venues and not any(map(findings.about, paths)):
            _check_instrument(config, key, whole, files, findings)
    venues = {spec.venue for spec in config.instruments.values()}
    for entries, noted in timelines:
        for entry in entries:
            if isinstance(entry.action, actions.Answer):
                _check_answer(entry.label, entry.action, venues, noted)


def _check_instrument(
    config: Config,
    key: str,
    whole: Mentions,
    files: Sequence[tuple[Mentions, Findings]],
    findings: Findings,
) -> None:
    spec = config.instruments[key]
    sound = [_are_contracts(part, key, spec.multiplier, noted) for part, noted in files]
    if not all(sound):
        return
    held = {key: config.positions[key]} if key in config.positions else {}
    exact = {key: [value * spec.multiplier for value in whole.quantities(config, key)]}
    venue = {spec.venue: config.venues[spec.venue]}
    for rules in scale_instruments(venue, {key: spec}, held, findings, exact):
        note_bad_recording(spec, rules, findings)
        sound = [_have_steps(part, rules, noted) for part, noted in files]
        total = sum(abs(position.qty) for position in held.values()) / rules.base(1)
        if all(sound) and total + sum(_moves(whole, rules)) > UNITS_MAX:
            most = f"{Decimal(UNITS_MAX):.0E} times {rules.unit}"
            where = join("instruments", key)
            findings.add(where, key, f"must not be filled by more than {most}, all in all")


def _are_contracts(part: Mentions, key: str, multiplier: Decimal, noted: Findings) -> bool:
    """Note every change of a position in base units that is no number of contracts."""
    sound = True
    for mention in part.of(key):
        if mention.is_base:
            try:
                base_to_contracts(mention.value, multiplier)
            except NumberRefused as error:
                noted.add(mention.path, mention.value, f"must be {error.allowed}")
                sound = False
    return sound


def _have_steps(part: Mentions, rules: Instrument, noted: Findings) -> bool:
    """Note every number that does not become ticks or units."""
    sound = True
    for mention in part.of(rules.key):
        try:
            mention.steps(rules)
        except NumberRefused as error:
            sound = False
            if not noted.about(mention.path):
                noted.add(mention.path, mention.value, f"must be {error.allowed}")
    return sound


def _moves(whole: Mentions, rules: Instrument) -> Iterator[Decimal]:
    """How many units each action may add to a position."""
    for mention in whole.of(rules.key):
        if isinstance(mention.action, _MOVES) and mention.field in _MOVED:
            yield abs(mention.value) / (rules.base(1) if mention.is_base else rules.unit)


def _check_answer(label: str, answer: actions.Answer, venues: set[str], noted: Findings) -> None:
    """Note a cumulative that is in the units of no instrument."""
    if answer.cum is not None and answer.instrument is None and answer.venue not in venues:
        noted.add(f"{label}.answer.cum", answer.cum, "must be at a venue with an instrument")
