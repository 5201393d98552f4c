"""Owns every task of the process, and is the one place that catches whatever goes wrong in one.

A failure is recorded, told to the engine, and ends that task alone; a task that the engine cannot
do without asks for an orderly end. It must not know what the tasks do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

import anyio
from anyio.abc import TaskGroup


class Supervisor:
    """A task group whose members cannot hurt each other; an async context manager.

    `on_failure(name, error, vital)` is called in the loop, once per failed task.
    """

    def __init__(self, on_failure: Callable[[str, Exception, bool], None]) -> None:
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
        """Run a task until it returns, fails or the supervisor ends. Cancellation is passed on."""
        assert self._group is not None
        self._group.start_soon(self._guard, name, task, vital, name=name)

    async def _guard(self, name: str, task: Callable[[], Awaitable[None]], vital: bool) -> None:
        try:
            await task()
        except Exception as error:
            self._on_failure(name, error, vital)
