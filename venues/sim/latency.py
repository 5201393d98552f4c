"""Delays of the four paths between an engine and a simulated venue.

Request, response, private stream and public stream are independent; each is first in, first out:
a message arrives at the later of its own time and the previous arrival. This module must not know
what travels.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from machines.types import MS
from venues.numbers import exact, nanoseconds, quoted
from venues.sim.draws import Draws

PATHS = ("request", "response", "stream", "public")
#: Constant part of a recorded path, one way.
BASE_NS = 5 * MS

#: A distribution: (millionths of messages, lag in nanoseconds) in rising order, joined by lines.
Table = tuple[tuple[int, int], ...]


def _table(*tenths_ms: int) -> Table:
    """Lags at p0, p5, p25, p50, p75, p90, p95, p99, p99.9 and the maximum, in tenths of a ms."""
    shares = (0, 50_000, 250_000, 500_000, 750_000, 900_000, 950_000, 990_000, 999_000, 1_000_000)
    return tuple(zip(shares, (lag * MS // 10 for lag in tenths_ms), strict=True))


def _coarse(*tenths_ms: int) -> Table:
    """Lags at p0, p50, p95, p99 and the maximum, in tenths of a ms."""
    shares = (0, 500_000, 950_000, 990_000, 1_000_000)
    return tuple(zip(shares, (lag * MS // 10 for lag in tenths_ms), strict=True))


#: Arrival lags of the recorded captures, per kind: requests and answers take those of all
#: messages, the private stream those of trades, the public one those of the book ticker.
_SPOT_TRADE = _table(0, 9, 16, 20, 27, 47, 79, 182, 250, 250)
_SPOT_ALL = _coarse(0, 27, 63, 120, 250)
_USDM_ALL = _coarse(0, 30, 160, 270, 530)
_COINM_ALL = _coarse(0, 43, 105, 187, 320)
RECORDED: dict[str, dict[str, Table]] = {
    "recorded-spot": {
        "request": _SPOT_ALL,
        "response": _SPOT_ALL,
        "stream": _SPOT_TRADE,
        "public": _SPOT_ALL,
    },
    "recorded-usdm": {
        "request": _USDM_ALL,
        "response": _USDM_ALL,
        "stream": _table(0, 12, 20, 34, 87, 159, 213, 312, 433, 453),
        "public": _table(0, 9, 16, 21, 33, 92, 137, 261, 431, 530),
    },
    "recorded-coinm": {
        "request": _COINM_ALL,
        "response": _COINM_ALL,
        "stream": _table(0, 32, 57, 78, 123, 188, 237, 292, 318, 318),
        "public": _table(0, 19, 30, 49, 68, 88, 106, 191, 262, 318),
    },
}


def sample(table: Table, draws: Draws) -> int:
    """Draw a lag in nanoseconds from a distribution."""
    share = draws.below(1_000_001)
    low_share, low = table[0]
    for high_share, high in table[1:]:
        if share <= high_share:
            return low + (high - low) * (share - low_share) // (high_share - low_share)
        low_share, low = high_share, high
    return low


class Path:
    """One direction of one connection."""

    __slots__ = ("_draws", "_last", "_table", "base_ns", "direct")

    def __init__(self, base_ns: int, table: Table = (), draws: Draws | None = None) -> None:
        self.base_ns = base_ns
        self._table = table
        self._draws = draws
        self._last = 0
        #: Messages arrive at once.
        self.direct = not base_ns and not table

    def due(self, now: int) -> int:
        """Return when a message sent now arrives."""
        due = now + self.base_ns
        if self._table:
            assert self._draws is not None
            due += sample(self._table, self._draws)
        if due < self._last:
            return self._last
        self._last = due
        return due


class Latency:
    """The four paths of one venue."""

    __slots__ = PATHS

    def __init__(self, request: Path, response: Path, stream: Path, public: Path) -> None:
        self.request = request
        self.response = response
        self.stream = stream
        self.public = public


def no_latency() -> Latency:
    """Return paths without delay."""
    return Latency(Path(0), Path(0), Path(0), Path(0))


def _distribution(path: str, value: Mapping[str, Any]) -> Table:
    """Read percentiles, `{ p50 = 2.7, p99 = 12, max = 25 }` in ms; the lowest lag is p0 or 0."""
    points = {0: 0}
    for key, lag in value.items():
        try:
            share = 1_000_000 if key == "max" else int(exact(key.removeprefix("p")) * 10_000)
        except ValueError:
            share = -1
        if not 0 <= share <= 1_000_000 or (key != "max" and not key.startswith("p")):
            raise ValueError(
                f"latency_ms.{path}: {quoted(key)} is no percentile; use p0 to p99.9, max"
            )
        points[share] = _nanoseconds(f"{path}.{key}", lag)
    table = tuple(sorted(points.items()))
    if any(low[1] > high[1] for low, high in pairwise(table)):
        raise ValueError(f"latency_ms.{path}: the percentiles do not rise")
    return table


def _nanoseconds(path: str, value: Any) -> int:
    return nanoseconds(value, MS, f"latency_ms.{path}")


def _path(name: str, value: Any, draws: Draws) -> Path:
    if isinstance(value, Mapping):
        return Path(0, _distribution(name, value), draws)
    if isinstance(value, str) and value in RECORDED:
        return Path(BASE_NS, RECORDED[value][name], draws)
    return Path(_nanoseconds(name, value))


def latency_of(value: Any, venue: str, draws: Draws) -> Latency:
    """Build the paths of a venue from `latency_ms` of a scenario or configuration.

    `value` is a table of paths, each a constant in ms, a table of percentiles or the name of a
    recorded distribution, or one such name for all. What is left out is 0. ValueError lists every
    problem, one per line.
    """
    if isinstance(value, str):
        if value not in RECORDED:
            raise ValueError(
                f"latency_ms: {quoted(value)} is unknown; allowed: {', '.join(sorted(RECORDED))}"
            )
        value = dict.fromkeys(PATHS, value)
    if not isinstance(value, Mapping):
        raise ValueError("latency_ms: expected a table or the name of a recorded distribution")
    errors = [
        f"latency_ms: {quoted(key)} is unknown; allowed: {', '.join(PATHS)}"
        for key in value
        if key not in PATHS
    ]
    built = []
    for name in PATHS:
        try:
            built.append(_path(name, value.get(name, 0), draws.child(f"latency.{venue}.{name}")))
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("\n".join(errors))
    return Latency(*built)
