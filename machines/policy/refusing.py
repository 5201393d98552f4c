"""What a refusal does to a leg and to its venue, by its reason; decides, never acts.

The reactions are those of venues.md 1.4. Q re-quote and X: an attempt. P read the position, R read
the rules, L repair the link: no attempt the first time. B back off, H halt: no attempt, ever.
"""

from machines.types import NS

REACTIONS: dict[str, str] = {
    **dict.fromkeys(
        "WOULD_CROSS FOK_UNFILLABLE NO_LIQUIDITY SLIPPAGE_BOUND PRICE_BAND".split(), "Q"
    ),
    **dict.fromkeys(
        """REDUCE_ONLY_VIOLATION REDUCE_ONLY_CAPACITY SELF_TRADE UNKNOWN_ORDER
        LIQUIDATED""".split(),
        "P",
    ),
    **dict.fromkeys("BELOW_MIN_QTY BELOW_MIN_NOTIONAL BAD_TICK BAD_LOT ABOVE_MAX".split(), "R"),
    **dict.fromkeys("RATE_LIMITED BANNED OVERLOADED NOT_SENT".split(), "B"),
    **dict.fromkeys("CLOCK_SKEW NONCE".split(), "L"),
    **dict.fromkeys("AUTH PERMISSION VENUE_MODE HALTED UNSUPPORTED MALFORMED".split(), "H"),
    "INSUFFICIENT_MARGIN": "X",
    # An attempt, after the position was read.
    **dict.fromkeys("POSITION_MODE ORDER_LIMIT POSITION_LIMIT IN_LIQUIDATION".split(), "XP"),
}
#: Reasons after which the position is read before the next order of the leg.
READ_FIRST = frozenset(reason for reason, what in REACTIONS.items() if "P" in what)
#: Reasons after which the instrument's rules are read again.
REFRESH_RULES = frozenset(reason for reason, what in REACTIONS.items() if what == "R")
#: What a lane is told, by reason.
LANE_TRIGGERS: dict[str, str] = {
    **dict.fromkeys(("RATE_LIMITED", "OVERLOADED", "NOT_SENT"), "pushed_back"),
    "BANNED": "ban_told",
    **dict.fromkeys(("AUTH", "PERMISSION"), "denied"),
    **dict.fromkeys(("VENUE_MODE", "HALTED"), "mode_refused"),
    **dict.fromkeys(("UNSUPPORTED", "MALFORMED"), "unfit"),
}

#: How long a ban is waited for whose end the venue does not state; doubles.
BAN_NS = 60 * NS
#: How often a venue is asked for its mode after it refused an order for it.
MODE_ASKED_NS = 30 * NS
#: How long a venue may push back before a person is told.
PUSHED_BACK_LONG_NS = 10 * NS
_PUSHED_BACK_NS = NS
_PUSHED_BACK_MAX_NS = 30 * NS


def pushed_back_for(strikes: int) -> int:
    """Pause after refusal number `strikes` + 1 in a row: 1 s, doubling to 30 s."""
    return min(_PUSHED_BACK_NS << min(strikes, 5), _PUSHED_BACK_MAX_NS)


def spends_attempt(reason: str, excused: tuple[str, ...]) -> bool:
    """Whether an order that ended for this reason used up an attempt of its rung.

    `excused` are the reasons for which this leg was excused before without any change since: what
    was read or repaired for nothing is an attempt. A reason that nobody knows is one as well.
    """
    reaction = REACTIONS.get(reason, "X")
    if reaction in ("B", "H", "L"):
        return False
    return reason in excused if reaction in ("P", "R") else True


def wants_lane_shut(reason: str, excused: tuple[str, ...]) -> bool:
    """Whether the link could not be repaired: the same refusal again, so that we back off."""
    return REACTIONS.get(reason) == "L" and reason in excused
