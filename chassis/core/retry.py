"""Backoff with jitter for loops that retry until a dependency works again, periodic work, and `Retry-After`."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NoReturn

import structlog


def backoff_seconds(failures: int, *, first_s: float, longest_s: float) -> float:
    """The pause after failure number `failures` (from 1), without jitter: doubles from `first_s` up to `longest_s`."""
    return min(longest_s, first_s * 2.0 ** min(failures - 1, 20))


LONGEST_RETRY_AFTER_S = 1e9
"""What `retry_after_seconds` gives for more."""


def retry_after_seconds(header: str | None, now: datetime, *, date: str | None = None) -> float | None:
    """`Retry-After` as seconds from now (RFC 9110, 10.2.3: whole seconds or a date); None where it is neither.

    `date` is the `Date` of the same response: the sender's clock, which the date in `Retry-After` is by. Without it,
    `now` stands for it, by our own clock.
    """
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # int() of thousands of digits is slow and refused by Python: such a number is above any limit.
        return float(text) if len(text) < 12 else LONGEST_RETRY_AFTER_S
    at = _http_date(text)
    return None if at is None else max(0.0, (at - (_http_date(date or "") or now)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
        # "-0000" parses to a time without a zone; HTTP dates are always GMT.
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


class Backoff:
    """The pauses of one loop: call `sleep` after each failure, `reset` after each success.

    Logs `retry_started` at the first of several failures in a row, and `retry_succeeded` at the next success.
    `operation` names the loop in these events, e.g. `connect_to_postgres`.
    """

    def __init__(
        self, log: structlog.stdlib.BoundLogger, operation: str, *, first_s: float = 0.1, longest_s: float = 5.0
    ) -> None:
        self._log = log
        self._operation = operation
        self._first = first_s
        self._longest = longest_s
        self._failures = 0
        self._since = 0.0

    @property
    def failures(self) -> int:
        """The number of failures in a row."""
        return self._failures

    async def sleep(self, error: BaseException, *, at_most_s: float | None = None) -> None:
        """Counts a failure and sleeps, twice as long each time, up to the longest pause or `at_most_s`."""
        if self._failures == 0:
            self._since = time.monotonic()
            self._log.warning("retry_started", operation=self._operation, error=f"{type(error).__name__}: {error}")
        self._failures += 1
        pause = backoff_seconds(self._failures, first_s=self._first, longest_s=self._longest)
        # Jitter, so that replicas do not retry at the same instant.
        pause *= random.uniform(0.7, 1.0)  # noqa: S311
        await asyncio.sleep(pause if at_most_s is None else max(0.0, min(pause, at_most_s)))

    def reset(self) -> None:
        """The operation succeeded."""
        if self._failures:
            seconds = round(time.monotonic() - self._since, 1)
            self._log.info("retry_succeeded", operation=self._operation, failures=self._failures, seconds=seconds)
            self._failures = 0


async def run_periodically(
    action: Callable[[], Awaitable[object]], every: timedelta, log: structlog.stdlib.BoundLogger, operation: str
) -> NoReturn:
    """Runs `action` now and then every `every`, until cancelled. Retries a failure with `Backoff`.

    `operation` names the action in the log.
    """
    backoff = Backoff(log, operation)
    while True:
        try:
            await action()
        except Exception as error:  # noqa: BLE001 - a dependency may fail with any exception
            await backoff.sleep(error)
            continue
        backoff.reset()
        await asyncio.sleep(every.total_seconds())
