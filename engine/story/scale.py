"""Axes of a picture: values to points, and round numbers for ticks."""

from __future__ import annotations

from math import ceil, floor, log10


class Scale:
    """A linear scale from `low..high` to `start..end` points."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low = low
        self.high = high if high > low else low + 1
        self.start = start
        self.end = end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, count: int) -> list[float]:
        """About `count` round values within the scale."""
        step = _round_step((self.high - self.low) / max(count, 1))
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _round_step(raw: float) -> float:
    power: float = 10 ** floor(log10(raw)) if raw > 0 else 1
    for factor in (1, 2, 5, 10):
        if raw <= factor * power:
            return factor * power
    return 10 * power


def padded(values: list[float], share: float = 0.08) -> tuple[float, float]:
    """The range of values with some room on both sides."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * 0.0005 or 1.0
    return low - room, high + room


def plain(value: float) -> str:
    """A tick's value without digits that say nothing."""
    return f"{value:.10f}".rstrip("0").rstrip(".") or "0"
