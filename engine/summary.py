"""What a run achieved, close by close, as text of at most 80 columns.

Everything comes from `engine.report` and the venues' own positions. It must not round away a
residual nor show as zero what is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from engine.report import CloseReport, LegReport, close_report
from engine.snapshot import seconds
from machines.close_model import Close, shown
from machines.core import Core
from machines.order_model import Order
from machines.types import NS

_UNKNOWN = "unknown"


def closes_of(core: Core) -> list[Close]:
    """Every close of the session in the order of asking."""
    found = {each.number: each for each in core.finished if not isinstance(each, Order)}
    found.update((each.number, each) for each in core.closes.values())
    return [found[number] for number in sorted(found)]


def summary(core: Core, positions: Mapping[int, int], now: int) -> list[str]:
    """All closes, what is left, and how many pairs are flat at the venues (`positions`: units)."""
    lines: list[str] = []
    for close in closes_of(core):
        lines += describe(close_report(close, now), core, now)
    left = leftovers(core, positions)
    flat = len(core.pairs) - len(left)
    lines += [f"left: {text}" for text in left.values()]
    lines.append(f"{flat} of {len(core.pairs)} flat on the venues' own books")
    return lines


def is_as_asked(core: Core, positions: Mapping[int, int]) -> bool:
    """Whether the venues hold of every pair that was to be closed what was to be kept, or dust."""
    for close in core.closes.values():
        for leg in close.legs:
            units, kept = positions.get(leg.instrument.index), leg.holding.qty - leg.rest
            if close.state != "reconciled" or units is None:
                return False
            if close.outcome != "withdrawn" and units not in (kept, kept + leg.holding.dust):
                return False
    return True


def leftovers(core: Core, positions: Mapping[int, int]) -> dict[str, str]:
    """Pairs that are not flat at their venues, with what is left; recorded dust counts as flat."""
    left = {}
    for name, pair in core.pairs.items():
        parts = []
        for index in pair.legs:
            holding = core.holdings[index]
            units = positions.get(index)
            if units is None:
                parts.append(f"{holding.instrument.key} {_UNKNOWN}")
            elif units and units != holding.dust:
                base = holding.instrument.base(units)
                parts.append(f"{holding.instrument.key} {base.normalize():f}")
        if parts:
            close = core.closes.get(name)
            state = "not asked for" if close is None else close.state
            what = ", ".join(parts)
            left[name] = f"{what if name in what else f'{name} {what}'} ({state})"
    return left


def describe(report: CloseReport, core: Core, now: int) -> list[str]:
    """One close: a line of its own, one of exposure and money, one per leg."""
    span = (report.ended_at or now) - report.started_at
    state = report.outcome or f"NOT ENDED ({report.state})"
    lines = [
        f"{report.name}: {state} in {seconds(span)} s  {report.reason}, {report.urgency}  "
        f"{report.orders} order{'' if report.orders == 1 else 's'}",
        f"  naked {_plain(report.naked_base_s, 3)} base·s, at most "
        f"{_plain(shown(report.naked_max))}; result {_money(report.result)} in quote currency",
    ]
    spent = [f"{state} {seconds(ns)} s" for state, ns in report.dwell.items() if ns >= NS // 20]
    if spent:
        lines.append(f"  {', '.join(spent)}")
    if report.entry_imbalance:
        differed = _plain(shown(report.entry_imbalance))
        lines.append(f"  the legs differed by {differed} base at the start")
    ticks = {holding.instrument.key: holding.instrument.tick for holding in core.holdings}
    for leg in report.legs:
        lines.append(_leg(leg, ticks[leg.key]))
        lines += _costs(leg)
        if leg.residual:
            kind = "dust" if report.outcome else "left"
            lines.append(f"    {kind} {_plain(leg.residual)}")
    return lines


def _costs(leg: LegReport) -> list[str]:
    """Where the leg filled and what it paid beyond the mid, in quote currency."""
    if not leg.filled:
        return []
    rungs = ", ".join(
        f"{rung.removesuffix('_limit')} {_plain(qty)}" for rung, qty in leg.rungs.items()
    )
    parts = [f"    {rungs}"]
    if leg.arrival_mid is not None:
        parts.append(f"mid at start {_plain(leg.arrival_mid)}")
    if leg.slippage:
        parts.append(f"slippage {_money(leg.slippage)}")
    if leg.spread:
        parts.append(f"spread {_money(leg.spread)}")
    if leg.funding:
        parts.append(f"funding {_money(leg.funding)}")
    return ["; ".join(parts)]


def _leg(leg: LegReport, tick: Decimal) -> str:
    share = leg.maker * 100 / leg.filled if leg.filled else None
    places = 1 - int(tick.normalize().as_tuple().exponent)
    average = _plain(leg.average, places) if leg.average is not None else "-"
    orders = f"{leg.orders} order{'' if leg.orders == 1 else 's'}"
    parts = [
        f"  {leg.key:<17} {_plain(leg.filled):>7} @{average:<9} {orders:<8}",
        f"fees {_money(leg.fees)}",
        f"maker {share:.0f}%" if share is not None else "maker -",
        "slip ?" if leg.slippage_bps is None else f"slip {_plain(leg.slippage_bps)} bp",
    ]
    return " ".join(parts)


def _plain(value: Decimal, places: int | None = None) -> str:
    if places is not None:
        value = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{value.normalize():f}" if value else "0"


def _money(value: Decimal | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"
