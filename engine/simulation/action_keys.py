"""Reads the entries of a scenario's timeline: when, and exactly one action with exactly its keys.

Every mistake is noted where it stands. Must not decide what an action does, nor accept one that
this version cannot carry out.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct

from engine.simulation import actions
from engine.simulation import scenario_keys as keys
from engine.simulation.expect_keys import MACHINES, NO_OPENS, Names, read_expect, state_of
from engine.simulation.scenario_keys import Reader, Refused
from machines.types import REASON_URGENCY, URGENCY_RANK
from venues.numbers import INT64_MAX
from venues.sim.faults import FAULTS, check_fault
from venues.sim.selection import ON

EVENTS = ("order_live", "filled", "cancel_sent", "cancel_acked", "order_sent", "state")
OUTCOMES = ("accept", "reject", "timeout", "error", "not_found", "rest", "end")
EXTERNAL_KINDS = ("manual", "liquidation", "adl", "settlement")
VENUE_MODES = ("online", "maintenance", "cancel_only", "post_only", "halted")
OPERATOR_COMMANDS = (
    "halt",
    "resume",
    "kill",
    "retry",
    "adopt",
    "write_off",
    "cancel",
    "settle",
    "release",
    "stop_entries",
)
#: What an operator's command may say about its subject, all of it optional text.
_SUBJECTS = ("pair", "position", "instrument", "venue", "machine", "id", "status", "reason", "by")
#: Keys that mean something to one command only.
_ONLY_WITH = {"venue": "resume", "qty": "adopt"}


class Context(Struct, frozen=True):
    """What actions are checked against besides the declared names."""

    names: Names
    #: The pair that each of its legs belongs to.
    owners: Mapping[str, str] = {}
    #: The tick of each instrument; its changes are multiples of it.
    ticks: Mapping[str, Decimal] = {}


def read_entry(table: Reader, context: Context) -> actions.Entry | None:
    """Read one timeline entry; None, with the mistakes noted, if it has no readable action."""
    found = [name for name in (*READERS, *REFUSED) if name in table]
    at = table.maybe("at_s", keys.seconds)
    after = _read_after(table.sub("after"), context.names) if "after" in table else None
    if ("at_s" in table) == ("after" in table):
        table.note("", "must have exactly one of at_s and after")
    action: actions.Action | None = None
    if len(found) != 1:
        table.note("", f"must have exactly one action, one of {', '.join(READERS)}")
        table.skip(found)
    elif found[0] in REFUSED:
        table.skip(found)
        table.note(found[0], f"the action `{found[0]}` cannot run: {REFUSED[found[0]]}")
    else:
        action = READERS[found[0]](table, context)
    table.done()
    return None if action is None else actions.Entry(table.path, action, at, after)


def _read_after(table: Reader, names: Names) -> actions.After:
    after = actions.After(
        event=table.need("event", keys.one_of(EVENTS), ""),
        instrument=table.maybe("instrument", names.instrument),
        machine=table.maybe("machine", keys.one_of(MACHINES)),
        state=table.maybe("state", keys.text),
        nth=table.take("nth", keys.ordinal, 1),
        plus_ns=table.take("plus_s", keys.seconds, 0),
    )
    if after.machine and after.state:
        table.take("state", lambda value: state_of(after.machine or "", value), "")
    if after.event == "state" and "state" not in table:
        table.note("state", "must name a state, since the event is `state`")
    table.done()
    return after


# ---------------------------------------------------------------- market and orders


def _book(entry: Reader, context: Context) -> actions.Book:
    table = entry.sub("book")
    book = actions.Book(
        instrument=table.need("instrument", context.names.instrument, ""),
        bid=table.need("bid", keys.not_negative, Decimal(0)),
        bid_qty=table.need("bid_qty", keys.not_negative, Decimal(0)),
        ask=table.need("ask", keys.not_negative, Decimal(0)),
        ask_qty=table.need("ask_qty", keys.not_negative, Decimal(0)),
        mark=table.maybe("mark", keys.positive),
    )
    _check_ticks(table, book, context, "bid", "ask")
    table.done()
    return book


def _check_ticks(table: Reader, action: Any, context: Context, *prices: str) -> None:
    """Note every price of an action that lies between two ticks of its instrument."""
    tick = context.ticks.get(action.instrument)
    for name in prices:
        price = getattr(action, name)
        if tick is not None and price is not None and Fraction(price) % Fraction(tick):
            table.note(name, f"must be a multiple of tick = {tick:f}")


def _trade(entry: Reader, context: Context) -> actions.Trade:
    table = entry.sub("trade")
    trade = actions.Trade(
        instrument=table.need("instrument", context.names.instrument, ""),
        side=table.need("side", keys.one_of(("buy", "sell")), ""),
        price=table.need("price", keys.positive, Decimal(0)),
        qty=table.need("qty", keys.positive, Decimal(0)),
    )
    _check_ticks(table, trade, context, "price")
    table.done()
    return trade


def _order_pick(value: Any) -> actions.OrderPick:
    """The n-th order on the instrument, or "live", or "last_terminal"."""
    if value == "live" or value == "last_terminal":  # noqa: PLR1714 (narrows to the literals)
        return value
    try:
        return keys.ordinal(value)
    except Refused:
        raise Refused('1, 2, ..., "live" or "last_terminal"') from None


def _fill(entry: Reader, context: Context) -> actions.Fill:
    table = entry.sub("fill")
    fill = actions.Fill(
        instrument=table.need("instrument", context.names.instrument, ""),
        qty=table.need("qty", keys.positive, Decimal(0)),
        price=table.maybe("price", keys.positive),
        order=table.take("order", _order_pick, "live"),
    )
    _check_ticks(table, fill, context, "price")
    table.done()
    return fill


def _report(entry: Reader, context: Context) -> actions.Report:
    table = entry.sub("report")
    report = actions.Report(
        instrument=table.need("instrument", context.names.instrument, ""),
        order=table.need("order", _order_pick, "live"),
        status=table.maybe("status", keys.text),
        cum=table.maybe("cum", keys.not_negative),
        price=table.maybe("price", keys.not_negative),
        reason=table.maybe("reason", keys.text),
        trade=table.maybe("trade", keys.text),
        qty=table.maybe("qty", keys.positive),
        path=table.take("path", keys.one_of(("stream", "query", "none")), "stream"),
        effect=table.take("effect", keys.flag, True),
    )
    _check_ticks(table, report, context, "price")
    table.done()
    return report


def _code(value: Any) -> str:
    """A venue's code, a number or a text."""
    return value if isinstance(value, str) and value else str(keys.number(value))


def _answer(entry: Reader, context: Context) -> actions.Answer:
    table = entry.sub("answer")
    answer = actions.Answer(
        venue=table.need("venue", keys.one_of(context.names.venues), ""),
        on=table.need("on", keys.one_of(ON), ""),
        outcome=table.need("outcome", keys.one_of(OUTCOMES), ""),
        instrument=table.maybe("instrument", context.names.instrument),
        nth=table.maybe("nth", keys.ordinals),
        count=table.take("count", keys.count, 1),
        for_ns=table.maybe("for_s", keys.seconds),
        cum=table.maybe("cum", keys.not_negative),
        status=table.maybe("status", keys.text),
        code=table.maybe("code", _code),
        reason=table.maybe("reason", keys.text),
        delay_ns=table.take("delay_s", keys.seconds, 0),
        effect=table.take("effect", keys.flag, True),
        retry_after_ns=table.maybe("retry_after_s", keys.seconds),
    )
    if answer.instrument and answer.venue and not _at_venue(answer.instrument, answer.venue):
        table.note("instrument", f'must be an instrument of the venue "{answer.venue}"')
    table.done()
    return answer


def _at_venue(instrument: str, venue: str) -> bool:
    return instrument.partition(":")[0] == venue


# ---------------------------------------------------------------- requests and people


def _close(entry: Reader, context: Context) -> actions.Close:
    table = entry.sub("close")
    pair = table.maybe("pair", keys.one_of(context.names.pairs))
    position = table.maybe("position", context.names.instrument)
    if ("pair" in table) == ("position" in table):
        table.note("", "must have exactly one of pair and position")
    if position is not None and position in context.owners:
        owner = context.owners[position]
        table.note("position", f"is a leg of the pair {owner}, which owns it; close that")
    urgency = table.maybe("urgency", keys.one_of(URGENCY_RANK))
    reasons = keys.one_of(REASON_URGENCY) if urgency is None else keys.text
    close = actions.Close(
        name=pair or position or "",
        reason=table.need("reason", reasons, ""),
        is_position=pair is None,
        urgency=urgency,
        ratio=table.take("ratio", keys.ratio, (1, 1)),
    )
    table.done()
    return close


def _order_name(value: Any) -> str | int:
    """An order by its name "v:s#n" or by its number on the instrument."""
    return value if isinstance(value, str) and "#" in value else keys.ordinal(value, INT64_MAX)


def _operator(entry: Reader, context: Context) -> actions.Operator:
    table = entry.sub("operator")
    parsers: dict[str, Callable[[Any], str]] = {
        "pair": keys.one_of(context.names.pairs),
        "position": context.names.instrument,
        "instrument": context.names.instrument,
        "venue": keys.one_of(context.names.venues),
        "machine": keys.one_of(MACHINES),
    }
    subject = {}
    for name in _SUBJECTS:
        value = table.maybe(name, parsers.get(name, keys.text))
        if value is not None:
            subject[name] = value
    operator = actions.Operator(
        command=table.need("command", keys.one_of(OPERATOR_COMMANDS), ""),
        subject=subject,
        order=table.maybe("order", _order_name),
        cum=table.maybe("cum", keys.not_negative),
        qty=table.maybe("qty", keys.positive),
    )
    for name, command in _ONLY_WITH.items():
        if name in table and operator.command not in ("", command):
            table.note(name, f"must stand with `{command}`, and with no other command")
    table.done()
    return operator


# ---------------------------------------------------------------- venues and process


def _external(entry: Reader, context: Context) -> actions.External:
    table = entry.sub("external")
    external = actions.External(
        instrument=table.need("instrument", context.names.instrument, ""),
        qty=table.need("qty", keys.decimal, Decimal(0)),
        price=table.need("price", keys.positive, Decimal(0)),
        kind=table.need("kind", keys.one_of(EXTERNAL_KINDS), ""),
    )
    _check_ticks(table, external, context, "price")
    table.done()
    return external


def _funding(entry: Reader, context: Context) -> actions.Funding:
    table = entry.sub("funding")
    funding = actions.Funding(
        instrument=table.need("instrument", context.names.instrument, ""),
        rate=table.maybe("rate", keys.amount),
        amount=table.maybe("amount", keys.amount),
    )
    if ("rate" in table) == ("amount" in table):
        table.note("", "must have exactly one of rate and amount")
    table.done()
    return funding


def _fault(entry: Reader, context: Context) -> actions.Fault | actions.Crash:
    table = entry.sub("fault")
    names = context.names
    venue = table.maybe("venue", keys.one_of(names.venues))
    instrument = table.maybe("instrument", names.instrument)
    kind = table.need("kind", keys.one_of((*FAULTS, "crash")), "")
    if kind == "crash":
        return _crash(table, venue, instrument)
    if kind:
        for mistake in check_fault(table.table):
            table.note("", mistake)
    return actions.Fault(kind, dict(table.table))


def _crash(table: Reader, venue: str | None, instrument: str | None) -> actions.Crash:
    crash = actions.Crash(
        window=table.take("at", keys.one_of(("w1", "w2", "w3", "w4", "w5")), "w1"),
        down_ns=table.maybe("down_ms", keys.milliseconds),
        nth=table.maybe("nth", keys.ordinals),
        count=table.maybe("count", keys.count),
        for_ns=table.maybe("for_s", keys.seconds),
        probability=table.maybe("probability", keys.ratio),
        venue=venue,
        instrument=instrument,
        on=table.maybe("on", keys.one_of(ON)),
    )
    table.done()
    return crash


def _engine(entry: Reader, context: Context) -> actions.Engine:
    commands = keys.one_of(("kill", "restart", "stop", "freeze"))
    if isinstance(entry.raw("engine"), dict):
        table = entry.sub("engine")
        engine = actions.Engine(
            command=table.need("command", commands, ""),
            for_ns=table.take("for_s", keys.seconds, 0),
        )
        table.done()
    else:
        table = entry
        engine = actions.Engine(
            command=entry.need("engine", commands, ""),
            for_ns=entry.take("for_s", keys.seconds, 0),
        )
    if (engine.command == "freeze") != ("for_s" in table):
        table.note("for_s", "must stand with `freeze`, and with no other command")
    return engine


def _set(entry: Reader, context: Context) -> actions.SetRules | actions.SetMode:
    table = entry.sub("set")
    action: actions.SetRules | actions.SetMode
    if "venue" in table:
        action = actions.SetMode(
            venue=table.need("venue", keys.one_of(context.names.venues), ""),
            mode=table.need("mode", keys.one_of(VENUE_MODES), ""),
        )
    else:
        action = actions.SetRules(
            instrument=table.need("instrument", context.names.instrument, ""),
            min_qty=table.maybe("min_qty", keys.not_negative),
            min_notional=table.maybe("min_notional", keys.not_negative),
            tick=table.maybe("tick", keys.positive),
            lot=table.maybe("lot", keys.positive),
        )
        if not set(table.table) & {"min_qty", "min_notional", "tick", "lot"}:
            table.note("", "must set at least one of min_qty, min_notional, tick and lot")
    table.done()
    return action


def _expect(entry: Reader, context: Context) -> actions.ExpectNow:
    return actions.ExpectNow(read_expect(entry.sub("expect"), context.names))


#: Every action of the format that this version can carry out.
READERS: dict[str, Callable[[Reader, Context], actions.Action]] = {
    "book": _book,
    "trade": _trade,
    "fill": _fill,
    "report": _report,
    "answer": _answer,
    "close": _close,
    "operator": _operator,
    "external": _external,
    "funding": _funding,
    "fault": _fault,
    "engine": _engine,
    "set": _set,
    "expect": _expect,
}

#: Actions of the format whose machines come with later versions, and why they are refused.
REFUSED: dict[str, str] = {
    "open": NO_OPENS,
    "signal": f"{NO_OPENS}, nor does it have entry and exit policies that a signal could reach",
}
