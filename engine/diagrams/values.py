"""What is known of an expression without running it: the class of its value, or possible constants.

Plain values for `reading`, which follows the code of guards and actions. Holds no rule of its own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

_UNION = re.compile(r"\s*\|\s*")
_COLLECTIONS = frozenset(
    """list tuple set frozenset dict deque Iterable Iterator Sequence Mapping Collection""".split()
)


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression may be.

    `kind` is a class name, several of them joined by `|`, `[X]` for any collection of X. `consts`
    are the constants that it can be; none means that it is no known constant. `thing` is a
    function, class, module or table that the name stands for; `holder` the object that a method or
    attribute was taken from.
    """

    kind: str = ""
    consts: tuple[Any, ...] = ()
    items: tuple[Value, ...] = ()
    thing: Any = None
    holder: Value | None = None

    @property
    def element(self) -> Value:
        """What iterating or indexing gives."""
        if self.items:
            return union(self.items)
        return Value(self.kind[1:-1]) if self.kind.startswith("[") else UNKNOWN

    @property
    def truth(self) -> bool | None:
        """Whether it is true or false; None where that depends."""
        if not self.consts:
            return None
        truths = {bool(const) for const in self.consts}
        return truths.pop() if len(truths) == 1 else None


UNKNOWN = Value()


def constant(value: Any) -> Value:
    """A known constant."""
    return Value(type(value).__name__, (value,))


def named(thing: Any) -> Value:
    """What a global name stands for."""
    if thing is None or isinstance(thing, str | int | bool):
        return constant(thing)
    if isinstance(thing, tuple | list | frozenset):
        return Value(items=tuple(named(each) for each in thing))
    if isinstance(thing, dict):
        return Value(items=tuple(named(each) for each in thing.values()), thing=thing)
    return Value(thing=thing)


def union(values: Iterable[Value]) -> Value:
    """A value that may be any of these; what they do not share is unknown, None aside."""
    known = [each for each in values if each != constant(None)]
    if not known:
        return UNKNOWN
    first = known[0]
    if all(each == first for each in known):
        return first
    kinds = [each.kind for each in known]
    kind = "|".join(dict.fromkeys(kinds)) if all(kinds) else next(filter(None, kinds), "")
    consts: tuple[Any, ...] = ()
    if all(each.consts for each in known):
        consts = tuple(dict.fromkeys(const for each in known for const in each.consts))
    things = {id(each.thing): each.thing for each in known if each.thing is not None}
    return Value(
        kind,
        consts,
        thing=next(iter(things.values())) if len(things) == 1 else None,
    )


def bound(value: Value, holder: Value) -> Value:
    """The same value, remembering what it was taken from."""
    return replace(value, holder=holder)


def literals(annotation: Any) -> tuple[Any, ...]:
    """The constants that an annotation allows; none where it names a class."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def kind_of(annotation: Any) -> str:
    """The class that an annotation names, `[X]` for a collection of X; empty if it is no one."""
    if isinstance(annotation, type):
        return "" if annotation is inspect.Parameter.empty else annotation.__name__
    text = annotation if isinstance(annotation, str) else str(annotation).replace("typing.", "")
    name, bracket, inner = text.removesuffix("]").partition("[")
    if bracket and name.rpartition(".")[2] in _COLLECTIONS and "|" not in name:
        last = inner.removesuffix("]").rsplit(", ", 1)[-1] if name == "dict" else inner
        parts = [part for part in re.split(r",\s*", last) if part != "..."]
        return f"[{kind_of(parts[-1])}]" if parts else ""
    parts = [part for part in _UNION.split(text) if part != "None"]
    return "" if "[" in text else "|".join(part.rpartition(".")[2] for part in parts)
