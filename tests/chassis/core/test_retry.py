"""Backoff: its pauses, its two log events, and periodic work."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from chassis.core import logs
from chassis.core.retry import Backoff, backoff_seconds, run_periodically

log = logs.get_logger(__name__)


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [backoff_seconds(failures, first_s=0.1, longest_s=1.0) for failures in range(1, 7)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff_seconds(10_000, first_s=0.1, longest_s=5.0) == 5.0


async def test_several_failures_in_a_row_are_logged_once_at_their_start_and_once_at_their_end() -> None:
    backoff = Backoff(log, "read_something", first_s=0.001, longest_s=0.001)
    with capture_logs() as events:
        for _ in range(3):
            await backoff.sleep(OSError("refused"))
        assert backoff.failures == 3
        backoff.reset()
        backoff.reset()
    assert [(event["event"], event["operation"]) for event in events] == [
        ("retry_started", "read_something"),
        ("retry_succeeded", "read_something"),
    ]
    assert (events[0]["error"], events[1]["failures"]) == ("OSError: refused", 3)


async def test_a_pause_is_no_longer_than_the_caller_allows() -> None:
    backoff = Backoff(log, "read_something", first_s=3600, longest_s=3600)
    async with asyncio.timeout(60):
        await backoff.sleep(OSError("refused"), at_most_s=0)


async def test_periodic_work_goes_on_after_a_failure() -> None:
    runs = 0
    third = asyncio.Event()

    async def action() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("refused")
        if runs == 3:
            third.set()

    task = asyncio.create_task(run_periodically(action, timedelta(milliseconds=1), log, "act"))
    async with asyncio.timeout(60):
        await third.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
