"""When an input that could not be fetched is tried again, and when it is given up (pure but for the jitter).

The server of an input may be away for a while: it restarts, is overloaded, or limits requests. What it does then says
nothing about the file, so attempts go on for `span` with growing pauses. Between them the item is back in the queue and
holds no slot.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from chassis.core.retry import backoff_seconds

LONGEST_RETRY_AFTER = timedelta(minutes=10)
"""A server's `Retry-After` is honoured up to this."""
_HOST_UNKNOWN = frozenset({"host_not_found", "name_server_timeout"})
"""After any other reason the host has had an address."""


class FetchFailure(Protocol):
    """An error of a customer's server: FetchError, or StoreFailed."""

    @property
    def reason(self) -> str: ...

    @property
    def retriable(self) -> bool: ...

    @property
    def retry_after_s(self) -> float | None: ...


@dataclass(frozen=True)
class FetchRetries:
    """`span` is the sum of the pauses between attempts from which on the next failure is the last.

    Pauses and not times of clocks are added up, so that a clock that is set ends no job. `unknown_host_span` is that of
    hosts that cannot be found, which most often are mistyped; not of one that was found in an earlier attempt. Pauses
    double from the first to the longest, less up to 30 % of jitter; `jitter` gives numbers from 0 to 1.
    """

    span: timedelta = timedelta(minutes=15)
    unknown_host_span: timedelta = timedelta(seconds=10)
    first_s: float = 1.0
    longest_s: float = 60.0
    jitter: Callable[[], float] = random.random

    def pause(
        self, error: FetchFailure, failures: int, paused_s: float, reasons: Collection[str] = ()
    ) -> timedelta | None:
        """How long until the next attempt; None if there is none.

        `failures` is the number of earlier failures of this kind, `paused_s` the sum of the pauses after them, and
        `reasons` are those of the earlier errors.
        """
        mistyped = error.reason == "host_not_found" and _HOST_UNKNOWN.issuperset(reasons)
        span = min(self.span, self.unknown_host_span) if mistyped else self.span
        if not error.retriable or paused_s >= span.total_seconds():
            return None
        pause = backoff_seconds(failures + 1, first_s=self.first_s, longest_s=self.longest_s)
        pause *= 1.0 - 0.3 * self.jitter()
        if error.retry_after_s is not None:
            wanted = min(error.retry_after_s, LONGEST_RETRY_AFTER.total_seconds())
            # Later than asked for rather than earlier, and not all at the same moment.
            pause = max(pause, wanted * (1.0 + 0.1 * self.jitter()))
        return timedelta(seconds=pause)
