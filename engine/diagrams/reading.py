"""What guards and actions may do, read from their source: commands, messages, timers, settings.

A transition table names functions; what they append is code. `Reader` follows that code through
every call inside `machines` and lists whatever may happen on some path, so a list can be too long
but never too short: a test holds it against what runs really do. It must not call what it reads.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from types import FunctionType
from typing import Any, NamedTuple

from engine.diagrams.source import (
    annotation,
    bind,
    compared,
    is_ours,
    may_leave,
    merged,
    narrowed,
    patterns,
    source_of,
    statements,
    taken,
)
from engine.diagrams.values import (
    UNKNOWN,
    Value,
    bound,
    constant,
    kind_of,
    literals,
    named,
    union,
)

#: What a chain of calls may be long at the most; the machines' own are shorter than ten.
DEPTH_MAX = 40


class Effect(NamedTuple):
    """One thing that a function may do.

    kind     name                    target
    command  class of the command    kind of an alarm
    tell     trigger                 class of the machine that is told
    arm      tag of the timer        class of the machine whose timer it is
    disarm   tag, `*` for all        the same
    break    invariant               (none)

    `sure` says that every run of the function does it.
    """

    kind: str
    name: str
    target: str = ""
    sure: bool = True


class Found(NamedTuple):
    """What a function may do, in order, and the settings that it reads as (class, field).

    `followed` is itself and every function that it calls in turn.
    """

    effects: tuple[Effect, ...]
    settings: tuple[tuple[str, str], ...]
    followed: tuple[FunctionType, ...] = ()


class Frame:
    """One call being followed: its names, what it returned, whether it still runs for sure."""

    __slots__ = ("function", "names", "returns", "sure")

    def __init__(self, function: FunctionType, names: dict[str, Value], sure: bool) -> None:
        self.function = function
        self.names = names
        self.returns: list[Value] = []
        self.sure = sure


class Reader:
    """Follows functions of the given classes and their modules.

    `classes` are all classes by name, `commands` the names of those that are commands, `settings`
    of those whose fields are configuration.
    """

    def __init__(
        self, classes: dict[str, type], commands: Iterable[str], settings: Iterable[str]
    ) -> None:
        self.classes = classes
        self.commands = frozenset(commands)
        self.settings = frozenset(settings)
        self.fields: dict[str, dict[str, Value]] = {}
        self._effects: list[Effect] = []
        self._read: dict[tuple[str, str], None] = {}
        self._stack: list[tuple[Any, ...]] = []
        self._followed: dict[FunctionType, None] = {}
        self._known: dict[tuple[Any, ...], Found] = {}

    # ------------------------------------------------------------ the interface

    def read(self, function: Callable[..., Any], *arguments: Value) -> Found:
        """Follow a function called with these arguments; what is left out is known by its type."""
        key = (function, arguments)
        if key not in self._known:
            self._effects, self._read, self._followed = [], {}, {}
            self._follow(function, list(arguments), {}, True)
            found = Found(tuple(self._effects), tuple(self._read), tuple(self._followed))
            self._known[key] = found
        return self._known[key]

    def constants(self, function: Callable[..., Any]) -> tuple[Any, ...]:
        """The constants that a function may return; none when it may return anything else."""
        return self._follow(function, [], {}, True).consts

    # ------------------------------------------------------------ calls

    def _follow(
        self,
        function: Callable[..., Any],
        arguments: list[Value],
        keywords: dict[str, Value],
        sure: bool,
    ) -> Value:
        """Run through a function and return what it may return."""
        if not isinstance(function, FunctionType):
            return UNKNOWN
        self._followed[function] = None
        names = bind(function, arguments, keywords)
        key = (function, *(each.consts for each in names.values()))
        if key in self._stack or len(self._stack) > DEPTH_MAX:
            return UNKNOWN
        self._stack.append(key)
        try:
            frame = Frame(function, names, sure)
            self._block(source_of(function).body, frame)
        finally:
            self._stack.pop()
        given = union(frame.returns)
        if given.kind or given.consts or given.items or given.thing is not None:
            return given
        return Value(kind_of(annotation(function, "return")))

    def _block(self, body: list[ast.stmt], frame: Frame) -> bool:
        """Run through statements; True if none after them can be reached."""
        return any(self._statement(each, frame) for each in body)

    # ------------------------------------------------------------ statements

    def _statement(self, node: ast.stmt, frame: Frame) -> bool:
        """Run through one statement; True if it always leaves the block."""
        match node:
            case ast.Return(value=value):
                frame.returns.append(self._value(value, frame) if value else constant(None))
                return True
            case ast.Raise(exc=exc):
                if exc is not None:
                    self._value(exc, frame)
                return True
            case ast.Continue() | ast.Break():
                return True
            case ast.Assign(targets=targets, value=value):
                given = self._value(value, frame)
                for target in targets:
                    self._assign(target, given, frame)
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                given = self._value(value, frame) if value else UNKNOWN
                kind = kind_of(ast.unparse(annotation))
                self._assign(target, Value(kind) if kind else given, frame)
            case ast.If():
                return self._if(node, frame)
            case ast.For():
                self._for(node, frame)
            case ast.While() | ast.Try() | ast.With():
                self._maybe(list(statements(node)), frame)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._value(child, frame)
        return False

    def _if(self, node: ast.If, frame: Frame) -> bool:
        test = self._value(node.test, frame)
        if test.kind == "timers" and not node.orelse and not may_leave(node):
            # Without timers there is nothing to stop, so stopping them is done for sure.
            return self._block(node.body, frame)
        truth = test.truth
        if truth is not None:
            return self._block(node.body if truth else node.orelse, frame)
        sure, names = frame.sure, dict(frame.names)
        frame.sure = False
        frame.names |= narrowed(node.test, frame.function)
        first = self._block(node.body, frame)
        then, frame.names = frame.names, names
        second = self._block(node.orelse, frame)
        frame.names = merged(then, frame.names, first, second)
        frame.sure = sure and not (first or second or may_leave(node))
        return first and second

    def _for(self, node: ast.For, frame: Frame) -> None:
        over = self._value(node.iter, frame)
        if over.items and all(each.consts for each in over.items):
            for item in over.items:
                self._assign(node.target, item, frame)
                self._block(node.body, frame)
            return
        self._assign(node.target, over.element, frame)
        self._maybe([*node.body, *node.orelse], frame)

    def _maybe(self, body: list[ast.stmt], frame: Frame) -> None:
        """Run through what may happen or not, and may leave the function."""
        sure, frame.sure = frame.sure, False
        for each in body:
            self._statement(each, frame)
        frame.sure = sure and not any(map(may_leave, body))

    def _assign(self, target: ast.expr, given: Value, frame: Frame) -> None:
        match target:
            case ast.Name(id=name):
                frame.names[name] = given
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                each = given.items if len(given.items) == len(parts) else ()
                for number, part in enumerate(parts):
                    self._assign(part, each[number] if each else given.element, frame)
            case ast.Subscript(value=value, slice=index):
                holder = self._value(value, frame)
                if holder.kind == "timers":
                    self._timers("arm", [self._value(index, frame)], holder, frame)
            case ast.Attribute(value=value, attr=name):
                holder = self._value(value, frame)
                if holder.kind in self.fields and name not in self.fields[holder.kind]:
                    # What `__init__` puts there says of which kind it is, not what it stays.
                    self.fields[holder.kind][name] = Value(given.kind)

    # ------------------------------------------------------------ expressions

    def _value(self, node: ast.expr | None, frame: Frame) -> Value:
        """What an expression may be; whatever it does is noted."""
        match node:
            case None | ast.Lambda():
                return UNKNOWN
            case ast.Constant(value=value):
                return constant(value)
            case ast.Name(id=name):
                return self._name(name, frame)
            case ast.Attribute(value=value, attr=name):
                return self._attribute(self._value(value, frame), name, frame)
            case ast.Call():
                return self._call(node, frame)
            case ast.Subscript(value=value, slice=index):
                return self._item(self._value(value, frame), self._value(index, frame))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._either(test, body, orelse, frame)
            case ast.NamedExpr(target=target, value=value):
                given = self._value(value, frame)
                self._assign(target, given, frame)
                return given
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, frame)
        return self._combined(node, frame)

    def _combined(self, node: ast.expr, frame: Frame) -> Value:
        """What an expression made of several others may be."""
        parts = [
            self._value(child, frame)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        ]
        match node:
            case ast.BoolOp():
                return union(parts)
            case ast.Compare(ops=[op]):
                return compared(op, *parts)
            case ast.Tuple() | ast.List() | ast.Set():
                return Value(items=tuple(parts))
            case ast.Dict(keys=keys):
                return Value(items=tuple(parts[len([key for key in keys if key]) :]))
            case ast.JoinedStr():
                return Value("str", tuple(map("".join, product(*map(patterns, parts)))))
            case ast.FormattedValue():
                return parts[0]
        return UNKNOWN

    def _name(self, name: str, frame: Frame) -> Value:
        if name in frame.names:
            return frame.names[name]
        thing = frame.function.__globals__.get(name, self.classes.get(name, UNKNOWN))
        return UNKNOWN if thing is UNKNOWN else named(thing)

    def _either(self, test: ast.expr, body: ast.expr, other: ast.expr, frame: Frame) -> Value:
        truth = self._value(test, frame).truth
        if truth is not None:
            return self._value(body if truth else other, frame)
        sure, names = frame.sure, frame.names
        frame.sure = False
        second = self._value(other, frame)
        frame.names = names | narrowed(test, frame.function)
        given = union([self._value(body, frame), second])
        frame.sure, frame.names = sure, names
        return given

    def _item(self, holder: Value, index: Value) -> Value:
        if holder.kind == "arguments":
            return Value("Out") if index.consts == (1,) else UNKNOWN
        first = index.consts[0] if index.consts else None
        if isinstance(first, int) and -len(holder.items) <= first < len(holder.items):
            return holder.items[first]
        return holder.element

    def _comprehension(self, node: Any, frame: Frame) -> Value:
        sure, frame.sure = frame.sure, False
        for generator in node.generators:
            over = self._value(generator.iter, frame)
            self._assign(generator.target, over.element, frame)
            for condition in generator.ifs:
                self._value(condition, frame)
        element = self._value(node.value if isinstance(node, ast.DictComp) else node.elt, frame)
        frame.sure = sure
        return Value(f"[{element.kind}]") if element.kind else UNKNOWN

    # ------------------------------------------------------------ attributes

    def _attribute(self, holder: Value, name: str, frame: Frame) -> Value:
        if holder.thing is not None and holder.kind == "":
            return bound(named(getattr(holder.thing, name, None)), holder)
        if holder.kind == "EventData":
            return (holder.holder or UNKNOWN) if name == "model" else Value("arguments")
        if name == "timers" and holder.kind:
            return bound(Value("timers"), holder)
        if "|" in holder.kind:
            each = [replace(holder, kind=kind) for kind in holder.kind.split("|")]
            return union([self._attribute(one, name, frame) for one in each])
        cls = self.classes.get(holder.kind)
        if cls is None:
            return Value(holder=holder)
        found = inspect.getattr_static(cls, name, None)
        if isinstance(found, property) and found.fget is not None:
            return self._follow(found.fget, [holder], {}, frame.sure)
        if isinstance(found, FunctionType):
            return Value(thing=found, holder=holder)
        if holder.kind in self.settings:
            self._read.setdefault((holder.kind, name))
        return bound(self._field(cls, name), holder)

    def _field(self, cls: type, name: str) -> Value:
        """What an attribute holds: by the class's annotations, else by its `__init__`."""
        for each in cls.__mro__:
            annotations = inspect.get_annotations(each)
            if name in annotations:
                return Value(kind_of(annotations[name]), literals(annotations[name]))
        if cls.__name__ not in self.fields:
            self.fields[cls.__name__] = {}
            init = inspect.getattr_static(cls, "__init__", None)
            if isinstance(init, FunctionType):
                effects, read = list(self._effects), dict(self._read)
                self._follow(init, [Value(cls.__name__)], {}, False)
                self._effects, self._read = effects, read
        return self.fields[cls.__name__].get(name, UNKNOWN)

    # ------------------------------------------------------------ what is called

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        called = self._value(node.func, frame)
        arguments = [self._value(each, frame) for each in node.args]
        keywords = {each.arg: self._value(each.value, frame) for each in node.keywords if each.arg}
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        holder = called.holder or UNKNOWN
        if holder.kind == "timers":
            if method in ("clear", "pop"):
                self._timers("disarm", arguments or [constant("*")], holder, frame)
            return UNKNOWN
        if method in ("tell", "fire") and len(arguments) > 1:
            self._tell(arguments[0], arguments[1], frame)
            return UNKNOWN
        if isinstance(called.thing, type):
            return self._made(called.thing, arguments, keywords, frame)
        if isinstance(called.thing, FunctionType):
            if is_ours(called.thing):
                own = [holder] if holder.kind else []
                return self._follow(called.thing, own + arguments, keywords, frame.sure)
            return UNKNOWN
        if method and holder != UNKNOWN:
            return taken(holder, method)
        first = arguments[0] if arguments else UNKNOWN
        if isinstance(node.func, ast.Name) and node.func.id == "zip":
            return Value(items=(Value(items=tuple(each.element for each in arguments)),))
        return first

    def _made(
        self, cls: type, arguments: list[Value], keywords: dict[str, Value], frame: Frame
    ) -> Value:
        name = cls.__name__
        if name in self.commands and name != "Arm":
            kinds: tuple[Any, ...] = ("",)
            if name == "Alarm":
                kinds = (keywords.get("kind") or arguments[1]).consts or ("*",)
            for kind in kinds:
                self._note("command", name, str(kind), frame)
        elif name == "InvariantBroken":
            for const in arguments[0].consts:
                self._note("break", str(const), "", frame)
        elif cls in (list, tuple, set, frozenset, dict) and arguments:
            return arguments[0]
        return Value(name)

    def _tell(self, machine: Value, trigger: Value, frame: Frame) -> None:
        sure = len(trigger.consts) == 1
        if not trigger.consts and not machine.kind:
            # The delivery of mail: what it carries was noted where it was put in.
            return
        for const in trigger.consts or ("*",):
            self._note("tell", str(const), machine.kind, frame, sure=sure)

    def _timers(self, kind: str, tags: list[Value], holder: Value, frame: Frame) -> None:
        owner = holder.holder.kind if holder.holder is not None else ""
        consts = tags[0].consts
        for const in consts or ("*",):
            sure = len(consts) == 1
            self._note(kind, str(const), owner, frame, sure=sure)

    def _note(self, kind: str, name: str, target: str, frame: Frame, *, sure: bool = True) -> None:
        self._effects.append(Effect(kind, name, target, frame.sure and sure))
