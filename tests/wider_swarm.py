"""Draws closes amid strangers, lies and weak venues: one seed is one scenario, as text for anybody.

Wider than `swarm`: somebody else trades in gaps, together with fills of our own; venues refuse for
every reason and lie in every way that the simulation knows; they are taken as they are, also where
nothing can be proved, so that a person's word ends the doubt. What is promised for a drawn run is
its expectation: which ends of the close are allowed.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from machines.types import REASON_URGENCY
from tests.swarm import EVERY_PROFILE, HEEDLESS, MODES, REFUSALS, WINDOWS
from venues.profiles import profile
from venues.sim.draws import Draws

DURATION_S = 600
TROUBLE_ENDS_S = 45
REASONS = tuple(sorted(REASON_URGENCY))
#: Codes that stand in no venue's table.
CODES = ("-9999", "weird_refusal")
READS = ("positions", "open_orders", "fills", "query", "snapshot", "rules")
#: What makes absence provable and positions visible; half of the runs go without.
PROVABLE = 'deadline = "matching", lookup = "history", position = "signed"'
#: Faults of requests and frames, each with a span and a share of those it meets.
LIES = (
    'kind = "stale_read", on = "fills"',
    'kind = "stale_read", on = "open_orders"',
    'kind = "stale_read", on = "query"',
    'kind = "position_read_bad", mode = "stale"',
    'kind = "position_read_bad", mode = "none"',
    'kind = "position_read_bad", mode = "alias"',
    'kind = "position_read_bad", mode = "error"',
    'kind = "position_read_bad", mode = "unsigned"',
    'kind = "dup_fill"',
    'kind = "delta_vs_cum"',
    'kind = "fill_before_ack"',
    'kind = "fill_after_cancel_ack"',
    'kind = "cancel_reject_filled"',
    'kind = "cancel_lost"',
    'kind = "drop_response"',
    'kind = "drop_request"',
)


class Drawn(Struct):
    """One leg: `small` and `whole` in base units, `part` in contracts, as text."""

    key: str
    venue: str
    profile: str
    side: int
    kind: str
    multiplier: str
    lot: str
    small: str
    whole: str
    more: str
    part: str


#: Entries of a timeline: when, in milliseconds, and what.
Entries = list[tuple[int, str]]
Trouble = Callable[[Draws, Drawn, int], Entries]

_SIZES = (
    ("linear", "1", ("0.01", "0.1"), "0.5", "3.21", "5", "0.7"),
    ("linear", "1000", ("0.01", "0.1"), "500", "3210", "5000", "0.7"),
    ("inverse", "10", ("1",), "50", "320", "500", "7"),
)


def wider_text(seed: int) -> str:
    """One drawn scenario as TOML: troubles of several kinds, and at their end people's words."""
    draws = Draws(seed).child("wider")
    provable = draws.chance(1, 2)
    word = draws.pick(("", "adopt", "write_off"))
    legs = _legs(draws)
    entries = [(0, _close(draws, draws.pick(("", "", ', ratio = "1/3"'))))]
    reports: list[str] = []
    for _ in range(draws.between(1, 6)):
        leg, at_ms = draws.pick(legs), draws.between(0, (TROUBLE_ENDS_S - 12) * 10) * 100
        entries += draws.pick(TROUBLES)(draws, leg, at_ms)
        if draws.chance(1, 4):
            reports.append(_report(draws, leg))
    entries += _end(legs, word, doubtful=bool(reports) or not provable)
    timeline = [f"at_s = {at // 1000}.{at % 1000:03d}, {what}" for at, what in entries] + reports
    lines = "\n".join(f"  {{ {entry} }}," for entry in timeline)
    names = ", ".join(f'"{leg.key}"' for leg in legs)
    return "\n".join(
        [
            f'name = "wider {seed}"\nseed = {seed}\nduration_s = {DURATION_S}',
            f"timeline = [\n{lines}\n]",
            *_config(draws),
            *_tables(draws, legs, provable=provable),
            f"[pairs.x]\nlegs = [{names}]",
            *_expect(legs, lines, word),
        ]
    )


def _legs(draws: Draws) -> tuple[Drawn, ...]:
    """One leg, two on two venues, or two on one."""
    places = draws.pick((("a:X",), ("a:X", "b:X"), ("a:X", "b:X"), ("a:X", "a:Y")))
    profiles = {venue: draws.pick(EVERY_PROFILE) for venue in "ab"}
    legs = []
    for number, key in enumerate(places):
        kind, multiplier, lots, *sizes = draws.pick(_SIZES)
        side = (1, -1)[number] if len(places) > 1 else draws.pick((1, -1))
        venue, lot = key[0], draws.pick(lots)
        legs.append(Drawn(key, venue, profiles[venue], side, kind, multiplier, lot, *sizes))
    return tuple(legs)


def _config(draws: Draws) -> list[str]:
    passive, aggressive = draws.pick((0, 5, 15)), draws.pick((0, 10))
    return [
        f"[config.close]\nstuck_retry_s = 5\nbackoff_ms = {draws.pick((0, 500))}",
        f"truth_max_age_s = {draws.pick((0, 60))}\nhold_together_s = {draws.pick((0, 20))}",
        f"passive_limit = {{ timeout_s = {passive} }}",
        f"aggressive_limit = {{ timeout_s = {aggressive}, attempts_max = 3 }}",
    ]


def _tables(draws: Draws, legs: tuple[Drawn, ...], *, provable: bool) -> list[str]:
    tables = []
    for venue in sorted({leg.venue for leg in legs}):
        latency, stream = draws.pick((0, 5, 400)), draws.pick((0, 5, 200))
        name = next(leg.profile for leg in legs if leg.venue == venue)
        tables.append(
            f'[venues.{venue}]\nprofile = "{name}"\nlatency_ms = {{ request = {latency}, '
            f"response = {latency}, stream = {stream}, public = 3 }}"
        )
        if provable:
            tables.append(f"override = {{ {PROVABLE} }}")
    for leg in legs:
        sign = "-" if leg.side < 0 else ""
        tables.append(
            f'[instruments."{leg.key}"]\ntype = "{leg.kind}"\ntick = "0.01"\nlot = "{leg.lot}"\n'
            f'min_qty = "{leg.lot}"\nmin_notional = "5"\nmultiplier = "{leg.multiplier}"\n'
            f'book = {{ {USUAL} }}\n[positions."{leg.key}"]\nqty = "{sign}{leg.whole}"\n'
            'entry = "100"'
        )
    return tables


def _end(legs: tuple[Drawn, ...], word: str, *, doubtful: bool) -> Entries:
    """Venues work again, and people say what they know; who got no answer says it again.

    An order whose fate no venue can tell is settled once a new process has cancelled all orders,
    and another has read all trades: nothing more is known of it than is true.
    """
    venues = sorted({leg.venue for leg in legs})
    online = [f'set = {{ venue = "{venue}", mode = "online" }}' for venue in venues]
    entries = [(TROUBLE_ENDS_S, what) for what in online]
    resume = [f'operator = {{ command = "resume", venue = "{venue}" }}' for venue in venues]
    again = ['operator = { command = "resume" }', *resume]
    again.append('close = { pair = "x", reason = "MANUAL" }')
    doubts = [f'operator = {{ command = "settle", instrument = "{leg.key}" }}' for leg in legs]
    for at_s in (60, 90, 120):
        entries += [(at_s, 'engine = "restart"'), *((at_s + 1, what) for what in again)]
    if doubtful:
        for at_s in (140, 150):
            entries += [(at_s, 'engine = "kill"'), (at_s + 1, 'engine = "restart"')]
        entries += [(at_s, what) for at_s in (160, 161, 162, 320, 321, 380, 381) for what in doubts]
    if word:
        said = f'operator = {{ command = "{word}", pair = "x" }}'
        entries += [(at_s, said) for at_s in (200, 240, 300, 360, 400)]
    entries += [(at_s, what) for at_s in (180, 220, 280, 340) for what in again]
    return [(at_s * 1000, what) for at_s, what in entries]


def _expect(legs: tuple[Drawn, ...], lines: str, word: str) -> list[str]:
    """What is promised: a frozen close only where somebody else had a hand in it, and no word."""
    if not any(_may_freeze(leg, lines) for leg in legs):
        never = 'never = ["alarm:machine_error", "state:close:frozen"]\n'
        return ['[expect]\ncloses.x.state = "reconciled"', never]
    ends = '"reconciled"' if word else '["reconciled", "frozen"]'
    return [f"[expect]\ncloses.x.state = {ends}", 'never = ["alarm:machine_error"]\n']


def _may_freeze(leg: Drawn, lines: str) -> bool:
    """Whether a stranger traded, the venue could turn the position over, or shows it turned.

    A settlement in a gap is as strange: no venue lists it among the trades.
    """
    others = f'external = {{ instrument = "{leg.key}"'
    unlisted = ('kind = "manual"', 'kind = "settlement"')
    if any(others in line and kind in line for line in lines.splitlines() for kind in unlisted):
        return True
    if others in lines and leg.profile in HEEDLESS:
        return True
    if others in lines and f'"stale_read", on = "fills", venue = "{leg.venue}"' in lines:
        return True  # for as long as the list lags; it thaws when that names a liquidation
    return leg.side < 0 and f'"unsigned", venue = "{leg.venue}"' in lines


# ---------------------------------------------------------------- troubles


def _close(draws: Draws, more: str = "") -> str:
    return f'close = {{ pair = "x", reason = "{draws.pick(REASONS)}"{more} }}'


def _gap(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """What keeps the engine from hearing what happens just after this moment, or nothing."""
    closed = f'fault = {{ kind = "forced_close", venue = "{leg.venue}", on = "user" }}'
    unheard = f'answer = {{ venue = "{leg.venue}", on = "user", outcome = "timeout", for_s = 1 }}'
    asleep = f'engine = "freeze", for_s = {draws.pick((1, 4))}'
    dead = [(at_ms, 'engine = "kill"'), (at_ms + draws.pick((500, 4000)), 'engine = "restart"')]
    gaps: tuple[Entries, ...] = (
        [],
        [(at_ms, closed)],
        [(at_ms, closed)],
        [(at_ms, unheard)],
        [(at_ms, asleep)],
        [(at_ms, closed), (at_ms, asleep)],
        dead,
    )
    return draws.pick(gaps)


def _prints(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """Somebody's trade reaches our resting order, if there is one; or nothing happens."""
    side, price = ("buy", "110") if leg.side > 0 else ("sell", "90")
    qty = draws.pick((leg.part, leg.part, "1000"))
    what = f'instrument = "{leg.key}", side = "{side}", price = "{price}", qty = "{qty}"'
    return [(at_ms, f"trade = {{ {what} }}")] if draws.chance(2, 3) else []


def _external(leg: Drawn, qty: str, kind: str = "manual") -> str:
    what = f'instrument = "{leg.key}", qty = "{qty}", price = "100", kind = "{kind}"'
    return f"external = {{ {what} }}"


def _stranger(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """Somebody else trades, with our own fills around it, heard or in a gap."""
    entries = _gap(draws, leg, at_ms) + _prints(draws, leg, at_ms + 50)
    for number in range(draws.pick((1, 1, 1, 2))):
        sign, qty = draws.pick(("-", "")), draws.pick((leg.small, leg.whole, leg.more))
        entries.append((at_ms + 100 + 200 * number, _external(leg, f"{sign}{qty}")))
    return entries + _prints(draws, leg, at_ms + 150)


def _fills(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """Our own fills alone, heard or in a gap."""
    return _gap(draws, leg, at_ms) + _prints(draws, leg, at_ms + 50)


def _taken(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """The venue takes what is held, whole or in part, with our own fills around it."""
    kind, qty = draws.pick(("liquidation", "adl", "settlement")), draws.pick((leg.small, leg.more))
    entries = _gap(draws, leg, at_ms) + _prints(draws, leg, at_ms + 50)
    return [*entries, (at_ms + 100, _external(leg, qty, kind)), *_prints(draws, leg, at_ms + 150)]


def _refusal(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """The venue refuses orders or cancels, for a reason of the list or by a code of none."""
    on, outcome = draws.pick(("create", "create", "create", "cancel")), "reject"
    reason, span = draws.pick(REFUSALS), f"for_s = {draws.pick((1, 3, 8))}"
    why = f'reason = "{reason}"' if draws.chance(4, 5) else f'code = "{draws.pick(CODES)}"'
    more = draws.pick(("", "", ", retry_after_s = 2", ", retry_after_s = 12"))
    if on == "create" and draws.chance(1, 4):
        outcome, more = "end", ""
    what = f'venue = "{leg.venue}", on = "{on}", outcome = "{outcome}", {why}, {span}{more}'
    return [(at_ms, f"answer = {{ {what} }}")]


def _silence(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """Requests have no effect, no answer, or a late one."""
    on = draws.pick(("create", "cancel", "query", "positions", "open_orders", "fills"))
    if draws.chance(1, 2):
        fate = f'outcome = "accept", delay_s = {draws.pick((1, 4, 8))}'
    else:
        fate = f'outcome = "timeout", effect = {draws.pick(("true", "false"))}'
    what = f'venue = "{leg.venue}", on = "{on}", {fate}, for_s = {draws.pick((1, 3, 8))}'
    return [(at_ms, f"answer = {{ {what} }}")]


def _blind(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """Reads fail or show nothing for a while, at times with a gap that asks for them."""
    on, outcome = draws.pick(READS), draws.pick(("error", "not_found", "reject", "timeout"))
    span = draws.pick((2, 5, 10))
    what = f'venue = "{leg.venue}", on = "{on}", outcome = "{outcome}", for_s = {span}'
    return [(at_ms, f"answer = {{ {what} }}"), *_fills(draws, leg, at_ms + 500)]


def _lie(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    lie, share = draws.pick(LIES), draws.pick(("1/5", "1/2", "1/1"))
    span = draws.pick((2, 5, 10))
    what = f'{lie}, venue = "{leg.venue}", for_s = {span}, probability = "{share}"'
    return [(at_ms, f"fault = {{ {what} }}"), *_fills(draws, leg, at_ms + 500)]


def _mode(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    return [(at_ms, f'set = {{ venue = "{leg.venue}", mode = "{draws.pick(MODES)}" }}')]


def _rules(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    rule = draws.pick(('min_qty = "2"', 'min_notional = "150"', 'lot = "1"'))
    return [(at_ms, f'set = {{ instrument = "{leg.key}", {rule} }}')]


USUAL = 'bid = "100.00", bid_qty = "1000", ask = "100.10", ask_qty = "1000"'


def _book(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    shown = draws.pick(
        (
            'bid = "90", bid_qty = "1000", ask = "110", ask_qty = "1000"',
            'bid = "100", bid_qty = "1", ask = "100.01", ask_qty = "1"',
            'bid = "0", bid_qty = "0", ask = "100.1", ask_qty = "1"',
            'bid = "0", bid_qty = "0", ask = "0", ask_qty = "0"',
        )
    )
    books = ((at_ms, shown), (TROUBLE_ENDS_S * 1000, USUAL))
    return [(at, f'book = {{ instrument = "{leg.key}", {book} }}') for at, book in books]


def _person(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    command = draws.pick(("halt", "kill", "retry", "adopt", "cancel", "write_off", "again"))
    if command == "again":
        return [(at_ms, _close(draws))]
    pair = "" if command in ("halt", "kill") else ', pair = "x"'
    said = f'operator = {{ command = "{command}"{pair} }}'
    return [(at_ms, said), (at_ms + 4000, 'operator = { command = "resume" }')]


def _death(draws: Draws, leg: Drawn, at_ms: int) -> Entries:
    """The process dies at a window of the send protocol, or is told to stop."""
    if draws.chance(1, 2):
        down_ms = draws.pick((1, 300, 8000))
        window, nth = draws.pick(WINDOWS), draws.between(1, 3)
        fate = f'kind = "crash", at = "{window}", nth = {nth}, down_ms = {down_ms}, for_s = 10'
        return [(at_ms, f"fault = {{ {fate} }}")]
    return [(at_ms, 'engine = "stop"'), (at_ms + 11_500, 'engine = "restart"')]


TROUBLES: tuple[Trouble, ...] = (
    _stranger, _stranger, _stranger, _fills, _taken, _refusal, _refusal, _silence, _blind, _lie,
    _lie, _mode, _rules, _book, _person, _death,
)  # fmt: skip


def _report(draws: Draws, leg: Drawn) -> str:
    """A message about the first order that says less than is so, comes late, or in nobody's words.

    A false death is told only where the venue itself keeps two orders from turning a position over.
    """
    nth, plus_s = draws.between(1, 3), draws.pick(("0", "0.3", "3", "20"))
    path = draws.pick(("stream", "stream", "query"))
    said = draws.pick(
        ('status = "OPEN", cum = "0"', 'status = "word_of_nobody"', 'status = "CANCELED"')
    )
    if "CANCELED" in said and profile(leg.profile).capabilities.reduce_only != "enforced":
        said = 'status = "PENDING"'
    when = f'event = "order_live", instrument = "{leg.key}", nth = {nth}, plus_s = {plus_s}'
    what = f'instrument = "{leg.key}", order = 1, {said}, path = "{path}", effect = false'
    return f"after = {{ {when} }}, report = {{ {what} }}"
