"""The trace of a run as text: what `--trace` prints and what a golden `.trace` file holds.

One line per event in the order in which they happened, the same bytes for the same run. Must not
hold client ids, wall times or anything else that may differ between two equal runs. Rewriting a
golden trace is the command line's affair.
"""

import difflib
from pathlib import Path

from engine.files import read_whole
from engine.simulation.outcome import (
    AlarmRow,
    FillRow,
    NoteRow,
    OrderRow,
    Outcome,
    Row,
    TransitionRow,
    decimal_text,
    seconds_text,
)
from engine.texts import printable

#: No run that anybody reads leaves a longer trace.
TRACE_BYTES_MAX = 64 << 20
_TIME_WIDTH = 11
_MACHINE_WIDTH = 8
_ID_WIDTH = 18


def render_trace(outcome: Outcome) -> str:
    """Print the events of a run, one line each, sorted by time; ends with how it ended.

    Columns: seconds, machine (or order, fill, alarm), id, then trigger and states, or what was
    sent, filled or said. Events of one instant keep the order in which they happened.
    """
    rows = sorted(outcome.log, key=lambda row: row.at)
    lines = [f"# {outcome.name}, seed {outcome.seed}"]
    lines += [_line(row) for row in rows]
    for kind, group in (("close", outcome.closes), ("open", outcome.opens)):
        for name, close in group.items():
            end = f"{close.state} {close.outcome or ''}".rstrip()
            lines.append(_columns(outcome.ended_at, "end", f"{kind} {name}", end))
    for key, quantity in outcome.positions.items():
        held = "unknown" if quantity is None else decimal_text(quantity)
        lines.append(_columns(outcome.ended_at, "end", key, f"position {held}"))
    return "".join(f"{printable(line)}\n" for line in lines)


def _columns(at: int, machine: str, identity: str, text: str) -> str:
    whole, point, part = seconds_text(at).partition(".")
    time = f"{whole}{point or '.'}{part:<3}".replace(" ", "0")
    left = f"{time:>{_TIME_WIDTH}}  {machine:<{_MACHINE_WIDTH}} {identity:<{_ID_WIDTH}}"
    return f"{left} {text}".rstrip()


def _line(row: Row) -> str:
    match row:
        case TransitionRow():
            text = f"{row.trigger}  {row.source}>{row.dest}"
            return _columns(row.at, row.machine, row.id, text)
        case OrderRow():
            return _columns(row.at, "sent", row.id, _order_text(row))
        case FillRow():
            price = f"{row.side} {decimal_text(row.qty)} @ {decimal_text(row.price)}"
            text = f"{price} {'maker' if row.maker else 'taker'}"
            return _columns(row.at, "fill", row.order or row.key, text)
        case AlarmRow():
            return _columns(row.at, "alarm", row.kind, row.text)
        case NoteRow():
            return _columns(row.at, row.machine, row.id, row.text)


def _order_text(row: OrderRow) -> str:
    price = "market" if row.price is None else f"@ {decimal_text(row.price)} {row.kind}"
    words = [row.side, decimal_text(row.qty), price]
    words += ["post_only"] if row.post_only else []
    words += ["reduce_only"] if row.reduce_only else []
    words.append(f"({', '.join(part for part in (row.rung, row.why) if part)})")
    return " ".join(words)


def compare_trace(path: Path, text: str) -> list[str]:
    """List the lines in which `text` differs from the golden trace at `path`; none if it is equal.

    A trace that is not there differs in one line that says so.
    """
    try:
        golden = read_whole(path, TRACE_BYTES_MAX).decode(errors="replace")
    except FileNotFoundError:
        return [f"{path}: no such trace"]
    return [
        line.rstrip("\n")
        for line in difflib.unified_diff(
            golden.splitlines(), text.splitlines(), str(path), "this run", n=1, lineterm=""
        )
    ]
