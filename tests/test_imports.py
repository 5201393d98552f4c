"""Imports go one way, the core stays deterministic, and nothing swallows every error.

All rules read the source as a tree and never run it. An exception to a determinism rule stands on
its own line with a comment `# reason: ...`.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for package in ("machines", "venues", "engine")
        for path in (ROOT / package).rglob("*.py")
    )
)

Faults = Iterator[tuple[int, str]]

# ---------------------------------------------------------------- what may be imported

OURS = {"machines", "venues", "engine", "benchmarks", "tests"}
#: Our own packages that each package may import, as dotted prefixes.
ALLOWED = {
    "machines": ("machines",),
    "venues": ("venues", "machines.types", "machines.messages"),
    "engine": ("engine", "venues", "machines"),
}
#: Third-party packages of the two lower layers; the shell is free.
PACKAGES = {
    "machines": {"msgspec", "transitions"},
    "venues": {"msgspec", "anyio", "h11", "websockets"},
}
#: The standard library's clocks, draws, threads, files and sockets: not for pure code.
IMPURE = set(
    """asyncio concurrent contextvars datetime glob importlib io logging multiprocessing os pathlib
    queue random sched secrets select selectors shutil signal socket sqlite3 ssl subprocess tempfile
    threading time uuid""".split()
)
PURE = ("machines/", "venues/sim/")
#: `transitions` logs unless told not to, before the first machine is built (limits.md 2.3).
EXCUSED = {("machines/table.py", "logging")}


def imports(tree: ast.AST, file: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything imported, relative imports resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.split("/")[: -node.level] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def import_faults(tree: ast.AST, file: str) -> Faults:
    package, pure = file.partition("/")[0], file.startswith(PURE)
    for line, name in imports(tree, file):
        top = name.split(".")[0]
        if top in OURS:
            if not any(f"{name}.".startswith(f"{prefix}.") for prefix in ALLOWED[package]):
                yield line, f"{package} imports {name}"
        elif top in sys.stdlib_module_names:
            if pure and top in IMPURE and (file, top) not in EXCUSED:
                yield line, f"pure code imports {top}"
        elif package in PACKAGES and top not in PACKAGES[package]:
            yield line, f"{package} imports {top}"
        elif pure and top not in PACKAGES["machines"]:
            yield line, f"pure code imports {top}"


# ---------------------------------------------------------------- what pure code may not do

BANNED_CALLS = {"hash", "id", "open", "input", "print", "eval", "exec", "__import__"}


def is_set(node: ast.AST) -> bool:
    """Is this expression visibly a set, in no order that two runs share?"""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"set", "frozenset"}
    return isinstance(node, ast.Set | ast.SetComp)


def iterated(node: ast.AST) -> list[ast.expr]:
    """What a node walks through in its own order."""
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Starred):
        return [node.value]
    ordered = {"list", "tuple", "enumerate", "iter", "map", "zip", "next", "reversed", "deque"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ordered:
        return node.args
    return []


def determinism_faults(tree: ast.AST, file: str) -> Faults:
    if not file.startswith(PURE):
        return
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield line, f"float literal {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield line, "the type float"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in BANNED_CALLS:
                yield line, f"call of {node.func.id}()"
        elif isinstance(node, ast.Attribute) and node.attr in {"popitem", "__hash__"}:
            yield line, f"use of {node.attr}"
        for source in filter(is_set, iterated(node)):
            yield source.lineno, "iteration over a set"


# ---------------------------------------------------------------- who may name a venue or catch all


@cache
def venue_classes() -> set[str]:
    """Concrete venues: the classes under venues/ that take commands."""
    return {"SimVenue"} | {
        node.name
        for file in FILES
        if file.startswith("venues/") and file != "venues/port.py"
        for node in ast.walk(parse(file))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(item, ast.FunctionDef) and item.name == "submit" for item in node.body)
    }


def venue_name_faults(tree: ast.AST, file: str) -> Faults:
    if file.startswith(("venues/", "engine/simulation/")) or file == "engine/app.py":
        return
    concrete = venue_classes()
    for node in ast.walk(tree):
        named = getattr(node, "id", None) or getattr(node, "attr", None)
        if isinstance(node, ast.alias):
            named = node.name
        if named in concrete:
            yield getattr(node, "lineno", 0), f"names the concrete venue {named}"


def names(node: ast.expr | None, *errors: str) -> bool:
    """Is one of `errors` named here, alone or in a tuple?"""
    if isinstance(node, ast.Tuple):
        return any(names(part, *errors) for part in node.elts)
    return isinstance(node, ast.Name) and node.id in errors


def always_raises_again(handler: ast.ExceptHandler) -> bool:
    """Does it clean up and pass on what it caught, with no other way out?"""
    last = handler.body[-1]
    leaves = (ast.Return, ast.Break, ast.Continue)
    return (
        isinstance(last, ast.Raise)
        and last.exc is None
        and not any(isinstance(node, leaves) for node in ast.walk(handler))
    )


def catch_all_faults(tree: ast.AST, file: str) -> Faults:
    if file == "engine/supervisor.py":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None or names(node.type, "Exception"):
                yield node.lineno, "catches everything"
            elif names(node.type, "BaseException") and not always_raises_again(node):
                yield node.lineno, "may swallow cancellation"
        elif (
            isinstance(node, ast.Call)
            and "suppress" in ast.unparse(node.func)
            and any(names(argument, "Exception", "BaseException") for argument in node.args)
        ):
            yield node.lineno, "suppresses everything"


# ---------------------------------------------------------------- applied

RULES: tuple[Callable[[ast.AST, str], Faults], ...] = (
    import_faults,
    determinism_faults,
    venue_name_faults,
    catch_all_faults,
)


def parse(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), file)


def faults(text: str, file: str) -> list[str]:
    """Every breach in a file, one line each; excused lines count for determinism only."""
    tree, lines = ast.parse(text), text.splitlines()
    found = []
    for rule in RULES:
        for line, fault in rule(tree, file):
            if rule is determinism_faults and "# reason: " in lines[line - 1]:
                continue
            found.append(f"{file}:{line}: {fault}")
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_source_file_keeps_direction_determinism_and_errors(file: str) -> None:
    assert faults((ROOT / file).read_text(encoding="utf-8"), file) == []


def test_the_three_packages_are_found() -> None:
    assert {file.split("/")[0] for file in FILES} == {"machines", "venues", "engine"}
    assert {"machines/table.py", "venues/port.py"} <= set(FILES)


BREACHES = {
    "core imports shell": ("machines/a.py", "import engine.clock"),
    "core imports venue": ("machines/a.py", "from venues.port import Port"),
    "core imports venue relatively": ("machines/policy/a.py", "from ...venues import port"),
    "core imports inside a function": ("machines/a.py", "def f():\n    import venues"),
    "venue imports shell": ("venues/a.py", "from engine import clock"),
    "venue imports core logic": ("venues/a.py", "from machines.table import Table"),
    "venue imports core logic as a name": ("venues/a.py", "from machines import core"),
    "shell imports tests": ("engine/a.py", "import tests.conftest"),
    "shell imports benchmarks": ("engine/a.py", "from benchmarks import closes"),
    "core imports a stranger": ("machines/a.py", "import rich"),
    "venue imports a stranger": ("venues/a.py", "import loguru"),
    "core reads a clock": ("machines/a.py", "from time import monotonic_ns"),
    "core draws": ("machines/policy/a.py", "import random"),
    "core reads a date": ("machines/a.py", "from datetime import datetime"),
    "core makes ids": ("machines/a.py", "import uuid"),
    "core makes secrets": ("machines/a.py", "import secrets"),
    "core starts threads": ("machines/a.py", "import threading"),
    "core waits": ("machines/a.py", "import asyncio"),
    "core waits with anyio": ("machines/a.py", "import anyio"),
    "core logs": ("machines/a.py", "import logging"),
    "core logs with loguru": ("machines/a.py", "from loguru import logger"),
    "core reads a database": ("machines/a.py", "import aiosqlite"),
    "core opens sockets": ("machines/a.py", "import websockets"),
    "core asks the system": ("machines/a.py", "import os.path"),
    "table imports more than logging": ("machines/table.py", "import os"),
    "simulated venue reads a clock": ("venues/sim/a.py", "import time"),
    "simulated venue waits": ("venues/sim/a.py", "import anyio"),
    "float literal": ("machines/a.py", "x = 0.1"),
    "float in a signature": ("machines/a.py", "def f(price: float): ..."),
    "float call": ("venues/sim/a.py", "x = float('1')"),
    "hash": ("machines/a.py", "x = hash('a')"),
    "id": ("machines/a.py", "x = id(y)"),
    "open": ("machines/a.py", "x = open('y')"),
    "popitem": ("venues/sim/a.py", "x = orders.popitem()"),
    "for over a set": ("machines/a.py", "for x in {1, 2}: ..."),
    "comprehension over a set": ("machines/a.py", "x = [y for y in set(z)]"),
    "list of a set": ("venues/sim/a.py", "x = list({y for y in z})"),
    "spread of a set": ("machines/a.py", "x = (*frozenset(z),)"),
    "excuse on another line": ("machines/a.py", "# reason: none\nx = 0.1"),
    "excuse of another rule": ("machines/a.py", "import time  # reason: none"),
    "shell names a venue": ("engine/cli.py", "from venues.sim.venue import SimVenue"),
    "shell names a venue by attribute": ("engine/cli.py", "x = venue.SimVenue()"),
    "core catches everything": ("machines/a.py", "try: ...\nexcept Exception: ..."),
    "shell catches everything": ("engine/a.py", "try: ...\nexcept (OSError, Exception): ..."),
    "shell catches it namelessly": ("engine/a.py", "try: ...\nexcept: ..."),
    "shell catches even the end": ("engine/a.py", "try: ...\nexcept BaseException: ..."),
    "shell raises something else": ("engine/a.py", "try: ...\nexcept BaseException: raise OSError"),
    "shell raises again at times": (
        "engine/a.py",
        "def f():\n  try: ...\n  except BaseException:\n    if x: return\n    raise",
    ),
    "shell suppresses everything": ("engine/a.py", "with contextlib.suppress(Exception): ..."),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(breach: str) -> None:
    file, text = BREACHES[breach]
    assert faults(text, file)


ALLOWED_TEXTS = {
    "core imports itself": ("machines/policy/a.py", "from machines.types import BUY"),
    "core imports itself relatively": ("machines/policy/a.py", "from ..types import BUY"),
    "core imports its libraries": ("machines/a.py", "import msgspec, transitions, decimal"),
    "table silences the library": ("machines/table.py", "import logging"),
    "venue imports types": ("venues/a.py", "from machines import messages, types"),
    "wire does I/O": ("venues/wire/a.py", "import anyio, h11, websockets, ssl"),
    "shell imports everything below": ("engine/a.py", "import venues.port, machines.core, rich"),
    "excused": ("machines/a.py", "x = 0.1  # reason: a ratio for people, never compared"),
    "membership in a set": ("machines/a.py", "x = y in {1, 2}"),
    "sorted set": ("machines/a.py", "for x in sorted({1, 2}): ..."),
    "field called id": ("machines/a.py", "x = order.id"),
    "shell uses floats": ("engine/a.py", "x = float('0.1')"),
    "composition root": ("engine/app.py", "from venues.sim.venue import SimVenue"),
    "simulation": ("engine/simulation/world.py", "from venues.sim.venue import SimVenue"),
    "supervisor": ("engine/supervisor.py", "try: ...\nexcept Exception: ..."),
    "cleaning up": ("engine/a.py", "try: ...\nexcept BaseException:\n    x.close()\n    raise"),
    "named errors": ("engine/a.py", "try: ...\nexcept (OSError, ValueError): ..."),
}


@pytest.mark.parametrize("allowed", ALLOWED_TEXTS)
def test_what_is_allowed_is_not_a_breach(allowed: str) -> None:
    file, text = ALLOWED_TEXTS[allowed]
    assert faults(text, file) == []
