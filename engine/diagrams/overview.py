"""How the machines command each other: who tells whom what, from a person's request to the venue.

Read from what guards, actions and the core's handlers may do, so that a new message shows up by
itself. It must not name a machine or message of its own, but for who a fact comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from engine.diagrams.docs import Docs
from engine.diagrams.graphs import FONT, FRAME, INK, PALETTE, rendered, require_graphviz

PEOPLE, VENUE, PROCESS = "people", "venue", "process"
#: Facts that people or the process cause; every other one comes from a venue.
_FROM = {
    "CloseRequested": PEOPLE,
    "OperatorCommanded": PEOPLE,
    "EngineStarted": PROCESS,
    "CommandRefused": PROCESS,
    "OrderSent": PROCESS,
    "a defect of ours": PROCESS,
}
#: Names on one line of a label.
PER_LINE = 3


class Flow(Struct, frozen=True):
    """What one sends another: triggers, facts or commands, in the order of the tables."""

    source: str
    dest: str
    words: tuple[str, ...]


def flows(docs: Docs) -> list[Flow]:
    """Every flow between machines, people, the process and the venues."""
    found: dict[tuple[str, str], dict[str, None]] = {}

    def note(source: str, dest: str, word: str) -> None:
        found.setdefault((source, dest), {}).setdefault(word)

    names = {machine.name for machine in docs.machines}
    for machine in docs.machines:
        for trigger, origins in machine.origins.items():
            for origin in origins:
                if origin in names:
                    if origin != machine.name:
                        note(origin, machine.name, trigger)
                elif origin != "timer":
                    note(_FROM.get(origin, VENUE), machine.name, origin)
    for machine in docs.machines:
        for callback in machine.callbacks.values():
            for effect in callback.effects:
                if effect.kind == "command":
                    dest = PEOPLE if effect.name == "Alarm" else VENUE
                    word = effect.target if effect.name == "Alarm" else effect.name
                    note(machine.name, dest, word)
    rank = [PEOPLE, PROCESS, *(machine.name for machine in reversed(docs.machines)), VENUE]
    order = sorted(found, key=lambda pair: (rank.index(pair[0]), rank.index(pair[1])))
    return [Flow(*pair, tuple(found[pair])) for pair in order]


def _lines(words: Sequence[str]) -> Iterable[str]:
    for start in range(0, len(words), PER_LINE):
        yield ", ".join(words[start : start + PER_LINE])


def mermaid(docs: Docs) -> str:
    """The overview as Mermaid text (`flowchart`)."""
    lines = ["flowchart TB"]
    lines += [f"  {name}(({name}))" for name in (PEOPLE, PROCESS, VENUE)]
    lines += [f"  {machine.name}[{machine.name}]" for machine in reversed(docs.machines)]
    for flow in flows(docs):
        text = "<br/>".join(_lines(flow.words))
        prefix = "alarm: " if flow.dest == PEOPLE else ""
        lines.append(f'  {flow.source} -->|"{prefix}{text}"| {flow.dest}')
    return "\n".join(lines) + "\n"


def graph(docs: Docs) -> Any:
    """The overview as a graph that is not laid out. Raises MissingGraphviz."""
    drawn = require_graphviz().AGraph(
        directed=True, strict=False, rankdir="TB", nodesep="0.6", ranksep="0.9", bgcolor="white"
    )
    drawn.node_attr.update(
        fontname=FONT, fontsize="15", shape="box", style="rounded,filled", fillcolor="white",
        color=INK, penwidth="1.4", margin="0.2,0.1",
    )  # fmt: skip
    drawn.edge_attr.update(fontname=FONT, fontsize="10", arrowsize="0.8")
    tint = {}
    names = [PEOPLE, PROCESS, *(machine.name for machine in reversed(docs.machines)), VENUE]
    for number, name in enumerate(names):
        tint[name] = PALETTE[number % len(PALETTE)]
        outside = name in (PEOPLE, PROCESS, VENUE)
        shape = {"shape": "ellipse", "color": FRAME} if outside else {"color": tint[name]}
        drawn.add_node(name, id=f"overview-state-{name}", **shape)
    chain = [name for name in names if name not in (PROCESS, "session")]
    for above, below in pairwise(chain):
        drawn.add_edge(above, below, key="chain", style="invis", weight="20")
    for number, flow in enumerate(flows(docs), 1):
        text = "\\n".join(f" {line} " for line in _lines(flow.words))
        drawn.add_edge(
            flow.source,
            flow.dest,
            key=str(number),
            id=f"overview-arrow-{number}",
            label=f" alarm: \\n{text}" if flow.dest == PEOPLE else text,
            color=tint[flow.source],
            fontcolor=tint[flow.source],
            # What goes down orders the picture; answers and alarms go back up beside it.
            constraint="true" if names.index(flow.source) < names.index(flow.dest) else "false",
        )
    return drawn


def draw(docs: Docs, kind: str) -> bytes:
    """The overview as `svg` or `png`. Raises MissingGraphviz."""
    return rendered(graph(docs), kind)


def dot(docs: Docs) -> str:
    """The overview as dot text. Raises MissingGraphviz."""
    text: str = graph(docs).to_string()
    return text
