"""asyncio building blocks: a wake-up signal, deadlines, shared calls, supervised tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, TypeVar

from chassis.core import logs

T = TypeVar("T")

log = logs.get_logger(__name__)


class WakeSignal:
    """Wakes coroutines of this process.

    Subscribe, look for work, then wait: no notification in between is missed.

        subscription = signal.subscribe()
        ...  # no work found
        await subscription.wait(timedelta(seconds=1))
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wakes all who subscribed before."""
        self._event.set()
        self._event = asyncio.Event()

    def subscribe(self) -> "WakeSubscription":
        return WakeSubscription(self._event)


class WakeSubscription:
    """Returned by `WakeSignal.subscribe`; receives one notification."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, timeout: timedelta) -> bool:
        """Waits for the notification, at most `timeout`. Returns whether it came."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._event.wait()
        except TimeoutError:
            return False


_abandoned: set[asyncio.Task[Any]] = set()


async def abandon_after(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of the coroutine, or `TimeoutError` after `seconds`, without waiting for the cancelled task to end.

    `asyncio.timeout` cancels the task and waits until it has ended, which a task whose cleanup hangs never does. Here
    such a task is cancelled and no longer awaited.
    """
    task = asyncio.create_task(coroutine)
    try:
        done, _ = await asyncio.wait([task], timeout=max(0.0, seconds))
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError(f"no answer within {seconds:.1f} s")
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    # The set keeps a reference until the task ends; reading its exception keeps asyncio from reporting it.
    _abandoned.add(task)
    task.add_done_callback(_discard_abandoned)
    task.cancel()


def _discard_abandoned(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()


class PausableTimeout:
    """`asyncio.timeout` whose clock can be stopped, for waits that the deadline must not be charged with.

    async with PausableTimeout(20.0) as timeout:
        with timeout.paused():
            await our_own_queue()
        await exchange()
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> "PausableTimeout":
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, trace)

    def expired(self) -> bool:
        """Whether the block was ended by this timeout."""
        return self._timeout.expired()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time spent in this block does not count. Not to be nested."""
        when = self._timeout.when()
        if when is None or self.expired():
            yield
            return
        loop = asyncio.get_running_loop()
        left = when - loop.time()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._timeout.reschedule(loop.time() + left)


class SharedCall(Generic[T]):
    """Calls `call` once for all callers that arrive before it begins; one call at a time.

    Each caller gets the result of a call that began after it arrived, so that the result includes everything before.
    """

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._current: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        if self._next is None:
            self._next = asyncio.create_task(self._begin_after(self._current))
        return await asyncio.shield(self._next)

    async def _begin_after(self, current: "asyncio.Task[T] | None") -> T:
        if current is not None:
            await asyncio.wait([current])
        self._current, self._next = self._next, None
        return await self._call()


class TaskSupervisor:
    """Background tasks that live as long as the block:

        async with TaskSupervisor() as supervisor:
            supervisor.start(outbox.relay(producer), "relay")
            supervisor.start(runner.run(), "runner")
            yield

    A task that raises ends the block: the task that entered the block is cancelled, and the block raises the error.
    At the end of the block the tasks are cancelled one after another in reverse order of their start, so that a task
    stops before those it depends on.
    """

    def __init__(self) -> None:
        self._owner: asyncio.Task[Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._errors: list[BaseException] = []
        self._leaving = False
        self._owner_cancelled = False

    async def __aenter__(self) -> "TaskSupervisor":
        self._owner = asyncio.current_task()
        return self

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs the coroutine beside the block. It may return early; an exception ends the block."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._on_done)

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
                    # Our own cancellation of the owner may arrive only here; any other means "stop waiting".
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

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        log.error("background_task_failed", task=task.get_name(), exc_info=error)
        self._errors.append(error)
        if not self._leaving and not self._owner_cancelled and self._owner is not None:
            self._owner_cancelled = True
            self._owner.cancel()
