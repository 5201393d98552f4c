"""What a simulated run came to: the object that `unwind sim --json` prints, one per file.

Holds and prints results, nothing else: it must not judge them (see `expectations`) nor compute
them (the world does). Inside, times are integer nanoseconds since the start and quantities
`Decimal`; printed, times are JSON numbers in seconds with all their digits and decimals are
fixed-point strings. None is printed as null and always means "not known (yet)".
"""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from machines.types import NS

#: Far more zeros in a row than any number of the range comes to.
ZEROS_MAX = 400


def decimal_text(value: Decimal) -> str:
    """Write a decimal in fixed point without trailing zeros, exactly; zero of any kind is "0".

    What only a recording that somebody made can hold, with zeros without end, keeps its exponent.
    """
    if value and abs(value.adjusted()) > ZEROS_MAX:
        return str(value)
    text = format(value, "f") if value else ""
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def seconds_text(at_ns: int) -> str:
    """Write nanoseconds as seconds with up to nine decimals, exactly; also a valid JSON number."""
    whole, part = divmod(abs(at_ns), NS)
    text = f"{whole}.{part:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if at_ns < 0 else text


def seconds_of(at_ns: int) -> Decimal:
    """Nanoseconds as an exact decimal number of seconds."""
    return Decimal(seconds_text(at_ns))


class LegOutcome(Struct):
    """One leg of a close or open, in the instrument's base units and quote currency.

    `maker` is the part of `filled` that was filled as maker; it is not printed.
    """

    filled: Decimal | None = None
    average: Decimal | None = None
    fees: Decimal | None = None
    price_pnl: Decimal | None = None
    slippage_bps: Decimal | None = None
    funding: Decimal | None = None
    maker: Decimal = Decimal(0)


class CloseOutcome(Struct):
    """One close, or one open (which alone has `qty`). `naked_base_s` is base quantity x seconds."""

    state: str
    outcome: str | None = None
    reason: str | None = None
    duration_ns: int | None = None
    orders: int = 0
    naked_base_s: Decimal | None = None
    price_pnl: Decimal | None = None
    residual: dict[str, Decimal | None] = {}
    legs: dict[str, LegOutcome] = {}
    qty: Decimal | None = None


class OrderRow(Struct):
    """One order that left the engine. `price` is None for a native market order.

    `id` is the name within the run, "v:s#n"; it is not printed.
    """

    at: int
    venue: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal | None
    kind: str
    post_only: bool
    reduce_only: bool
    rung: str
    client_id: str
    state: str = "sent"
    filled: Decimal = Decimal(0)
    why: str = ""
    id: str = ""

    @property
    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class TransitionRow(Struct):
    """One row taken by one machine."""

    at: int
    machine: str
    id: str
    trigger: str
    source: str
    dest: str


class AlarmRow(Struct):
    """One alarm as it was raised."""

    at: int
    kind: str
    text: str


class FillRow(Struct):
    """One trade as the engine credited it; `order` is "v:s#n", or empty for somebody else's."""

    at: int
    key: str
    order: str
    side: str
    qty: Decimal
    price: Decimal
    maker: bool
    trade: str = ""


class NoteRow(Struct):
    """Anything else worth a line of the trace: a cancel sent, a fault, an action of the file."""

    at: int
    machine: str
    id: str
    text: str


Row = OrderRow | TransitionRow | AlarmRow | FillRow | NoteRow


class Outcome(Struct):
    """One run. `log` has every row in the order in which it happened; it feeds the trace only."""

    file: str
    name: str
    seed: int
    ok: bool = True
    failed: list[str] = []
    ended_at: int = 0
    closes: dict[str, CloseOutcome] = {}
    opens: dict[str, CloseOutcome] = {}
    positions: dict[str, Decimal | None] = {}
    believed: dict[str, Decimal | None] = {}
    orders: list[OrderRow] = []
    transitions: list[TransitionRow] = []
    alarms: list[AlarmRow] = []
    checked: int = 0
    violated: list[str] = []
    journal_records: int = 0
    journal_hash: str = ""
    log: list[Row] = []

    def record(self, row: Row) -> None:
        """Append a row to the log and, where it has one, to the list of its kind."""
        self.log.append(row)
        if isinstance(row, OrderRow):
            self.orders.append(row)
        elif isinstance(row, TransitionRow):
            self.transitions.append(row)
        elif isinstance(row, AlarmRow):
            self.alarms.append(row)


def close_document(close: CloseOutcome, is_open: bool = False) -> dict[str, Any]:
    """A close or open under the printed key names; decimals and times as `Decimal`."""
    document: dict[str, Any] = {
        "state": close.state,
        "outcome": close.outcome,
        "reason": close.reason,
        "duration_s": None if close.duration_ns is None else seconds_of(close.duration_ns),
        "orders": close.orders,
        "naked_base_s": close.naked_base_s,
        "price_pnl": close.price_pnl,
        "residual": dict(close.residual),
        "legs": {key: _leg_document(leg) for key, leg in close.legs.items()},
    }
    if is_open:
        document["qty"] = close.qty
    return document


def _leg_document(leg: LegOutcome) -> dict[str, Any]:
    return {name: getattr(leg, name) for name in LEG_FIELDS}


#: Printed fields of one leg, and of one close or open.
LEG_FIELDS = ("filled", "average", "fees", "price_pnl", "slippage_bps", "funding")
CLOSE_FIELDS = tuple(close_document(CloseOutcome(state="")))

#: Printed keys that are times, hence numbers; every other decimal is a string.
_TIMES = frozenset({"ended_at_s", "duration_s", "at_s"})


def to_json(outcome: Outcome) -> str:
    """Print an outcome as one line of JSON with the key names of the scenario format."""
    document = {
        "file": outcome.file,
        "name": outcome.name,
        "ok": outcome.ok,
        "failed": outcome.failed,
        "seed": outcome.seed,
        "ended_at_s": seconds_of(outcome.ended_at),
        "closes": {name: close_document(close) for name, close in outcome.closes.items()},
        "opens": {name: close_document(opened, True) for name, opened in outcome.opens.items()},
        "positions": outcome.positions,
        "believed": outcome.believed,
        "orders": [_order_document(row) for row in outcome.orders],
        "transitions": [_row_document(row) for row in outcome.transitions],
        "alarms": [_row_document(row) for row in outcome.alarms],
        "invariants": {"checked": outcome.checked, "violated": outcome.violated},
        "journal": {"records": outcome.journal_records, "hash": outcome.journal_hash},
    }
    return msgspec.json.encode(_printable(document)).decode()


def _row_document(row: Struct) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    return {"at_s": seconds_of(fields.pop("at")), **fields}


def _order_document(row: OrderRow) -> dict[str, Any]:
    document = _row_document(row)
    del document["id"]
    return document


def _printable(value: Any, key: str = "") -> Any:
    if isinstance(value, Decimal):
        text = decimal_text(value)
        return msgspec.Raw(text.encode()) if key in _TIMES else text
    if isinstance(value, dict):
        return {name: _printable(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value
