"""Draws random closes under random faults: one seed is one scenario, as text that anybody can run.

Faults stop half way through (their `for_s` ends), after which every close must end. Draws come from
the simulator's own generator, so a seed means the same everywhere. `scenario_text` draws the faults
of the catalogue, `troubled_text` what people, venues and the process itself do in the midst of a
close, on instruments of every kind.
"""

from __future__ import annotations

from machines.types import REASON_URGENCY
from machines.types import REASONS as END_REASONS
from venues.profiles import profile
from venues.sim.draws import Draws

PROFILES = ("ideal", "lighter", "aster", "binance_usdm", "paradex", "hyperliquid")
REASONS = ("MANUAL", "TAKE_PROFIT", "TRAILING_STOP", "SOFT_STOP", "HARD_STOP", "KILL")
FAULTS = (
    'kind = "drop_response"',
    'kind = "drop_request"',
    'kind = "fill_before_ack"',
    'kind = "fill_after_cancel_ack"',
    'kind = "cancel_lost"',
    'kind = "cancel_reject_filled"',
    'kind = "dup_fill"',
    'kind = "delta_vs_cum"',
    'kind = "stale_read"',
    'kind = "position_read_bad"',
    'kind = "forced_close"',
)
WINDOWS = ("w1", "w2", "w3", "w4", "w5")
DURATION_S = 600
FAULTS_END_S = 60


def scenario_text(seed: int) -> str:
    """One drawn scenario as TOML; its expectation is that everything ends, whatever happens."""
    draws = Draws(seed).child("options")
    parts = [
        f'name = "swarm {seed}"\nseed = {seed}\nduration_s = {DURATION_S}\n',
        "[config.close]\nnaked_budget_usd_s = "
        f"{draws.pick((500, 20000, 1000000))}\nstuck_retry_s = {draws.pick((5, 30))}\n"
        f"[config.close.passive_limit]\ntimeout_s = {draws.pick((0, 2, 5, 15))}\n"
        f'price = "{draws.pick(("mid", "own_touch", "near_far_touch"))}"\n'
        f"[config.close.aggressive_limit]\ntimeout_s = {draws.pick((0, 4, 20))}\n"
        f"attempt_timeout_s = {draws.pick((1, 3))}\n",
    ]
    legs = draws.pick((1, 2, 2, 2))
    qty = draws.between(1, 400)
    side = draws.pick((1, -1))
    for number in range(legs):
        parts.append(_leg(draws, "ab"[number], qty if number == 0 else -qty, side))
    names = ", ".join(f'"{"ab"[number]}:X"' for number in range(legs))
    parts.append(f"[pairs.x]\nlegs = [{names}]\n")
    parts.append(
        f'[[timeline]]\nat_s = 0\nclose = {{ pair = "x", reason = "{draws.pick(REASONS)}" }}\n'
    )
    for _ in range(draws.pick((0, 1, 2, 4))):
        parts.append(_fault(draws, legs))
    if draws.chance(1, 3):
        at_s, window = draws.between(0, 20), draws.pick(WINDOWS)
        nth, down_ms = draws.between(1, 4), draws.between(1, 20000)
        parts.append(
            f'[[timeline]]\nat_s = {at_s}\nfault = {{ kind = "crash", '
            f'at = "{window}", nth = {nth}, down_ms = {down_ms} }}\n'
        )
        if (at_s, window, nth) == (0, "w1", 1):
            # The request dies with the process, unrecorded; who got no answer asks again.
            parts.append('[[timeline]]\nat_s = 30\nclose = { pair = "x", reason = "MANUAL" }\n')
    if draws.chance(1, 3):
        parts.append(
            f"[[timeline]]\nat_s = {draws.between(0, 20)}\n"
            f'close = {{ pair = "x", reason = "{draws.pick(REASONS)}" }}\n'
        )
    parts.append('[expect]\ncloses.x.state = "reconciled"\n')
    return "\n".join(parts)


def _leg(draws: Draws, venue: str, qty: int, side: int) -> str:
    latency = draws.pick((0, 5, 40, 400))
    return (
        f'[venues.{venue}]\nprofile = "{draws.pick(PROFILES)}"\n'
        f"latency_ms = {{ request = {latency}, response = {latency}, stream = "
        f"{draws.pick((0, 5, 200))}, public = {draws.pick((0, 3))} }}\n"
        # Without a deadline an order that never arrived waits for a person, for ever.
        f'[venues.{venue}.override]\ndeadline = "matching"\n'
        f'[instruments."{venue}:X"]\ntick = "0.01"\nlot = "0.01"\nmin_qty = '
        f'"{draws.pick(("0.01", "0.20"))}"\nmin_notional = "5"\n'
        f'synthetic = {{ mid = "100", spread_ticks = {draws.pick((2, 6, 30))}, '
        f'vol_bps_per_sqrt_s = {draws.pick((1, 5))}, depth = "{draws.pick(("1", "50"))}", '
        f'trade_rate_per_s = {draws.pick((0, 3))}, correlation = "x" }}\n'
        f'[positions."{venue}:X"]\nqty = "{side * qty // 100}.{qty % 100:02d}"\nentry = "100"\n'
        if side * qty >= 0
        else ""
    ) or _short_leg(draws, venue, qty * side)


def _short_leg(draws: Draws, venue: str, qty: int) -> str:
    """A leg with a negative position: the same text with the sign in front."""
    text = _leg(draws, venue, -qty, 1)
    return text.replace('\nqty = "', '\nqty = "-')


def _fault(draws: Draws, legs: int) -> str:
    venue = "ab"[draws.below(legs)]
    start = draws.between(0, FAULTS_END_S // 2)
    span = draws.between(1, FAULTS_END_S - start)
    share = draws.pick(("1/100", "1/20", "1/5", "1/2"))
    return (
        f'[[timeline]]\nat_s = {start}\nfault = {{ {draws.pick(FAULTS)}, venue = "{venue}", '
        f'for_s = {span}, probability = "{share}" }}\n'
    )


EVERY_PROFILE = (*PROFILES, "backpack", "edgex_grvt", "coinbase", "worst")
#: Profiles of venues that do not heed reduce-only.
HEEDLESS = tuple(
    name for name in EVERY_PROFILE if profile(name).capabilities.reduce_only == "ignored"
)
EVERY_REASON = tuple(sorted(REASON_URGENCY))
#: Words for which a venue may refuse; the others are the engine's own.
REFUSALS = tuple(sorted(END_REASONS - {"ABSENT", "NOT_SENT"}))
#: Of these each waits for a person, or twice as long as the one before.
LASTING = ("AUTH", "BANNED", "MALFORMED", "PERMISSION", "UNSUPPORTED")
MODES = ("post_only", "cancel_only", "maintenance", "halted", "online")
TROUBLE_ENDS_S = 45


def troubled_text(seed: int) -> str:
    """One drawn scenario as TOML: trouble of several kinds, and at its end repair."""
    draws = Draws(seed).child("troubled")
    legs = draws.pick((1, 2, 2, 2))
    first = draws.pick(("", "", ', ratio = "1/3"', ', urgency = "immediate"'))
    timeline = [(0, f'close = {{ pair = "x", reason = "{draws.pick(EVERY_REASON)}"{first} }}')]
    for _ in range(draws.between(2, 8)):
        key = "ab"[draws.below(legs)]
        timeline += draws.pick(_TROUBLES)(draws, key, draws.between(0, TROUBLE_ENDS_S - 5))
    timeline += [(TROUBLE_ENDS_S, f'set = {{ venue = "{key}", mode = "online" }}') for key in "ab"]
    # A word dies with a process that had not recorded it; who got no answer says it again.
    for at_s in (TROUBLE_ENDS_S + 15, TROUBLE_ENDS_S + 45, TROUBLE_ENDS_S + 75):
        timeline += [(at_s, 'engine = "restart"'), (at_s + 1, _word("resume"))]
        timeline += [(at_s + 2, 'close = { pair = "x", reason = "MANUAL" }')]
    # A venue that refused a key or a request is resumed by name; that may be refused again.
    for at_s in range(TROUBLE_ENDS_S + 16, TROUBLE_ENDS_S + 166, 30):
        resumed = (f'operator = {{ command = "resume", venue = "{key}" }}' for key in "ab")
        timeline += [(at_s, what) for what in resumed]
    entries = "\n".join(f"  {{ at_s = {at_s}, {action} }}," for at_s, action in timeline)
    names = ", ".join(f'"{"ab"[number]}:X"' for number in range(legs))
    parts = [
        f'name = "troubled {seed}"\nseed = {seed}\nduration_s = {DURATION_S}',
        f"timeline = [\n{entries}\n]",
        f"[config.close]\nstuck_retry_s = 5\nbackoff_ms = {draws.pick((0, 500))}",
        f"truth_max_age_s = {draws.pick((0, 60))}",
        f"passive_limit = {{ timeout_s = {draws.pick((0, 5, 15))} }}",
        f"aggressive_limit = {{ timeout_s = {draws.pick((0, 10))}, attempts_max = 3 }}",
        *(_troubled_leg(draws, "ab"[number], (1, -1)[number]) for number in range(2)),
        f"[pairs.x]\nlegs = [{names}]",
    ]
    if any(_may_freeze(key, entries, parts) for key in "ab"):
        parts.append('[expect]\ncloses.x.state = ["reconciled", "frozen"]')
        parts.append('never = ["alarm:machine_error"]\n')
    else:
        parts.append('[expect]\ncloses.x.state = "reconciled"')
        parts.append('never = ["alarm:machine_error", "state:close:frozen"]\n')
    return "\n".join(parts)


def _may_freeze(key: str, entries: str, parts: list[str]) -> bool:
    """Whether a person must decide about what the venue took.

    So it is where an order that meets it may open the other side, and after a settlement in a gap,
    which no venue lists among the trades.
    """
    taken = [
        line for line in entries.splitlines() if f'external = {{ instrument = "{key}:X' in line
    ]
    heedless = any(f'[venues.{key}]\nprofile = "{name}"' in "\n".join(parts) for name in HEEDLESS)
    return bool(taken) and (heedless or any("settlement" in line for line in taken))


def _troubled_leg(draws: Draws, venue: str, side: int) -> str:
    """A leg of any profile and contract type, its position finer than the lot at times."""
    venue_profile, latency = draws.pick(EVERY_PROFILE), draws.pick((0, 5, 400))
    kind, multiplier, qty = draws.pick(
        (("linear", "1", "3.21"), ("linear", "1000", "3210"), ("inverse", "10", "320"))
    )
    lot = "1" if kind == "inverse" else draws.pick(("0.01", "0.1"))
    sign = "-" if side < 0 else ""
    return (
        f'[venues.{venue}]\nprofile = "{venue_profile}"\n'
        f"latency_ms = {{ request = {latency}, response = {latency}, stream = "
        f"{draws.pick((0, 5, 200))}, public = 3 }}\n"
        # Where absence cannot be proved, a lost order waits for a person, for ever; where positions
        # are not shown, nobody learns of what the venue took while the link was down.
        'override = { deadline = "matching", lookup = "history", position = "signed" }\n'
        f'[instruments."{venue}:X"]\ntype = "{kind}"\ntick = "0.01"\nlot = "{lot}"\n'
        f'min_qty = "{lot}"\nmin_notional = "5"\nmultiplier = "{multiplier}"\n'
        'book = { bid = "100.00", bid_qty = "1000", ask = "100.10", ask_qty = "1000" }\n'
        f'[positions."{venue}:X"]\nqty = "{sign}{qty}"\nentry = "100"'
    )


Entries = list[tuple[int, str]]


def _word(command: str) -> str:
    target = ', pair = "x"' if command in ("retry", "adopt", "cancel") else ""
    return f'operator = {{ command = "{command}"{target} }}'


def _person(draws: Draws, venue: str, at_s: int) -> Entries:
    command = draws.pick(("halt", "resume", "kill", "retry", "adopt", "cancel"))
    return [(at_s, _word(command)), (at_s + 4, _word("resume"))]


def _asks_again(draws: Draws, venue: str, at_s: int) -> Entries:
    return [(at_s, f'close = {{ pair = "x", reason = "{draws.pick(EVERY_REASON)}" }}')]


def _mode(draws: Draws, venue: str, at_s: int) -> Entries:
    return [(at_s, f'set = {{ venue = "{venue}", mode = "{draws.pick(MODES)}" }}')]


def _rules(draws: Draws, venue: str, at_s: int) -> Entries:
    rule = draws.pick(('min_qty = "2"', 'min_notional = "150"', 'lot = "1"'))
    return [(at_s, f'set = {{ instrument = "{venue}:X", {rule} }}')]


def _book(draws: Draws, venue: str, at_s: int) -> Entries:
    bid, ask = draws.pick((("90", "110"), ("100", "100.01"), ("0", "100.1"), ("0", "0")))
    sizes = [draws.pick(("1", "1000")) if price != "0" else "0" for price in (bid, ask)]
    shown = f'bid = "{bid}", bid_qty = "{sizes[0]}", ask = "{ask}", ask_qty = "{sizes[1]}"'
    usual = 'bid = "100", bid_qty = "1000", ask = "100.1", ask_qty = "1000"'
    books = ((at_s, shown), (TROUBLE_ENDS_S, usual))
    return [(when, f'book = {{ instrument = "{venue}:X", {book} }}') for when, book in books]


def _link(draws: Draws, venue: str, at_s: int) -> Entries:
    on = draws.pick(("book", "user"))
    return [(at_s, f'fault = {{ kind = "forced_close", venue = "{venue}", on = "{on}" }}')]


def _incomplete(draws: Draws, venue: str, at_s: int) -> Entries:
    on = draws.pick(("fills", "open_orders", "positions", "query", "cancel", "rules"))
    return [
        (at_s, f'answer = {{ venue = "{venue}", on = "{on}", outcome = "error", for_s = 5 }}'),
        (at_s + 1, f'fault = {{ kind = "forced_close", venue = "{venue}", on = "user" }}'),
    ]


def _refusal(draws: Draws, venue: str, at_s: int) -> Entries:
    outcome = draws.pick(('"reject"', '"reject"', '"timeout"', '"rest"', '"end"'))
    reason, count = draws.pick(REFUSALS), draws.between(1, 4)
    if reason in LASTING:
        count = 1
    fate = f'outcome = {outcome}, reason = "{reason}", count = {count}'
    return [(at_s, f'answer = {{ venue = "{venue}", on = "create", {fate} }}')]


def _taken(draws: Draws, venue: str, at_s: int) -> Entries:
    kind = draws.pick(("liquidation", "adl", "settlement"))
    qty = draws.pick(("10", "1000"))
    what = f'instrument = "{venue}:X", qty = "{qty}", price = "100", kind = "{kind}"'
    return [(at_s, f"external = {{ {what} }}")]


def _death(draws: Draws, venue: str, at_s: int) -> Entries:
    if draws.chance(1, 3):
        return [(at_s, f'engine = "freeze", for_s = {draws.pick((1, 4))}')]
    command = draws.pick(("kill", "stop"))
    return [(at_s, f'engine = "{command}"'), (at_s + 4, 'engine = "restart"')]


_TROUBLES = (
    _person, _asks_again, _mode, _rules, _book, _link, _incomplete, _refusal, _taken, _death,
)  # fmt: skip
