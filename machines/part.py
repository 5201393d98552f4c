"""Closing a part of a position: how much stays, and whether the part can be traded at all.

A part is asked for as a ratio of what is held when the close starts. It must leave a pair as even
as it was, so what stays is fixed once, and follows a leg of which somebody else takes more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from machines.policy.gating import below_minimum
from machines.types import BUY, SELL

if TYPE_CHECKING:
    from machines.holding_model import Holding

Ratio = tuple[int, int]


def kept(holding: Holding, ratio: Ratio) -> int:
    """Signed units of a position that stay: all but whole lots of the part asked for."""
    numerator, denominator = ratio
    if numerator == denominator:
        return 0
    held = abs(holding.qty)
    lot = holding.instrument.lot
    stays = held - held * numerator // denominator // lot * lot
    return stays if holding.qty > 0 else -stays


def problem(holdings: Iterable[Holding], ratio: Ratio) -> str:
    """Why a part cannot be closed evenly, in words; empty if it can.

    What is closed and what stays must both be tradeable on every leg: else the pair would end naked
    now, or when the rest is closed.
    """
    for holding in holdings:
        stays = abs(kept(holding, ratio))
        part = abs(holding.qty) - stays
        if not holding.qty or not stays:
            continue
        for units, what in ((part, "the part"), (stays, "what would stay")):
            why = _untradeable(holding, units)
            if why:
                base = holding.instrument.base(units)
                return f"{what} of {holding.id}, {base:f}, cannot be traded: {why}"
    return ""


def _untradeable(holding: Holding, units: int) -> str:
    rules = holding.instrument
    touch = holding.book.touch(SELL if holding.qty > 0 else BUY)
    return below_minimum(units, touch, rules, rules.reduce_only_exempt).replace("_", " ")
