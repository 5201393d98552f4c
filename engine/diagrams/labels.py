"""Where the labels of a laid out graph stand: beside their arrows and off everything else.

Graphviz lays an arrow to a frame out as one to a state in it and cuts it off at the edge, so its
label may be left behind in what was cut, or stand on another one. Such labels are moved along what
is left of their arrow to the first free place. It must not move anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

#: A label further than this from its arrow is moved back to it. Points.
REACH = 42
#: Width of a character and height of a line, as wide as any common font has them. Points.
CHARACTER, LINE = 6.0, 13.5
#: Room between a label and its arrow.
ROOM = 3
#: Distance of the points that stand for the edge of a frame.
APART = 8
#: Points along each piece of an arrow; a long straight arrow is one piece.
PIECES = 32
#: Points per inch, in which Graphviz gives the size of nodes.
INCH = 72
#: Places that are tried along an arrow.
STEPS = 24

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle in points, by its edges."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Box:
        """The rectangle of that size around a point."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def inner(self) -> Box:
        """What is left without a margin: the text itself."""
        return Box(self.left + 5, self.bottom + 3, self.right - 5, self.top - 3)

    def shared(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0) * max(height, 0)

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside."""
        return self.left < point[0] < self.right and self.bottom < point[1] < self.top


def settle(graph: Any) -> None:
    """Move the labels of a graph that stand badly; it was laid out, and is drawn afterwards."""
    taken = [*_nodes(graph), *_titles(graph)]
    frames = list(_borders(graph))
    curves = {edge: curve for edge in graph.edges() if len(curve := _curve(edge.attr["pos"])) > 1}
    waiting = []
    for edge, curve in curves.items():
        if not edge.attr["lp"]:
            continue
        box = Box.around(*_point(edge.attr["lp"]), *_size(edge.attr["label"]))
        crossed = any(map(box.inner.holds, curve)) or any(box.shared(other) for other in taken)
        if _reach(box, curve) < REACH and not crossed:
            taken.append(box)
        else:
            waiting.append(edge)
    for edge in waiting:
        lines = frames + [point for curve in curves.values() for point in curve]
        box = _best(_places(curves[edge], *_size(edge.attr["label"])), taken, lines)
        taken.append(box)
        x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
        edge.attr["lp"] = f"{x:.1f},{y:.1f}"


# ---------------------------------------------------------------- what is there


def _nodes(graph: Any) -> Iterator[Box]:
    for node in graph.nodes():
        if node.attr["pos"]:
            width, height = float(node.attr["width"]) * INCH, float(node.attr["height"]) * INCH
            yield Box.around(*_point(node.attr["pos"]), width + 6, height + 6)


def _titles(graph: Any) -> Iterator[Box]:
    """The titles of the frames."""
    for frame in _framed(graph):
        place, width, height = (frame.graph_attr[key] for key in ("lp", "lwidth", "lheight"))
        if place:
            yield Box.around(*_point(place), float(width) * INCH, float(height) * INCH)


def _framed(graph: Any) -> Iterator[Any]:
    """All frames; what only holds nodes on one level is none."""
    for part in graph.subgraphs():
        if part.name.startswith("cluster"):
            yield part
        yield from _framed(part)


def _borders(graph: Any) -> Iterator[Point]:
    """Points along the edges of the frames."""
    for frame in _framed(graph):
        if frame.graph_attr["style"] != "invis" and frame.graph_attr["bb"]:
            left, bottom, right, top = map(float, frame.graph_attr["bb"].split(","))
            for step in range(int(right - left) // APART):
                yield from ((left + step * APART, y) for y in (bottom, top))
            for step in range(int(top - bottom) // APART):
                yield from ((x, bottom + step * APART) for x in (left, right))


def _point(text: str) -> Point:
    x, y = text.split(",")[:2]
    return float(x), float(y)


def _size(label: str) -> tuple[float, float]:
    lines = label.split("\\n")
    return max(map(len, lines)) * CHARACTER, len(lines) * LINE


def _curve(position: str) -> list[Point]:
    """Points along an arrow, which Graphviz gives as cubic Bezier pieces."""
    points = [_point(part) for part in position.split() if part[0] not in "se"]
    found = points[:1]
    for start in range(0, len(points) - 3, 3):
        a, b, c, d = points[start : start + 4]
        for step in range(1, PIECES + 1):
            t = step / PIECES
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            parts = list(zip(weights, (a, b, c, d), strict=True))
            found.append((sum(w * p[0] for w, p in parts), sum(w * p[1] for w, p in parts)))
    return found


def _reach(box: Box, curve: Iterable[Point]) -> float:
    """How far the edge of a box is from the nearest point of a curve."""
    return min(
        max(box.left - x, x - box.right, 0) + max(box.bottom - y, y - box.top, 0) for x, y in curve
    )


# ---------------------------------------------------------------- where it could be


def _places(curve: Sequence[Point], width: float, height: float) -> Iterator[Box]:
    """Places beside an arrow, from its middle outwards."""
    count = len(curve)
    order = sorted(
        {round(step * (count - 1) / STEPS) for step in range(1, STEPS)},
        key=lambda index: abs(index - count / 2),
    )
    aside, above = width / 2 + ROOM, height / 2 + ROOM
    for index in order:
        x, y = curve[index]
        for dx, dy in ((aside, 0), (-aside, 0), (0, above), (0, -above)):
            yield Box.around(x + dx, y + dy, width, height)


def _best(places: Iterable[Box], taken: Sequence[Box], lines: Sequence[Point]) -> Box:
    """The first free place, else the one that is crossed least."""

    def cost(box: Box) -> float:
        crossed = sum(box.holds(point) for point in lines)
        return sum(box.shared(each) for each in taken) + 5 * crossed

    best, least = None, float("inf")
    for box in places:
        here = cost(box)
        if here < least:
            best, least = box, here
        if not here:
            break
    assert best is not None, "a curve has places along it"
    return best
