"""SIGINT and SIGTERM: the first asks for an orderly end, which has a deadline; the second ends at once."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import uvloop

from chassis.core import logs

DEADLINE_SECONDS = 9.7
"""From the first signal to the end, whatever hangs. Who runs us is promised ten seconds."""

_timers: ContextVar[list[threading.Timer]] = ContextVar("timers")
"""The deadlines of the `run_loop` that we are in; they end with it."""

log = logs.get_logger(__name__)


def on_signal(first: Callable[[], None]) -> None:
    """From now on the first signal calls `first` (in the loop); it replaces what was said before."""
    loop = asyncio.get_running_loop()
    seen = False

    def received(number: signal.Signals) -> None:
        nonlocal seen
        if seen:
            _end(128 + number)
        seen = True
        log.info("stopping", signal=number.name)
        end_in_time()
        first()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, received, number)


def end_in_time() -> None:
    """From now on `run_loop` has `DEADLINE_SECONDS`; then the process is ended, whatever it is doing."""
    timers = _timers.get(None)
    if timers is None:
        return  # somebody else's loop, and somebody else's process
    timer = threading.Timer(DEADLINE_SECONDS, _too_late)
    timer.daemon = True
    timer.start()
    timers.append(timer)


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Runs `main` on uvloop and returns its exit status. A signal cancels it, unless `main` calls `on_signal`."""

    async def under_signals() -> int:
        task = asyncio.ensure_future(main)
        on_signal(lambda: None if task.done() else _cancel(task))
        try:
            return await task
        except asyncio.CancelledError:
            return 0

    timers: list[threading.Timer] = []
    token = _timers.set(timers)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(under_signals())
    finally:
        _timers.reset(token)
        for timer in timers:
            timer.cancel()


def _cancel(task: "asyncio.Future[int]") -> None:
    task.cancel()


def _too_late() -> None:
    log.error("not stopped in time, ending", seconds=DEADLINE_SECONDS)
    _end(1)


def _end(status: int) -> None:
    # Not sys.exit: nothing may hold us up any more. Children see that their parent is gone.
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)
