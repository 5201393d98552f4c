"""`unwind why`: one plain sentence per transition: which fact, which guards, which values decided.

The values are those that the guards read when the row was chosen; configured ones stand under their
key. It must not interpret: a guard says itself what it asks, a row why it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.diagrams.keys import ConfigKey, by_short, named_in, shown
from engine.story.asked import held, said
from engine.story.probe import Asked, Read
from engine.story.story import Move, Step, Story, rules_of
from engine.story.words import GATES, MINIMA, clock
from engine.texts import printable
from engine.words import TABLES
from machines.close_model import Close
from machines.leg_model import Leg
from machines.messages import Alarm, Cancel, Place, TimerFired
from machines.order_model import Order
from machines.table import Row
from machines.types import MARKET, RUNGS, CloseSettings, VenueSettings

#: Values of guards that a sentence shows at the most.
SHOWN_MAX = 12
#: Settings that decide the price of an order, by the word of why it has that price.
_PRICING = {
    "passive": ("passive_limit.price",),
    "inside": ("aggressive_limit.inside_attempts", "aggressive_limit.slippage_max_bps"),
    "touch": ("aggressive_limit.inside_attempts", "aggressive_limit.slippage_max_bps"),
    "break_even": ("break_even_max_deviation_pct", "aggressive_limit.slippage_max_bps"),
    "market": ("market.slippage_max_bps", "market.widen_bps", "market.slippage_abs_max_bps"),
    "bounded": ("market.slippage_max_bps", "market.widen_bps", "market.slippage_abs_max_bps"),
}
#: What was read that decides a placement; the guards before it have let it pass.
_PLACING = ("remaining", "bid", "ask", "mark", "book_max_age_ns", "attempts")
_SPREADS = ("spread_max_pct", "spread_max_urgent_pct")
#: What was read that shuts a gate.
_GATE_READS = {
    "halt": ("halted",),
    "untrusted": ("trusted",),
    "venue_mode": ("mode",),
    "shut": (),
    "banned": (),
    "unready": (),
    "barred": (),
    "unfit": (),
    "position_read": (),
    "together": (),
    "balanced": (),
    "book": ("bid", "ask", "mark", "book_max_age_ns"),
    "spread": ("bid", "ask", "urgency", *_SPREADS),
}
#: What was read that makes a rest too small.
_MINIMUM_READS = {
    "below_lot": ("remaining", "lot"),
    "below_minimum_base": ("remaining", "min_qty"),
    "below_minimum_notional": ("remaining", "bid", "ask", "min_notional"),
}
#: Rules of an instrument that say nothing where no minimum decided.
_QUIET = ("lot", "min_notional")
#: Guards whose answer the note of a row gives exactly, and requests that give their reason.
_NOTED = ("gate_is_shut", "rest_is_untradeable")
_SAID_BY_CAUSE = ("escalate", "hold", "exhaust")


def reasons(story: Story, *, everything: bool = False) -> list[str]:
    """The sentences of a story, in order.

    Rows that keep the state are told where they placed, cancelled or alarmed; `everything` tells
    them all.
    """
    return [text for _, _, text in explained(story, everything=everything)]


def explained(story: Story, *, everything: bool = False) -> Iterator[tuple[Step, Move, str]]:
    """The same with what each sentence is about; a state is explained where it first appears."""
    seen: set[tuple[str, str]] = set()
    for step in story.steps:
        for move in step.moves:
            if everything or move.moves or acts(step, move):
                entered = (move.transition.machine, move.transition.dest)
                yield step, move, _sentence(story, step, move, new=entered not in seen)
                if move.moves:
                    seen.add(entered)


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


def _sentence(story: Story, step: Step, move: Move, *, new: bool) -> str:
    """One transition as one sentence; a state that is `new` is given with its meaning."""
    transition = move.transition
    who = f"{transition.machine} {transition.id}"
    if move.moves:
        explain = (new and move.note not in GATES) or move.outcome
        meaning = f" ({_meaning(move)})" if explain else ""
        what = f"{who} goes from {transition.source} to {transition.dest}{meaning}"
    else:
        what = f"{who} stays {transition.source}"
    done = _done(step, move)
    if done:
        what += f" and {done}"
    parts = [f"{what} because {_cause(step, move)}", *_why(move)]
    values = _values(story, step, move)
    decided = f" [{', '.join(values)}]" if values else ""
    return f"{clock(move.at - story.origin)} s: {'; '.join(parts)}{decided}."


def _meaning(move: Move) -> str:
    transition = move.transition
    if move.outcome and transition.dest == "reconciled":
        return f"ended: {move.outcome}"
    return TABLES[transition.machine].states[transition.dest].meaning


def _cause(step: Step, move: Move) -> str:
    if not move.because:
        return step.text
    return f"{move.because} ({step.text})"


def _why(move: Move) -> Iterable[str]:
    """The row's own reason, and what the guards say that let it be taken."""
    row = _row(move)
    note = GATES.get(move.note) or MINIMA.get(move.note)
    if note:
        yield note
    docs = []
    for asked in held(move.asked):
        if note and asked.guard in _NOTED:
            continue
        doc = next((g.__doc__ or "" for g in row.guards if g.__name__ == asked.guard), "")
        first = " ".join(doc.replace("`", "").split()).split(". ")[0].rstrip(".")
        docs.append(first[:1].lower() + first[1:])
    words = set(row.why.split())
    told = note or (move.because and move.transition.trigger in _SAID_BY_CAUSE) or echoes(move)
    if row.why and not told and not any(len(words - set(doc.split())) < 2 for doc in docs):
        yield row.why
    yield from docs


def echoes(move: Move) -> bool:
    """Whether a row's own reason repeats what sent its trigger: that an order is dead."""
    return move.because.endswith(" is dead") and "order is dead" in _row(move).why


def _row(move: Move) -> Row:
    return TABLES[move.transition.machine].rows[move.transition.row]


def _values(story: Story, step: Step, move: Move) -> list[str]:
    """What decided: the values of the guards that held, else of those that did not."""
    row = _row(move)
    asked = held(move.asked) or move.asked
    named = {key.path for guard in row.guards for key in _named(guard.__doc__ or "")}
    if any(f"{path} = " not in " ".join(_texts(story, move, asked)) for path in named):
        # A guard may rest on what the one before it has read and found otherwise.
        asked = move.asked
    placed = _placed(step, move) if "place_order" in _actions(row) else None
    reads = [read for each in asked for read in each.reads if _counts(read, move, placed)]
    values = said(reads, rules_of(story), move.model)
    if placed is not None:
        keys = [by_short()[name] for name in _PRICING.get(placed.why, ())]
        values += [_configured(key, _holder(key, move.model.settings)) for key in keys]
    if step.first is not None and move.transition.machine in (step.first.transition.machine, "leg"):
        values += [each for each in _timed(step.first) if each not in values]
    if any(each.startswith("bid ") for each in values):
        # A mark stands in for a book alone.
        values = [each for each in values if not each.startswith("mark ")]
    # What is configured comes last in most guards, so it is not what gives way.
    configured = [each for each in values if " = " in each]
    others = [each for each in values if " = " not in each and not each.endswith(" dead")]
    return others[: max(SHOWN_MAX - len(configured), 3)] + configured[:SHOWN_MAX]


def _counts(read: Read, move: Move, placed: Place | None) -> bool:
    """Whether a value that was read decided, as far as the row says what did."""
    if placed is not None:
        market = move.rung == MARKET
        return read.name in _PLACING or (read.name in _SPREADS and not market)
    names = _GATE_READS.get(move.note, _MINIMUM_READS.get(move.note))
    return read.name not in _QUIET if names is None else read.name in names


def _texts(story: Story, move: Move, asked: list[Asked]) -> list[str]:
    reads = [read for each in asked for read in each.reads]
    return said(reads, rules_of(story), move.model)


def _named(doc: str) -> list[ConfigKey]:
    """The settings that a docstring names in backticks."""
    return [by_short()[word] for word in doc.split("`")[1::2] if word in by_short()]


def _actions(row: Row) -> set[str]:
    return {action.__name__ for action in row.actions}


def _placed(step: Step, move: Move) -> Place | None:
    """The order that a leg placed in a step."""
    for command, text in step.commands:
        if isinstance(command, Place) and text.startswith(f"place {move.transition.id}#"):
            return command
    return None


def _timed(move: Move) -> list[str]:
    """The settings behind the timer that a row was taken on."""
    message, model = move.message, move.model
    if not isinstance(message, TimerFired):
        return []
    if message.tag == "deadline":
        keys = [by_short()[f"{RUNGS[move.rung]}.timeout_s"]] if move.rung in range(3) else []
    else:
        state = TABLES[move.transition.machine].states[move.transition.source]
        parts = (part.partition(":") for part in state.deadline.split(";"))
        keys = [
            key for tag, _, span in parts if tag.strip() == message.tag for key in named_in(span)
        ]
    found = []
    for key in keys:
        if key.struct == VenueSettings.__name__ and isinstance(model, Order):
            found.append(
                f"{key.field.removesuffix('_ns')}_ms of {model.venue.name} = "
                f"{shown(key, getattr(model.venue, key.field))}"
            )
        elif key.path.startswith("close."):
            leg = model.leg if isinstance(model, Order) else model
            if isinstance(leg, Leg | Close):
                found.append(_configured(key, _holder(key, leg.settings)))
    return found


def _holder(key: ConfigKey, settings: CloseSettings) -> object:
    part, dot, _ = key.short.rpartition(".")
    return getattr(settings, part) if dot else settings


def _configured(key: ConfigKey, settings: object) -> str:
    return f"{key.path} = {shown(key, getattr(settings, key.field))}"


def _done(step: Step, move: Move) -> str:
    """What this machine's row did: the commands of the step that it is behind."""
    names = _actions(_row(move))
    texts = []
    for command, text in step.commands:
        if isinstance(command, Place) and "place_order" in names:
            if text.startswith(f"place {move.transition.id}#"):
                texts.append(text.replace("place ", "places ", 1))
        elif isinstance(command, Cancel) and move.transition.machine == "order":
            if text == f"cancel {move.transition.id}":
                texts.append("sends a cancel")
        elif isinstance(command, Alarm) and command.machine == move.transition.id:
            what = f"{command.kind.replace('_', ' ')}: {printable(command.text)}"
            texts.append(f"raises the alarm {what}")
    return " and ".join(texts)
