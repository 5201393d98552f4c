"""The source of functions, and the small steps of following it: names, branches, comparisons.

Helps `reading`; keeps no state between calls.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any

from engine.diagrams.values import UNKNOWN, Value, constant, kind_of, named, union


@cache
def source_of(function: Callable[..., Any]) -> ast.FunctionDef:
    """The parsed source of a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = tree.body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


@cache
def code_of(function: Callable[..., Any]) -> str:
    """The source of a function as what it computes: without comments, docstring and layout."""
    node = source_of(function)
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return "\n".join(ast.unparse(each) for each in body) or "pass"


def bind(
    function: FunctionType, arguments: list[Value], keywords: dict[str, Value]
) -> dict[str, Value]:
    """Parameters by name; what is not given is known by its default or its annotation."""
    names: dict[str, Value] = {}
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        given = keywords.get(parameter.name, UNKNOWN)
        if parameter.kind is not parameter.KEYWORD_ONLY and number < len(arguments):
            given = arguments[number]
        if given == UNKNOWN and parameter.default is not parameter.empty:
            given = named(parameter.default)
        if given == UNKNOWN:
            given = Value(kind_of(annotation(function, parameter.name)))
        names[parameter.name] = given
    return names


def annotation(function: FunctionType, name: str) -> Any:
    """The annotation of a parameter, or of `return`; empty if there is none."""
    return function.__annotations__.get(name, "")


def is_ours(function: FunctionType) -> bool:
    """Whether a function belongs to the machines, and is followed."""
    return function.__module__.split(".")[0] == "machines"


def taken(holder: Value, method: str) -> Value:
    """What a method of a collection gives: the collection again, or one of its elements."""
    whole = ("values", "copy", "items", "keys")
    return holder if method in whole else holder.element


def compared(op: ast.cmpop, left: Value, right: Value) -> Value:
    """A comparison of two known constants; anything else depends."""
    if len(left.consts) != 1 or len(right.consts) != 1:
        return UNKNOWN
    a, b = left.consts[0], right.consts[0]
    if isinstance(op, ast.Eq | ast.Is):
        return constant(a == b)
    if isinstance(op, ast.NotEq | ast.IsNot):
        return constant(a != b)
    return UNKNOWN


def narrowed(test: ast.expr, function: FunctionType) -> dict[str, Value]:
    """Names whose class a test for it settles."""
    match test:
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), ast.Name(id=cls)]):
            thing = function.__globals__.get(cls)
            return {name: Value(thing.__name__)} if isinstance(thing, type) else {}
    return {}


def patterns(part: Value) -> tuple[str, ...]:
    """What a part of a text that is put together may be; `*` where it may be anything."""
    return tuple(map(str, part.consts)) or ("*",)


def merged(
    first: dict[str, Value], second: dict[str, Value], left_first: bool, left_second: bool
) -> dict[str, Value]:
    """The names after a branch; one that always left does not count."""
    if left_first:
        return second
    if left_second:
        return first
    names = dict.fromkeys([*first, *second])
    return {name: union([each[name] for each in (first, second) if name in each]) for name in names}


def may_leave(node: ast.AST) -> bool:
    """Whether some path through a statement ends the block that it stands in."""
    leaving = (ast.Return, ast.Raise, ast.Continue, ast.Break)
    return any(isinstance(each, leaving) for each in ast.walk(node))


def statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """Every statement directly inside a compound one."""
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body
