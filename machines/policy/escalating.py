"""Which rung comes first and which comes next; decides, never moves.

A rung whose `timeout_s` is 0 does not exist for that pair; market always exists.
"""

from machines.types import (
    AGGRESSIVE,
    MARKET,
    PASSIVE,
    REASON_URGENCY,
    URGENCY_RANK,
    CloseSettings,
    Urgency,
)

#: Beyond the last rung: the ladder is exhausted.
STUCK = 3


def existing_rung(rung: int, settings: CloseSettings, *, resting_allowed: bool = True) -> int:
    """The rung itself, or the next one that this configuration and venue have."""
    if not resting_allowed:
        return max(rung, MARKET)
    if rung == PASSIVE and settings.passive_limit.timeout_ns == 0:
        rung = AGGRESSIVE
    if rung == AGGRESSIVE and settings.aggressive_limit.timeout_ns == 0:
        rung = MARKET
    return rung


def first_rung(urgency: Urgency) -> int:
    """Rung at which a close of this urgency starts."""
    return URGENCY_RANK[urgency]


def urgency_of(reason: str, asked: str | None, settings: CloseSettings) -> Urgency:
    """Urgency of a request: what was asked, else the configuration's word, else the default.

    Raises KeyError for a reason nobody mapped; the caller refuses the request by name.
    """
    if asked is not None:
        if asked not in URGENCY_RANK:
            raise KeyError(asked)
        return asked  # type: ignore[return-value]
    configured = settings.urgency.get(reason)
    return configured if configured is not None else REASON_URGENCY[reason]
