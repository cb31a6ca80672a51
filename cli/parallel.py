"""Several inputs of one command: worked on in parallel, each with a bar, and a summary at the end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from cli.api_client import Refused
from cli.errors import CliError, Unreachable
from cli.job_lines import JobLine
from cli.reporter import Reporter
from cli.safe_text import printable

T = TypeVar("T")
Work = Callable[[JobLine, Reporter], Awaitable[int]]
"""Makes one output and reports its end; returns the exit status. Raises `CliError`."""


async def run_lines(lines: Sequence[JobLine], reporter: Reporter, work: Work, *, at_once: int) -> int:
    """The exit status of all: 0 if every one is done, 3 if all failed because the API does not respond, else 1.

    One input alone raises what its work raises.
    """
    if len(lines) == 1:
        return await work(lines[0], reporter)
    reporters = [reporter.for_input(line.input) for line in lines]
    slots = asyncio.Semaphore(at_once)

    async def run(line: JobLine, own: Reporter) -> int:
        async with slots:
            try:
                return await work(line, own)
            except CliError as error:
                own.result(*failed(line, error))
                return error.status if isinstance(error, Unreachable) else 1

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(line, own)) for line, own in zip(lines, reporters, strict=True)]
    statuses = [task.result() for task in tasks]
    done = statuses.count(0)
    counts = {"object": "summary", "inputs": len(lines), "done": done, "failed": len(lines) - done}
    reporter.result(counts, f"{done} of {len(lines)} done" + (f", {len(lines) - done} failed" if any(statuses) else ""))
    return 0 if not any(statuses) else Unreachable.status if set(statuses) == {Unreachable.status} else 1


def failed(line: JobLine, error: CliError) -> tuple[dict[str, Any], str]:
    """The end of a line whose work raised: for programs, and for people (pure)."""
    fault = {
        "kind": error.kind if isinstance(error, Refused) else "not_done",
        "message": error.message if isinstance(error, Refused) else str(error),
    }
    resource = {"object": "job", "kind": line.kind, "status": "failed", "input": line.input, "output": None}
    return {**resource, "error": fault}, f"{printable(line.input)} failed: {error}"


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. SIGTERM ends it as Ctrl-C does: unfinished files are removed, jobs cancelled."""

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        with suppress(NotImplementedError, ValueError):  # not in the main thread, or on another system
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
