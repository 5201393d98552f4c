"""SplitMix64 draws from named child streams: the only randomness of a simulation.

Everything is an integer, so a seed gives the same run on every platform. A stream is found by name:
adding a draw to one moves no other. This module must not read a clock or use a library generator.
"""

from collections.abc import Sequence
from typing import TypeVar

MASK = (1 << 64) - 1
T = TypeVar("T")


def _mix(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def fnv1a(name: str) -> int:
    """Return the 64-bit FNV-1a hash of a name."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


class Draws:
    """One stream of draws."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = self._state = seed & MASK

    def child(self, name: str) -> "Draws":
        """Return the stream `name`; the same one however often and whenever it is asked for."""
        return Draws(Draws(self._seed ^ fnv1a(name)).next())

    def next(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        return _mix(self._state)

    def below(self, bound: int) -> int:
        """Return a uniform integer in 0..bound-1, by rejection."""
        if not 0 < bound <= MASK:
            raise ValueError(f"bound {bound} is outside 1..2**64-1")
        limit = (1 << 64) - (1 << 64) % bound
        while True:
            value = self.next()
            if value < limit:
                return value % bound

    def between(self, low: int, high: int) -> int:
        """Return a uniform integer in low..high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, part: int, whole: int) -> bool:
        """Return True in `part` of `whole` cases."""
        return self.below(whole) < part

    def pick(self, items: Sequence[T]) -> T:
        """Return one item, all equally likely."""
        return items[self.below(len(items))]
