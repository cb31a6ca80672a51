"""Background tasks with an owner: none is forgotten, none dies unheard."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from chassis import logs

log = logs.get(__name__)


class Tasks:
    """Tasks that live as long as the block:

        async with Tasks() as tasks:
            tasks.start(outbox.relay(producer), "relay")
            tasks.start(runner.run(), "runner")
            yield

    A task that raises ends the block: its owner is cancelled, and the block raises the task's error. At the end of the
    block the tasks are cancelled one after another, the last one first, so that what others stand on stops after them.
    """

    def __init__(self) -> None:
        self._owner: asyncio.Task[Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._errors: list[BaseException] = []
        self._leaving = False
        self._owner_cancelled = False

    async def __aenter__(self) -> "Tasks":
        self._owner = asyncio.current_task()
        return self

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs the coroutine beside the block. It may return early; it may not raise."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        interrupted: asyncio.CancelledError | None = None
        for task in reversed(self._tasks):
            task.cancel()
            while not task.done():
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError as late:
                    # Our own cancellation of the owner may arrive only here; anybody else's means: now.
                    if not self._owner_cancelled or isinstance(error, asyncio.CancelledError):
                        interrupted = late
                        break
                    error = late
        if interrupted is not None:
            for task in self._tasks:
                task.cancel()
            raise interrupted
        if self._owner_cancelled and self._owner is not None:
            self._owner.uncancel()
        if self._errors:
            raise self._errors[0]

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        log.error("background task died", task=task.get_name(), exc_info=error)
        self._errors.append(error)
        if not self._leaving and not self._owner_cancelled and self._owner is not None:
            self._owner_cancelled = True
            self._owner.cancel()
