"""Draws random closes under random faults: one seed is one scenario, as text that anybody can run.

Faults stop half way through (their `for_s` ends), after which every close must end. Draws come from
the simulator's own generator, so a seed means the same everywhere.
"""

from __future__ import annotations

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
