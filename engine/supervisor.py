"""Owns every task of the process, and is the one place that catches whatever goes wrong in one.

A failure of any class is told to whoever listens, and ends that task alone; so does the end of a
task that should have none. It must not know what the tasks do, nor what follows from their end.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup
from loguru import logger

T = TypeVar("T")


class Returned(Exception):
    """A task that runs without end has returned."""


class Stray(Exception):
    """A task was cancelled by nobody who may: something it waited for was."""


class Supervisor:
    """A task group whose members cannot hurt each other; an async context manager.

    `on_failure(name, error, vital)` is called in the loop, once per failed task.
    """

    def __init__(self, on_failure: Callable[[str, BaseException, bool], None]) -> None:
        self._on_failure = on_failure
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Supervisor:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Cancel all tasks and wait for them; what they shield is finished first."""
        assert self._group is not None
        self._group.cancel_scope.cancel()
        return await self._group.__aexit__(kind, error, trace)

    def start(self, name: str, task: Callable[[], Awaitable[None]], *, vital: bool = True) -> None:
        """Run a task without end, until it fails or the supervisor ends. Cancellation is passed on.

        That it returns is a failure too.
        """
        assert self._group is not None
        self._group.start_soon(self._endless, name, task, vital, name=name)

    def start_once(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task to its end; it is not vital. Cancellation is passed on."""
        assert self._group is not None
        self._group.start_soon(self._guard, name, task, False, name=name)

    async def attempt(self, name: str, task: Callable[[], Awaitable[T]]) -> T | None:
        """Await a vital task that has an end; None if it failed. Cancellation is passed on."""
        return await self._guard(name, task, True)

    async def _endless(self, name: str, task: Callable[[], Awaitable[None]], vital: bool) -> None:
        async def endless() -> None:
            await task()
            raise Returned("it returned, and should not have")

        await self._guard(name, endless, vital)

    async def _guard(self, name: str, task: Callable[[], Awaitable[T]], vital: bool) -> T | None:
        try:
            return await task()
        except GeneratorExit:
            raise
        except anyio.get_cancelled_exc_class():
            if anyio.current_effective_deadline() == -math.inf:
                raise
            self._tell(name, Stray("it was cancelled by nobody who may"), vital)
        except BaseException as error:
            self._tell(name, error, vital)
        return None

    def _tell(self, name: str, error: BaseException, vital: bool) -> None:
        failed = attempted(lambda: self._on_failure(name, error, vital))
        if failed is not None:
            logger.error("the end of {} cannot be told: {}", name, describe(failed))


def attempted(action: Callable[[], object]) -> BaseException | None:
    """Do what must not keep the rest from being done; return what went wrong, None if nothing."""
    try:
        action()
    except BaseException as error:
        return error
    return None


def describe(error: BaseException) -> str:
    """An error in one line: its class, and what it says; of a group, what each of them says."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(describe(each) for each in error.exceptions)
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
