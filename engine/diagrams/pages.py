"""The machines as Markdown: one page each with picture, key, states and rows, and one for all.

The text is the same for the same tables, so it is committed and a test fails when it is stale. It
holds no counts and no configured values: those change without the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.diagrams.arrows import Arrow, moving_arrows
from engine.diagrams.coverage import excuse
from engine.diagrams.docs import CallbackDoc, Docs, Effect, MachineDoc, RowDoc, StateDoc
from engine.diagrams.graphs import Overlay, mermaid
from engine.diagrams.keys import known, named_in
from engine.diagrams.loops import bounds_of
from engine.diagrams.overview import mermaid as overview_text

HOME = "README.md"
#: With more arrows a viewer of Markdown makes a picture with triggers too wide to be read.
NAMED_MAX = 10
_GENERATED = (
    "*Generated from the tables that run: `unwind diagram --format md --out docs/machines`. "
    "`make test` fails while this page is stale.*"
)
_READING = (
    "A frame holds states of a kind. An arrow that leaves a frame stands for one from each state "
    "in it, and one that enters a frame for one to each. The number of an arrow leads to its rows "
    "in the key below. Rows that keep the state are in the table of rows alone."
)
_ROWS = (
    "Rows of one trigger are tried from the top; the first whose guards hold is taken. A trigger "
    "is sent by a machine (`close`), because of a fact (`TruthRead`), or by a timer. What a row "
    "does is what it may do at most, not always all of it: `tells leg start` sends `start` to the "
    "leg machine, `arms` and `stops` are about timers, `Place` and other names with a capital are "
    "commands to the venue, an `Alarm` calls a person. `Bounded` says why a row cannot be taken "
    "again and again without end."
)
_READS = "The column `reads` names keys of the configuration; `docs/config.md` explains each."
_FLOWS = (
    "Facts come from above: from our own process, from the venues and from people. What machines "
    "tell each other is between them, in small letters. Below are the commands that venues get "
    "and the alarms that people get."
)


def pages(docs: Docs) -> dict[str, str]:
    """Every page by file name."""
    found = {HOME: home(docs)}
    for machine in docs.machines:
        found[f"{machine.name}.md"] = page(docs, machine)
    return found


def home(docs: Docs) -> str:
    """The page of all machines: who commands whom, what two legs ask of each other."""
    lines = ["# The machines", "", _GENERATED, ""]
    lines += ["| machine | what it is | states | rows |", "|---|---|---|---|"]
    for machine in reversed(docs.machines):
        lines.append(
            f"| [{machine.name}]({machine.name}.md) | {_first_sentence(machine)} "
            f"| {len(machine.states)} | {len(machine.rows)} |"
        )
    lines += ["", "## Who commands whom", "", _FLOWS, ""]
    lines += ["```mermaid", overview_text(docs).rstrip(), "```", ""]
    lines += ["## Two legs together", ""]
    lines += ["What a leg must reach, by what the other one is doing.", ""]
    lines += ["| the other leg is | this leg is on | it must reach | why |", "|---|---|---|---|"]
    lines += [
        f"| {rule.a} | {rule.b} | {rule.rung or '(nothing)'} | {_cell(rule.why)} |"
        for rule in docs.joint
    ]
    return "\n".join([*lines, ""])


def page(docs: Docs, machine: MachineDoc) -> str:
    """The page of one machine."""
    arrows = moving_arrows(machine)
    parts = [
        f"# The {machine.name} machine\n\n{_GENERATED}\n\n[All machines]({HOME})",
        _about(machine),
        f"## Picture\n\n{_READING}\n\n```mermaid\n{_picture(machine, arrows)}\n```",
        _key(machine, arrows),
        _states(machine),
        _rows(machine),
        _callbacks(machine, "Guards", _guards_of(machine)),
        _callbacks(machine, "Actions", _actions_of(machine)),
    ]
    return "\n\n".join(parts) + "\n"


# ---------------------------------------------------------------- parts


def _about(machine: MachineDoc) -> str:
    """What the module says of itself; a list after a line of its own is one for every viewer."""
    return machine.about.replace("\nInvariants\n", "\n**Invariants**\n\n")


def _picture(machine: MachineDoc, arrows: Sequence[Arrow]) -> str:
    brief = len(arrows) > NAMED_MAX
    return mermaid(machine, arrows, Overlay(machine.name), brief=brief).rstrip()


def _first_sentence(machine: MachineDoc) -> str:
    first = machine.about.partition("\n")[0]
    return _cell(first.partition(": ")[2] or first)


def _key(machine: MachineDoc, arrows: Sequence[Arrow]) -> str:
    lines = ["## Key", "", "| arrow | from | to | rows |", "|---|---|---|---|"]
    for arrow in arrows:
        rows = "; ".join(
            _cell(text)
            for text in dict.fromkeys(_brief(machine.rows[number]) for number in arrow.rows)
        )
        lines.append(f"| {arrow.number} | {arrow.source.name} | {arrow.dest.name} | {rows} |")
    return "\n".join(lines)


def _brief(row: RowDoc) -> str:
    guards = " and ".join(f"`{name}`" for name in row.guards)
    trigger = f"[{row.trigger}](#{row.trigger})"
    return f"{trigger} if {guards}" if guards else trigger


def _states(machine: MachineDoc) -> str:
    lines = ["## States", "", "| state | meaning | deadline | begin, end |", "|---|---|---|---|"]
    for state in machine.states:
        place = "initial" if state.name == machine.initial else ""
        if state.terminal:
            place = "terminal"
        lines.append(f"| `{state.name}` | {_cell(state.meaning)} | {deadline(state)} | {place} |")
    return "\n".join(lines)


def deadline(state: StateDoc) -> str:
    """What bounds the stay in a state, or why nothing does."""
    parts = [f"`{tag}`: {with_keys(length)}" for tag, length in state.timers]
    if state.unbounded:
        reason = with_keys(state.unbounded)
        parts.append(reason if parts else f"none: {reason}")
    return _cell("; ".join(parts))


def with_keys(text: str) -> str:
    """A text with the configuration keys that it names set off and in full."""
    for key in named_in(text):
        text = text.replace(key.short, f"`{key.path}`")
    return text


def _rows(machine: MachineDoc) -> str:
    lines = ["## Rows", "", _ROWS]
    for trigger, rows in _by_trigger(machine):
        origins = ", ".join(machine.origins[trigger]) or "nobody"
        lines += ["", f"### `{trigger}`", "", f"Sent by {origins}.", ""]
        lines += ["| from | to | if | does | why |", "|---|---|---|---|---|"]
        for group in rows:
            lines.append(_line(machine, group))
    return "\n".join(lines)


def _by_trigger(machine: MachineDoc) -> Iterable[tuple[str, list[list[RowDoc]]]]:
    """Rows by trigger; those that differ in their source alone stand in one line."""
    for trigger in machine.origins:
        lines: dict[tuple[object, ...], list[RowDoc]] = {}
        for row in machine.rows:
            if row.trigger == trigger:
                same = (row.dest, row.guards, row.actions, row.why, row.late, row.bound)
                lines.setdefault((*same, row.untaken), []).append(row)
        yield trigger, list(lines.values())


def _line(machine: MachineDoc, group: list[RowDoc]) -> str:
    row = group[0]
    sources = ", ".join(f"`{each.source}`" for each in group)
    dest = f"`{row.dest}`" if row.dest else "(stays)"
    guards = " and ".join(f"`{name}`: {machine.callbacks[name].doc}" for name in row.guards)
    does = "; ".join(dict.fromkeys(map(in_words, machine.effects(row)))) or "nothing"
    reasons = [row.why or _why_of(machine, row)]
    if row.late:
        reasons.append("Leaves a terminal state.")
    if machine.effects(row):
        reasons.append(bound(machine, row))
    if row.untaken:
        reasons.append(f"No scenario takes it: {excuse(row)}.")
    why = " ".join(_sentence(reason) for reason in reasons if reason)
    return f"| {sources} | {dest} | {_cell(guards) or 'always'} | {_cell(does)} | {_cell(why)} |"


def bound(machine: MachineDoc, row: RowDoc) -> str:
    """What ends a loop through this row, where something has to."""
    word, colon, rest = row.bound.partition(":")
    if colon:
        return f"Bounded ({word}): {with_keys(rest.strip())}"
    keys = row.bound or ", ".join(bounds_of(machine, row))
    return f"Bounded by {with_keys(keys)}" if keys else ""


def _why_of(machine: MachineDoc, row: RowDoc) -> str:
    """What the first action says of itself, for a row without a reason of its own."""
    for name in row.actions:
        doc = machine.callbacks[name].doc
        if not doc.startswith("Nothing to do"):
            return doc
    return ""


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def in_words(effect: Effect) -> str:
    """One thing that a row may do."""
    if effect.kind == "command":
        return f"Alarm {effect.target}" if effect.name == "Alarm" else effect.name
    if effect.kind == "tell":
        return f"tells {effect.target.lower()} {effect.name}"
    if effect.kind == "arm":
        return f"arms {effect.name}"
    if effect.kind == "disarm":
        return "stops all timers" if effect.name == "*" else f"stops {effect.name}"
    return f"checks invariant {effect.name}"


def _guards_of(machine: MachineDoc) -> list[CallbackDoc]:
    names = dict.fromkeys(name for row in machine.rows for name in row.guards)
    return [machine.callbacks[name] for name in names]


def _actions_of(machine: MachineDoc) -> list[CallbackDoc]:
    names = dict.fromkeys(name for row in machine.rows for name in row.actions)
    return [machine.callbacks[name] for name in names]


def _callbacks(machine: MachineDoc, title: str, callbacks: list[CallbackDoc]) -> str:
    lines = [f"## {title}", "", _READS, "", "| name | what it says | reads |", "|---|---|---|"]
    for each in callbacks:
        keys = ", ".join(f"`{known()[field].path}`" for field in each.settings if field in known())
        lines.append(f"| `{each.name}` | {_cell(each.doc)} | {keys} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
