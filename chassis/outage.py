"""Something we depend on is away: say so once, pause longer each time, say when it is back."""

import asyncio
import random
import time

import structlog


class Outage:
    """The bookkeeping of one loop that must not give up: `pause` after each failure, `over` after each success."""

    def __init__(
        self, log: structlog.stdlib.BoundLogger, what: str, *, first_s: float = 0.1, longest_s: float = 5.0
    ) -> None:
        self._log = log
        self._what = what
        self._first = first_s
        self._longest = longest_s
        self._failures = 0
        self._since = 0.0

    @property
    def failures(self) -> int:
        """How many failures in a row."""
        return self._failures

    async def pause(self, error: BaseException, *, at_most_s: float | None = None) -> None:
        """Logs the first failure of a row, then sleeps: twice as long each time, up to the longest."""
        if self._failures == 0:
            self._since = time.monotonic()
            self._log.warning(f"{self._what}: trouble, trying on", reason=f"{type(error).__name__}: {error}")
        pause = min(self._longest, self._first * 2 ** min(self._failures, 20))
        self._failures += 1
        # Jitter, so that replicas do not all come back in the same instant; it is no secret.
        pause *= random.uniform(0.7, 1.0)  # noqa: S311
        await asyncio.sleep(pause if at_most_s is None else max(0.0, min(pause, at_most_s)))

    def over(self) -> None:
        """It works again (or it never failed)."""
        if self._failures:
            seconds = round(time.monotonic() - self._since, 1)
            self._log.info(f"{self._what}: works again", failures=self._failures, seconds=seconds)
            self._failures = 0
