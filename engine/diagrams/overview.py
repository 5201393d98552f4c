"""How the machines command each other: who tells whom what, from a person's request to the venue.

Read from what guards, actions and the core's handlers may do, so that a new message shows up by
itself. It must not name a machine or message of its own, but for who a fact comes from.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from engine.diagrams.docs import Docs
from engine.diagrams.graphs import FONT, FRAME, INK, PALETTE, rendered, require_graphviz

#: Who is outside, once for what comes from there and once for what goes there: above and below.
PEOPLE, VENUE, PROCESS = "people ask", "venue tells", "process"
ALARMED, ASKED = "people are alarmed", "venue is asked"
ABOVE, BELOW = (PROCESS, VENUE, PEOPLE), (ASKED, ALARMED)
#: Facts that people or the process cause; every other one comes from a venue.
_FROM = {
    "CloseRequested": PEOPLE,
    "OperatorCommanded": PEOPLE,
    "EngineStarted": PROCESS,
    "CommandRefused": PROCESS,
    "OrderSent": PROCESS,
    "a defect of ours": PROCESS,
}


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
                    dest = ALARMED if effect.name == "Alarm" else ASKED
                    word = effect.target if effect.name == "Alarm" else effect.name
                    note(machine.name, dest, word)
    rank = _ranked(docs)
    order = sorted(found, key=lambda pair: (rank.index(pair[0]), rank.index(pair[1])))
    return [Flow(*pair, tuple(found[pair])) for pair in order]


def _ranked(docs: Docs) -> list[str]:
    """Everyone, from those who ask down to those who are asked."""
    return [*ABOVE, *(machine.name for machine in reversed(docs.machines)), *BELOW]


def mermaid(docs: Docs) -> str:
    """The overview as Mermaid text (`flowchart`)."""
    lines = ["flowchart TB"]
    lines += [f"  {_identity(name)}([{name}])" for name in (*ABOVE, *BELOW)]
    lines += [f"  {machine.name}[{machine.name}]" for machine in reversed(docs.machines)]
    for flow in flows(docs):
        source, dest = map(_identity, (flow.source, flow.dest))
        lines.append(f'  {source} -->|"{"<br/>".join(flow.words)}"| {dest}')
    return "\n".join(lines) + "\n"


def _identity(name: str) -> str:
    return name.replace(" ", "_")


def graph(docs: Docs) -> Any:
    """The overview as a graph that is not laid out. Raises MissingGraphviz."""
    drawn = require_graphviz().AGraph(
        directed=True, strict=False, rankdir="TB", nodesep="0.4", ranksep="0.5", bgcolor="white"
    )
    drawn.node_attr.update(
        fontname=FONT, fontsize="16", shape="box", style="rounded,filled", fillcolor="white",
        color=INK, penwidth="1.4", margin="0.2,0.1",
    )  # fmt: skip
    drawn.edge_attr.update(fontname=FONT, fontsize="11", arrowsize="0.8")
    names = _ranked(docs)
    tint = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)}
    for name in names:
        outside = name in ABOVE or name in BELOW
        shape = {"shape": "ellipse", "color": FRAME} if outside else {"color": tint[name]}
        drawn.add_node(name, id=f"overview-state-{_identity(name)}", **shape)
    drawn.add_subgraph(ABOVE, name="above", rank="source")
    drawn.add_subgraph(BELOW, name="below", rank="sink")
    # What goes down orders the picture; answers go back up beside it.
    order = {name: number for number, name in enumerate(names)}
    for number, flow in enumerate(flows(docs), 1):
        drawn.add_edge(
            flow.source,
            flow.dest,
            key=str(number),
            id=f"overview-arrow-{number}",
            label="\\n".join(f" {word} " for word in flow.words),
            color=tint[flow.source],
            fontcolor=tint[flow.source],
            constraint="true" if order[flow.source] < order[flow.dest] else "false",
        )
    return drawn


def draw(docs: Docs, kind: str) -> bytes:
    """The overview as `svg` or `png`. Raises MissingGraphviz."""
    return rendered(graph(docs), kind)


def dot(docs: Docs) -> str:
    """The overview as dot text. Raises MissingGraphviz."""
    text: str = graph(docs).to_string()
    return text
