"""Pictures of a machine through the graph support of `transitions`: Mermaid, dot, SVG, PNG.

A throw-away graph machine is built from the arrows of a machine (it is never the one that runs),
and its graph is laid out anew where frames are concerned, since Graphviz draws an arrow to a frame
as one to a state in it, cut off at the edge. The text of Mermaid is the same for the same table;
that of the other formats depends on the fonts of the host.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import msgspec
from msgspec import Struct
from transitions.extensions import HierarchicalGraphMachine
from transitions.extensions.nesting import NestedState

from engine.diagrams.arrows import SEPARATOR, Arrow, End, Groups
from engine.diagrams.docs import MachineDoc, StateDoc
from engine.diagrams.labels import settle

#: Between the names of nested states. The library's own default stands in names of ours, and one
#: of its engines reads it from this class alone.
NestedState.separator = "__"

INK = "#334155"
FRAME = "#94a3b8"
#: One colour per place that arrows lead to, dark enough for text on white.
PALETTE = (
    "#1d4ed8", "#b45309", "#15803d", "#a21caf", "#0e7490", "#b91c1c", "#4d7c0f", "#6d28d9",
    "#be185d", "#475569", "#92400e", "#0f766e",
)  # fmt: skip
#: A machine with more arrows than this is drawn with its frames side by side.
WIDE = 24
#: What a picture says about itself under its title, where no page around it does.
KEY = (
    "Begins at the dot, ends in a double border.",
    "An arrow at a frame stands for every state in it.",
    "Label: number in the key of its page, triggers, +N for N more.",
    "What keeps the state is not drawn.",
)
#: What other arrows make of that.
UNFOLDED = {KEY[1]: "", KEY[2]: "Label: a number, triggers, +N for N more."}
LOOPS = {KEY[3]: "A loop keeps the state and does something."}
#: What `KEY` leaves out, for pictures whose arrows no overlay colours.
TINTED = "An arrow has the colour of where it leads."
FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"


class Look(Struct, frozen=True):
    """How one state or arrow is to look; what is empty stays as it is by default.

    `color` is that of lines, `ink` of an arrow's label, `mark` a sign before the label for pictures
    without colours, `note` a line of its own below.
    """

    color: str = ""
    ink: str = ""
    fill: str = ""
    text: str = ""
    width: str = ""
    dashed: bool = False
    mark: str = ""
    note: str = ""


class Overlay(Struct, frozen=True):
    """Looks by state name and by arrow number, a title, and what explains the looks.

    A picture without a title stands in a page that has a title and a key of its own.
    """

    title: str = ""
    states: Mapping[str, Look] = {}
    arrows: Mapping[int, Look] = {}
    key: tuple[str, ...] = (*KEY, TINTED)


class MissingGraphviz(Exception):
    """The package that brings Graphviz along is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "SVG, PNG, dot and HTML need the package pygraphviz, which brings Graphviz along: "
            "pip install 'unwind[diagrams]', or make setup in a checkout"
        )


class _Labelled(NestedState):
    """A state of the throw-away machine; the library draws a label where there is one."""

    def __init__(self, *args: Any, label: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label = label or self._name


class _Drawn(HierarchicalGraphMachine):
    """The throw-away machine, in our colours."""

    state_cls = _Labelled
    machine_attributes: ClassVar = {"directed": True, "strict": False, "rankdir": "TB"}
    style_attributes: ClassVar = {
        "node": {
            "": {},
            "default": {
                "style": "rounded,filled",
                "shape": "box",
                "fillcolor": "white",
                "color": INK,
            },
        },
        "edge": {"default": {"color": INK}},
        "graph": {"default": {"color": FRAME, "style": "rounded"}},
    }


def _identity(end: End, groups: Groups) -> str:
    """The name of a state or frame among nested states."""
    frame = end.name if end.is_group else groups.parent(end)
    parts = [part.replace(" ", "_") for part in frame.split(SEPARATOR)] if frame else []
    return NestedState.separator.join(parts if end.is_group else [*parts, end.name])


def _nested(frame: str, groups: Groups) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = []
    for end in groups.children(frame):
        last = end.name.rpartition(SEPARATOR)[2]
        state: dict[str, Any] = {"name": last.replace(" ", "_"), "label": last}
        if end.is_group:
            state["children"] = _nested(end.name, groups)
        states.append(state)
    return states


def _graph(
    machine: MachineDoc,
    arrows: Sequence[Arrow],
    overlay: Overlay,
    engine: str,
    *,
    brief: bool = False,
) -> Any:
    groups = Groups(machine)
    drawn = _Drawn(
        model=None,
        states=_nested("", groups),
        initial=_identity(End(machine.initial), groups),
        transitions=[
            {
                "trigger": f"arrow{arrow.number}",
                "source": _identity(arrow.source, groups),
                "dest": _identity(arrow.dest, groups),
                "label": label(arrow, overlay, brief=brief),
            }
            for arrow in arrows
        ],
        auto_transitions=False,
        graph_engine=engine,
        title=titled(overlay.title or machine.name),
    )
    return drawn.graph_cls(drawn).get_graph()


def label(arrow: Arrow, overlay: Overlay, *, brief: bool = False) -> str:
    """Number and triggers of an arrow, as a picture shows them; the number alone when brief."""
    look = overlay.arrows.get(arrow.number, Look())
    text = f"{look.mark} {arrow.number} {'' if brief else arrow.short}".strip()
    return text + (f" ({look.note})" if look.note else "")


# ---------------------------------------------------------------- Mermaid


def titled(text: str) -> str:
    """A title as Mermaid reads it: a setting in YAML, where a bare colon would end it."""
    return f"title: {msgspec.json.encode(text).decode()}"


def mermaid(
    machine: MachineDoc,
    arrows: Sequence[Arrow],
    overlay: Overlay | None = None,
    *,
    brief: bool = False,
) -> str:
    """The picture as Mermaid text (`stateDiagram-v2`); brief where a key explains the numbers."""
    overlay = overlay or Overlay()
    text: str = _graph(machine, arrows, overlay, "mermaid", brief=brief).draw(None)
    groups = Groups(machine)
    lines = [line.rstrip() for line in text.splitlines()]
    lines = [line for line in lines if "classDef" not in line and "Class " not in line]
    for state in machine.states:
        name = _identity(End(state.name), groups)
        if state.terminal:
            lines.append(f"  {name} --> [*]")
    for number, (name, look) in enumerate(sorted(overlay.states.items())):
        style = {"fill": look.fill, "stroke": look.color, "color": look.text}
        parts = ",".join(f"{key}:{value}" for key, value in style.items() if value)
        if parts:
            lines.append(f"  classDef look{number} {parts}")
            lines.append(f"  class {_identity(End(name), groups)} look{number}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- Graphviz


def dot(machine: MachineDoc, arrows: Sequence[Arrow], overlay: Overlay | None = None) -> str:
    """The picture as dot text, not laid out. Raises MissingGraphviz."""
    text: str = _laid(machine, arrows, overlay or Overlay()).to_string()
    return text


def draw(
    machine: MachineDoc, arrows: Sequence[Arrow], kind: str, overlay: Overlay | None = None
) -> bytes:
    """The picture as `svg` or `png`. Raises MissingGraphviz."""
    graph = _laid(machine, arrows, overlay or Overlay())
    if kind == "png":
        graph.graph_attr["dpi"] = "110"
    return rendered(graph, kind)


def rendered(graph: Any, kind: str) -> bytes:
    """Lay a graph out with dot, put labels beside what is left of their arrows, and draw it."""
    with _quiet():
        graph.layout(prog="dot")
        settle(graph)
        data: bytes = graph.draw(format=kind)
    return data


def require_graphviz() -> Any:
    """The package that brings Graphviz along. Raises MissingGraphviz."""
    try:
        import pygraphviz  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingGraphviz from error
    return pygraphviz


def _laid(machine: MachineDoc, arrows: Sequence[Arrow], overlay: Overlay) -> Any:
    require_graphviz()
    graph = _graph(machine, arrows, overlay, "pygraphviz")
    graph.graph_attr.update(
        compound="true",
        nodesep="0.35",
        ranksep="0.5",
        fontname=FONT,
        fontsize="12",
        label="\\l".join((overlay.title, *overlay.key, "")) if overlay.title else "",
        labelloc="t",
        labeljust="l",
        bgcolor="white",
        tooltip=machine.name,
    )
    if len(arrows) > WIDE:
        graph.graph_attr.update(newrank="true", ranksep="0.3")
    graph.node_attr.update(fontname=FONT, fontsize="14", margin="0.14,0.06")
    graph.edge_attr.update(fontname=FONT, fontsize="11", arrowsize="0.8")
    groups = Groups(machine)
    for state in machine.states:
        _dress(graph.get_node(_identity(End(state.name), groups)), machine, state, overlay)
    _anchor(graph, machine, arrows, overlay)
    _frames(graph)
    _begin(graph, machine, groups)
    return graph


def colors(machine: MachineDoc) -> dict[str, str]:
    """The colour of each state and frame, which the arrows that lead there share."""
    groups = Groups(machine)
    ends = [state.name for state in machine.states] + groups.names
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(ends)}


def _dress(node: Any, machine: MachineDoc, state: StateDoc, overlay: Overlay) -> None:
    look = overlay.states.get(state.name, Look())
    node.attr.update(
        id=f"{machine.name}-state-{state.name}",
        label=f"{look.mark} {state.name}".strip() + (f"\\n{look.note}" if look.note else ""),
        color=look.color or colors(machine)[state.name],
        fillcolor=look.fill or "white",
        fontcolor=look.text or "#0f172a",
        penwidth="1.4",
        tooltip=state.meaning,
    )
    if state.terminal:
        node.attr["peripheries"] = "2"
    if look.dashed:
        node.attr["style"] = "rounded,filled,dashed"


def _anchor(graph: Any, machine: MachineDoc, arrows: Sequence[Arrow], overlay: Overlay) -> None:
    """Draw every arrow between two states, cut off where it meets the frame that it stands for."""
    groups = Groups(machine)
    for edge in list(graph.edges()):
        graph.delete_edge(edge)
    for name in groups.names:
        _hide(graph.get_node(_identity(End(name, True), groups)))
    used: set[tuple[str, str]] = {
        (arrow.source.name, arrow.dest.name)
        for arrow in arrows
        if not (arrow.source.is_group or arrow.dest.is_group)
    }
    tint = colors(machine)
    for arrow in arrows:
        source, dest = _anchors(arrow, groups, used)
        used.add((source, dest))
        look = overlay.arrows.get(arrow.number, Look())
        color = look.color or tint[arrow.dest.name]
        ink = look.ink or (INK if look.color else color)
        attributes = {
            "id": f"{machine.name}-arrow-{arrow.number}",
            "label": _broken(label(arrow, overlay)),
            "color": color,
            "fontcolor": ink,
            "penwidth": look.width or "1.1",
            "tooltip": f"{arrow.source.name} to {arrow.dest.name}: {', '.join(arrow.triggers)}",
        }
        attributes["labeltooltip"] = attributes["tooltip"]
        if look.dashed:
            attributes["style"] = "dashed"
        if machine.state(source).terminal and len(arrows) > WIDE:
            attributes["constraint"] = "false"  # what goes on after an end leads back up
        for end, key in ((arrow.source, "ltail"), (arrow.dest, "lhead")):
            if end.is_group:
                attributes[key] = f"cluster_{_identity(end, groups)}"
        graph.add_edge(
            _identity(End(source), groups),
            _identity(End(dest), groups),
            key=str(arrow.number),
            **attributes,
        )


def _hide(anchor: Any) -> None:
    """Make the library's anchor of a frame take no room; nothing is drawn to it."""
    anchor.attr.update(style="invis", width="0", height="0", fixedsize="true", label="")


def _anchors(arrow: Arrow, groups: Groups, used: set[tuple[str, str]]) -> tuple[str, str]:
    """Two states to draw an arrow between: the middle of a frame, and no pair twice if possible."""
    sources, dests = _middle_first(groups, arrow.source), groups.leaves(arrow.dest)
    pairs = [(a, b) for a in sources for b in dests if a != b or arrow.source == arrow.dest]
    return next((pair for pair in pairs if pair not in used), pairs[0])


def _middle_first(groups: Groups, end: End) -> list[str]:
    leaves = groups.leaves(end)
    middle = len(leaves) // 2
    return sorted(leaves, key=lambda name: abs(leaves.index(name) - middle))


def _broken(text: str) -> str:
    """A label on two lines, with room around it."""
    head, comma, tail = text.partition(", ")
    return f" {head}{comma.strip()} \\n {tail} " if comma else f" {text} "


def _frames(graph: Any) -> None:
    """Frames as quiet backgrounds, without the anchors that the library puts into them."""
    for frame in list(graph.subgraphs()):
        if frame.name.endswith("_root"):
            frame.graph_attr.update(rank="", style="invis")
            continue
        frame.graph_attr.update(
            rank="",
            style="rounded,filled",
            fillcolor="#64748b14",
            color=FRAME,
            fontname=FONT,
            fontsize="12",
            fontcolor="#64748b",
            labeljust="l",
            penwidth="0.8",
        )
        _frames(frame)


def _begin(graph: Any, machine: MachineDoc, groups: Groups) -> None:
    """A dot from which an arrow leads to the first state."""
    graph.add_node("begin", shape="point", width="0.12", fillcolor=INK, color=INK, label="")
    graph.add_edge("begin", _identity(End(machine.initial), groups), color=INK)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the C libraries print to themselves: warnings about the font files of the host."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
