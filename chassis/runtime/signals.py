"""SIGINT and SIGTERM: the first starts an orderly shutdown with a hard deadline, the second exits at once."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import uvloop

from chassis.core import logs

DEADLINE_SECONDS = 9.7
"""From the first signal to the end of the process, in any case. Orchestrators usually send SIGKILL after ten."""

_timers: ContextVar[list[threading.Timer]] = ContextVar("timers")
"""The deadlines of the current `run_loop`; cancelled when it returns."""

log = logs.get_logger(__name__)


def on_signal(first: Callable[[], None], *, within: timedelta = timedelta(0)) -> None:
    """From now on the first signal calls `first` in the event loop; replaces an earlier registration.

    The process ends at latest `DEADLINE_SECONDS` after `within`.
    """
    loop = asyncio.get_running_loop()
    received_one = False

    def received(number: signal.Signals) -> None:
        nonlocal received_one
        if received_one:
            _exit(128 + number)
        received_one = True
        log.info("shutdown_started", signal=number.name)
        start_hard_deadline(within)
        first()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, received, number)


def start_hard_deadline(after: timedelta = timedelta(0)) -> None:
    """Ends the process `DEADLINE_SECONDS` after `after` unless `run_loop` has returned by then."""
    timers = _timers.get(None)
    if timers is None:
        return  # not in a `run_loop` of ours: another program runs this event loop
    seconds = after.total_seconds() + DEADLINE_SECONDS
    timer = threading.Timer(seconds, _exit_at_deadline, (seconds,))
    timer.daemon = True
    timer.start()
    timers.append(timer)


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Runs `main` on uvloop and returns its exit status. A signal cancels it, unless `main` calls `on_signal`."""

    async def cancelled_by_signals() -> int:
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
            return runner.run(cancelled_by_signals())
    finally:
        _timers.reset(token)
        for timer in timers:
            timer.cancel()


def _cancel(task: "asyncio.Future[int]") -> None:
    task.cancel()


def _exit_at_deadline(seconds: float) -> None:
    log.error("shutdown_deadline_exceeded", seconds=seconds)
    _exit(1)


def _exit(status: int) -> None:
    # Not sys.exit: no cleanup may delay the exit. Children end when their parent has ended.
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)
