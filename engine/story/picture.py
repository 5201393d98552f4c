"""A story as a picture over time: prices with orders and fills, states, the rest, what is naked.

One SVG of its own making, so that it opens anywhere, with a title on every mark that says what it
is. Books are drawn where a decision consumed them, not in between. It must not compute what a
report already says.
"""

from __future__ import annotations

import textwrap
from xml.etree import ElementTree as Xml

from msgspec import Struct

from engine.simulation.outcome import decimal_text
from engine.story.fills import Fill
from engine.story.scale import Scale, padded, plain
from engine.story.story import Story
from engine.story.words import clock, side
from machines.messages import Alarm, Place
from machines.order_model import DEAD
from machines.types import NS, RUNGS

WIDTH, LEFT, RIGHT, TOP = 1120, 190, 24, 12
#: A line of the title: its height, and characters of it that fit in every font.
TITLE_HEIGHT, TITLE_MAX = 20, 120
PRICE_HEIGHT, LANE_HEIGHT, AREA_HEIGHT, GAP = 132, 22, 64, 26
FONT = "system-ui,'Segoe UI',Helvetica,Arial,sans-serif"
INK, SOFT, GRID = "#0f172a", "#64748b", "#e2e8f0"
BID, ASK = "#0e7490", "#b45309"
#: One colour per state of a close or leg, so that a lane reads like the ladder.
STATES = {
    "preparing": "#cbd5e1", "idle": "#e2e8f0", "passive_limit": "#93c5fd",
    "aggressive_limit": "#fbbf24", "market": "#f87171", "withdrawing": "#c4b5fd",
    "doubtful": "#fb923c", "waiting": "#fde68a", "done": "#86efac", "dust": "#bbf7d0",
    "reconciling": "#a5f3fc", "reconciled": "#86efac", "stuck": "#ef4444", "frozen": "#94a3b8",
    "quarantined": "#64748b",
}  # fmt: skip
RUNG_COLORS = {"passive_limit": "#2563eb", "aggressive_limit": "#d97706", "market": "#dc2626"}
MAKER, TAKER, ALARM = "#15803d", "#dc2626", "#dc2626"


class OrderLine(Struct):
    """One order: when it was sent and ended, at which price, on which rung. Times in seconds."""

    id: str
    key: str
    text: str
    rung: str
    price: float | None
    start: float
    end: float


class Canvas:
    """An SVG that grows downwards."""

    def __init__(self, title: str) -> None:
        self.root = Xml.Element(
            "svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": "12"}
        )
        self.y = float(TOP)
        Xml.SubElement(self.root, "title").text = title
        self.ground = Xml.SubElement(self.root, "g", {"stroke": GRID, "stroke-width": "0.6"})

    def add(self, tag: str, hint: str = "", **attributes: object) -> Xml.Element:
        """Add one shape, with a title if there is something to say about it."""
        names = {key.rstrip("_").replace("_", "-"): str(value) for key, value in attributes.items()}
        node = Xml.SubElement(self.root, tag, names)
        if hint:
            Xml.SubElement(node, "title").text = hint
        return node

    def text(self, x: float, y: float, text: str, **attributes: object) -> None:
        """Add a line of text."""
        self.add("text", "", x=x, y=y, **{"fill": INK, **attributes}).text = text

    def behind(self, x: float, top: float, bottom: float) -> None:
        """Add an upright line of the grid behind everything else."""
        ends = {"x1": x, "x2": x, "y1": top, "y2": bottom}
        Xml.SubElement(self.ground, "line", {name: str(value) for name, value in ends.items()})

    def finish(self) -> str:
        """The picture as text."""
        height = self.y + 8
        self.root.set("viewBox", f"0 0 {WIDTH} {height:.0f}")
        self.root.set("width", str(WIDTH))
        self.root.set("height", f"{height:.0f}")
        background = Xml.Element(
            "rect", {"width": str(WIDTH), "height": f"{height:.0f}", "fill": "white"}
        )
        self.root.insert(1, background)
        return Xml.tostring(self.root, encoding="unicode")


def svg(story: Story, *, titled: bool = True) -> str:
    """The picture as SVG text; a page that has the title already shows it without."""
    canvas = Canvas(story.title)
    for line in textwrap.wrap(story.title, TITLE_MAX) if titled else []:
        canvas.text(16, canvas.y + 12, line, font_weight="600", font_size=14)
        canvas.y += TITLE_HEIGHT
    canvas.y += 8 if titled else 0
    top = canvas.y
    times = [_seconds(story, step.at) for step in story.steps]
    end = max(times, default=0.0)
    scale = Scale(0, max(end * 1.02, 0.1), LEFT, WIDTH - RIGHT)
    keys = _keys(story)
    lines = _orders(story, end)
    for key in keys:
        mine = [line for line in lines if line.key == key]
        _prices(canvas, story, key, scale, mine, end)
    _lanes(canvas, story, scale, end)
    _left(canvas, story, scale, end, keys)
    if len(keys) > 1:
        _naked(canvas, story, scale, end)
    _axis(canvas, scale, top)
    return canvas.finish()


def _seconds(story: Story, at: int) -> float:
    return max(at - story.origin, 0) / NS


def _keys(story: Story) -> list[str]:
    if story.close is not None:
        return [leg.id for leg in story.close.legs]
    found = dict.fromkeys(fill.key for step in story.steps for fill in step.fills)
    return list(found) or [story.subject.partition("#")[0]]


def _orders(story: Story, end: float) -> list[OrderLine]:
    """Every order of the story, from its send to its end."""
    found: dict[str, OrderLine] = {}
    for step in story.steps:
        at = _seconds(story, step.at)
        for command, text in step.commands:
            if isinstance(command, Place):
                order = story.orders.get(command.order)
                if order is None:
                    continue
                rules = order.instrument
                quote = None if command.price is None else float(rules.price(command.price))
                found[order.id] = OrderLine(order.id, rules.key, text, command.rung, quote, at, end)
        for move in step.moves:
            line = found.get(move.transition.id)
            if line is not None and move.moves and move.transition.dest in DEAD:
                line.end = at
    return list(found.values())


# ---------------------------------------------------------------- panels


def _panel(canvas: Canvas, title: str, height: float, unit: str = "") -> tuple[float, float]:
    """Begin a panel; returns its top and bottom."""
    top, bottom = canvas.y, canvas.y + height
    canvas.add(
        "rect", x=LEFT, y=top, width=WIDTH - LEFT - RIGHT, height=height, fill="none", stroke=GRID
    )
    canvas.text(16, top + 14, title, font_weight="600")
    if unit:
        canvas.text(16, top + 29, unit, fill=SOFT, font_size=11)
    canvas.y = bottom + GAP
    return top, bottom


def _rules(canvas: Canvas, across: Scale, values: Scale, count: int) -> None:
    for tick in values.ticks(count):
        y = values(tick)
        canvas.add("line", x1=across.start, x2=across.end, y1=y, y2=y, stroke=GRID)
        canvas.text(LEFT - 6, y + 4, plain(tick), text_anchor="end", fill=SOFT, font_size=11)


def _prices(
    canvas: Canvas, story: Story, key: str, across: Scale, lines: list[OrderLine], end: float
) -> None:
    quotes = [
        (_seconds(story, step.at), quote)
        for step in story.steps
        for quote in step.quotes
        if quote.key == key
    ]
    fills = [
        (_seconds(story, step.at), fill)
        for step in story.steps
        for fill in step.fills
        if fill.key == key
    ]
    seen = [float(each) for _, quote in quotes for each in (quote.bid, quote.ask) if each]
    seen += [float(fill.price) for _, fill in fills if fill.price is not None]
    seen += [line.price for line in lines if line.price is not None]
    top, bottom = _panel(canvas, key, PRICE_HEIGHT)
    values = Scale(*padded(seen), bottom, top)
    _rules(canvas, across, values, 4)
    for name, color in (("bid", BID), ("ask", ASK)):
        points = [(at, getattr(quote, name)) for at, quote in quotes]
        known = [(at, float(price)) for at, price in points if price is not None]
        _steps(canvas, across, values, known, color, f"{key} {name}", end, dashed=True)
    for line in lines:
        _order(canvas, across, values, line, seen)
    limits = {line.id: line.price for line in lines}
    for at, fill in fills:
        _fill(canvas, across, values, at, fill, limits.get(fill.order))
    for row, (text, color) in enumerate(_legend(lines, [fill for _, fill in fills])):
        canvas.text(16, top + 31 + row * 15, text, fill=color, font_size=11)


def _legend(lines: list[OrderLine], fills: list[Fill]) -> list[tuple[str, str]]:
    """What the marks of a panel of prices mean, those that it has."""
    used = {line.rung for line in lines}
    found = [("- - ask", ASK), ("- - bid", BID)]
    found += [
        (f"{'◆' if rung == 'market' else '━'} {rung}", color)
        for rung, color in RUNG_COLORS.items()
        if rung in used
    ]
    told = {fill.maker for fill in fills if fill.price is not None}
    found += [("● maker fill", MAKER)] if True in told else []
    found += [("● taker fill", TAKER)] if False in told else []
    untold = any(fill.price is None for fill in fills)
    found += [("○ fill, price untold", SOFT)] if untold else []
    return found


def _order(
    canvas: Canvas, across: Scale, values: Scale, line: OrderLine, seen: list[float]
) -> None:
    color = RUNG_COLORS.get(line.rung, SOFT)
    hint = f"{clock(round(line.start * NS))} s: {line.text}"
    x1, x2 = across(line.start), max(across(line.end), across(line.start) + 2)
    if line.price is None:
        middle = sum(seen) / len(seen) if seen else values.low
        canvas.add(
            "path", hint, d=f"M {x1} {values(middle) - 9} l 6 9 l -6 9 l -6 -9 z", fill=color
        )
        return
    y = values(line.price)
    canvas.add("line", hint, x1=x1, x2=x2, y1=y, y2=y, stroke=color, stroke_width=3)


def _fill(
    canvas: Canvas, across: Scale, values: Scale, at: float, fill: Fill, limit: float | None
) -> None:
    """A fill; hollow, at the order's limit, where the venue told no price with it."""
    told = fill.price is not None
    price = "an untold price" if fill.price is None else decimal_text(fill.price)
    role = "role untold" if not told else "maker" if fill.maker else "taker"
    what = f"{side(fill.side)} {decimal_text(fill.qty)} @ {price}, {role}"
    color = SOFT if not told else MAKER if fill.maker else TAKER
    y = values(float(fill.price if fill.price is not None else limit or values.low))
    canvas.add(
        "circle",
        f"{at:.3f} s: {fill.order or 'not an order of ours'} fills: {what}",
        cx=across(at),
        cy=y,
        r=5,
        fill=color if told else "white",
        stroke="white" if told else color,
        stroke_width=1 if told else 2,
    )


def _steps(
    canvas: Canvas,
    across: Scale,
    values: Scale,
    points: list[tuple[float, float]],
    color: str,
    hint: str,
    end: float,
    *,
    dashed: bool = False,
) -> None:
    """A line that keeps its value until the next one, and the last one to the end of the story."""
    if not points:
        return
    x, y = across(points[0][0]), values(points[0][1])
    path = [f"M {x} {y}"]
    for at, value in points[1:]:
        path.append(f"H {across(at)} V {values(value)}")
    path.append(f"H {across(end)}")
    style = {"stroke_dasharray": "4 3"} if dashed else {}
    canvas.add("path", hint, d=" ".join(path), fill="none", stroke=color, stroke_width=1.4, **style)


def _lanes(canvas: Canvas, story: Story, across: Scale, end: float) -> None:
    """One lane per machine: which state it was in, and when."""
    if story.close is None:
        return
    lanes: dict[str, list[tuple[float, str, str]]] = {f"close {story.close.id}": []}
    lanes |= {f"leg {leg.id}": [] for leg in story.close.legs}
    for step in story.steps:
        for move in step.moves:
            name = f"{move.transition.machine} {move.transition.id}"
            if name in lanes and move.moves:
                text = f"{move.transition.source} > {move.transition.dest}: {step.text}"
                lanes[name].append((_seconds(story, move.at), move.transition.dest, text))
    top, _ = _panel(canvas, "states", LANE_HEIGHT * len(lanes))
    for row, (name, changes) in enumerate(lanes.items()):
        y = top + row * LANE_HEIGHT
        canvas.text(LEFT - 6, y + 15, name, text_anchor="end", fill=SOFT, font_size=11)
        for number, (at, state, text) in enumerate(changes):
            until = changes[number + 1][0] if number + 1 < len(changes) else end
            x, width = across(at), max(across(until) - across(at), 1.5)
            canvas.add(
                "rect", f"{at:.3f} s: {text}", x=x, y=y + 2, width=width, height=LANE_HEIGHT - 4,
                fill=STATES.get(state, GRID), rx=2,
            )  # fmt: skip
            if width > len(state) * 6.4 + 8:
                canvas.text(x + 5, y + 15, state, font_size=11, pointer_events="none")
    alarms = 0
    for step in story.steps:
        for command, text in step.commands:
            if isinstance(command, Alarm):
                x = across(_seconds(story, step.at))
                canvas.add(
                    "path", f"{clock(step.at - story.origin)} s: {text}",
                    d=f"M {x} {top - 3} l -6 -11 h 12 z", fill=ALARM,
                )  # fmt: skip
                alarms += 1
    if alarms:
        canvas.text(16, top + 31, "▼ alarm", fill=ALARM, font_size=11)


def _left(canvas: Canvas, story: Story, across: Scale, end: float, keys: list[str]) -> None:
    """What is left to close on each leg, in base units."""
    points: dict[str, list[tuple[float, float]]] = {key: [] for key in keys}
    for step in story.steps:
        for key in points.keys() & step.left.keys():
            points[key].append((_seconds(story, step.at), float(step.left[key])))
    values = [value for each in points.values() for _, value in each]
    if not values:
        return
    top, bottom = _panel(canvas, "left to close", AREA_HEIGHT, "base units")
    scale = Scale(*padded([*values, 0.0]), bottom, top)
    _rules(canvas, across, scale, 3)
    for row, (key, each) in enumerate(points.items()):
        color = ("#1d4ed8", "#a21caf")[row % 2]
        canvas.text(16, top + 45 + row * 15, key, fill=color, font_size=11)
        _steps(canvas, across, scale, each, color, f"{key}: left to close, base units", end)


def _naked(canvas: Canvas, story: Story, across: Scale, end: float) -> None:
    """The net quantity of both legs: what no leg hedges."""
    points = [(_seconds(story, step.at), float(step.naked)) for step in story.steps]
    top, bottom = _panel(canvas, "naked", AREA_HEIGHT, "base units")
    scale = Scale(0, max([value for _, value in points] + [0.0]) * 1.1 or 1, bottom, top)
    _rules(canvas, across, scale, 3)
    if points:
        path = [f"M {across(points[0][0])} {bottom}"]
        path += [f"H {across(at)} V {scale(value)}" for at, value in points]
        path += [f"H {across(end)} V {bottom} Z"]
        hint = "naked quantity, base units"
        canvas.add("path", hint, d=" ".join(path), fill="#fca5a5", stroke="#b91c1c")


def _axis(canvas: Canvas, across: Scale, top: float) -> None:
    y = canvas.y - GAP + 4
    for tick in across.ticks(10):
        x = across(tick)
        canvas.behind(x, top, y)
        canvas.text(x, y + 14, plain(tick), text_anchor="middle", fill=SOFT, font_size=11)
    canvas.text(LEFT - 14, y + 14, "seconds", text_anchor="end", fill=SOFT, font_size=11)
    canvas.y += 6


#: The rungs that the legend names are those of the ladder.
assert tuple(RUNG_COLORS) == RUNGS
