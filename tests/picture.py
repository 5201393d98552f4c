"""All that can be reached from a core, slot by slot and link by link, to be compared as a whole.

It must not leave a slot out: a class that gains one is pictured with it.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

from machines.core import Core

_PLAIN = (type(None), bool, int, str, bytes, Decimal)
#: What a step hands out is no state of the core.
_NO_STATE = frozenset({"out", "handlers"})

#: The slots of every object by its number, in the order in which they are found.
Picture = dict[str, dict[str, Any]]


def picture(core: Core) -> Picture:
    """Every object that the core can reach, with its slots; links stand as the name of the other.

    Two pictures of one core are equal if and only if nothing has changed between them.
    """
    return _Walk(core).found


class _Walk:
    """Visits each object once; an object is named by its class and its address."""

    def __init__(self, core: Core) -> None:
        self.found: Picture = {}
        self._ahead: deque[Any] = deque()
        self._link(core)
        while self._ahead:
            each = self._ahead.popleft()
            self.found[_name(each)] = {
                slot: self._value(getattr(each, slot)) for slot in _slots(each)
            }

    def _link(self, other: Any) -> str:
        name = _name(other)
        if name not in self.found:
            self.found[name] = {}
            self._ahead.append(other)
        return name

    def _value(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, dict):
            return [(self._value(key), self._value(each)) for key, each in value.items()]
        if isinstance(value, (set, frozenset)):
            return sorted(map(repr, map(self._value, value)))
        if isinstance(value, (list, tuple, deque)):
            return [self._value(each) for each in value]
        if isinstance(value, type):
            return value.__name__
        return self._link(value)


def _name(each: Any) -> str:
    return f"{type(each).__name__} {id(each):x}"


def _slots(each: Any) -> list[str]:
    names = [slot for kind in type(each).__mro__ for slot in getattr(kind, "__slots__", ())]
    names += list(getattr(each, "__struct_fields__", ())) + list(getattr(each, "__dict__", ()))
    return [name for name in dict.fromkeys(names) if name not in _NO_STATE and hasattr(each, name)]
