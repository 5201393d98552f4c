"""`unwind why`: one plain sentence per transition: which fact, which guards, which values decided.

The values are those that the guards read when the row was chosen; configured ones stand under their
key. It must not interpret: a guard says itself what it asks, a row why it is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.diagrams.keys import ConfigKey, known, named_in, shown
from engine.story.story import Move, Step, Story, rules_of
from engine.story.words import SHOWN_MAX, held, said
from engine.words import TABLES
from machines.close_model import Close
from machines.leg_model import Leg
from machines.messages import Alarm, Cancel, Place, TimerFired
from machines.table import Row
from machines.types import NS, RUNGS, CloseSettings

#: Settings that decide at which price an order of a rung is placed.
_PRICING = ("price", "inside_attempts", "slippage_max_bps")


def reasons(story: Story, *, everything: bool = False) -> list[str]:
    """The sentences of a story, in order.

    Rows that keep the state are told where they placed, cancelled or alarmed; `everything` tells
    them all.
    """
    return [
        sentence(story, step, move)
        for step in story.steps
        for move in step.moves
        if everything or move.moves or acts(step, move)
    ]


def acts(step: Step, move: Move) -> bool:
    """Whether a row that keeps the state did something that a trader wants to know of."""
    names = {action.__name__ for action in _row(move).actions}
    placed = any(isinstance(command, Place) for command, _ in step.commands)
    alarmed = any(isinstance(command, Alarm) for command, _ in step.commands)
    return ("place_order" in names and placed) or ("call_person" in names and alarmed)


def raised(step: Step, move: Move) -> bool:
    """Whether the machine of a row called a person in that step."""
    return any(
        isinstance(command, Alarm) and command.machine == move.transition.id
        for command, _ in step.commands
    )


def sentence(story: Story, step: Step, move: Move) -> str:
    """One transition as one sentence."""
    transition = move.transition
    who = f"{transition.machine} {transition.id}"
    if move.moves:
        meaning = TABLES[transition.machine].states[transition.dest].meaning
        what = f"{who} goes from {transition.source} to {transition.dest} ({meaning})"
    else:
        what = f"{who} stays {transition.source}"
    done = _done(step, move)
    if done:
        what += f" and will {done}"
    parts = [f"{what} because {_cause(step, move)}", *_why(move)]
    values = _values(story, move)
    decided = f" [{', '.join(values)}]" if values else ""
    return f"{clock(move.at - story.origin)} s: {'; '.join(parts)}{decided}."


def clock(span: int) -> str:
    """Seconds with three decimals."""
    return f"{span / NS:.3f}"


def _cause(step: Step, move: Move) -> str:
    if not move.because:
        return step.text
    return f"{move.because} ({step.text})"


def _why(move: Move) -> Iterable[str]:
    """The row's own reason, and what the guards say that let it be taken."""
    row = _row(move)
    docs = []
    for asked in held(move.asked):
        doc = next((g.__doc__ or "" for g in row.guards if g.__name__ == asked.guard), "")
        first = " ".join(doc.split()).split(". ")[0].rstrip(".")
        docs.append(first[:1].lower() + first[1:])
    words = set(row.why.split())
    if row.why and not any(len(words - set(doc.split())) < 2 for doc in docs):
        yield row.why
    yield from docs


def _row(move: Move) -> Row:
    return TABLES[move.transition.machine].rows[move.transition.row]


def _values(story: Story, move: Move) -> list[str]:
    """What decided: the values of the guards that held, else of those that did not."""
    asked = held(move.asked) or move.asked
    reads = [read for each in asked for read in each.reads]
    values = said(reads, rules_of(story))
    if any(action.__name__ == "place_order" for action in _row(move).actions):
        values += _pricing(move.model, _rung_of(move))
    values += _timed(move)
    # What is configured comes last in most guards, so it is not what gives way.
    configured = [each for each in values if " = " in each]
    others = [each for each in values if " = " not in each and not each.endswith(" dead")]
    return others[: max(SHOWN_MAX - len(configured), 3)] + configured[:SHOWN_MAX]


def _rung_of(move: Move) -> int:
    """The rung on which a leg stood when the row was taken."""
    source = move.transition.source
    return RUNGS.index(source) if source in RUNGS else 0


def _pricing(leg: Leg, rung: int) -> list[str]:
    """The settings that price an order on a rung of the leg."""
    settings = (
        leg.settings.passive_limit, leg.settings.aggressive_limit, leg.settings.market
    )[rung]  # fmt: skip
    return [
        _configured(known()[type(settings).__name__, name], settings)
        for name in _PRICING
        if hasattr(settings, name)
    ]


def _timed(move: Move) -> list[str]:
    """The settings behind the timer that a row was taken on."""
    message, model = move.message, move.model
    if not isinstance(message, TimerFired) or not isinstance(model, Leg | Close):
        return []
    state = TABLES[move.transition.machine].states[move.transition.source]
    for part in state.deadline.split(";"):
        tag, _, length = part.partition(":")
        if tag.strip() == message.tag:
            return [
                _configured(key, _holder(key, model.settings))
                for key in named_in(length)
                if key.path.startswith("close.")
            ]
    return []


def _holder(key: ConfigKey, settings: CloseSettings) -> object:
    part, dot, _ = key.short.rpartition(".")
    return getattr(settings, part) if dot else settings


def _configured(key: ConfigKey, settings: object) -> str:
    return f"{key.path} = {shown(key, getattr(settings, key.field))}"


def _done(step: Step, move: Move) -> str:
    """The commands of the step that this machine's row is behind."""
    names = {action.__name__ for action in _row(move).actions}
    texts = []
    for command, text in step.commands:
        if isinstance(command, Place) and "place_order" in names:
            if text.startswith(f"place {move.transition.id}#"):
                texts.append(text)
        elif isinstance(command, Cancel) and move.transition.machine == "order":
            if text == f"cancel {move.transition.id}":
                texts.append(text)
        elif isinstance(command, Alarm) and command.machine == move.transition.id:
            texts.append(f"raise {text}")
    return ", ".join(texts)
