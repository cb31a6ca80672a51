"""When a delivery is attempted, and what the result of an attempt means for it (pure)."""

from dataclasses import dataclass
from datetime import datetime

from chassis.core.retry import retry_after_seconds

DELAYS_S: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each of the ten attempts: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (75.6 h)."""
MAX_ATTEMPTS = len(DELAYS_S)
JITTER = 0.2
"""Share of a delay by which it varies, so that deliveries that failed together are not retried together."""
MAX_RETRY_AFTER_S = DELAYS_S[-1]
"""A receiver's `Retry-After` is honoured up to our own longest delay."""
GONE = 410
"""The endpoint was removed: Standard Webhooks requires senders to stop at once."""


@dataclass(frozen=True)
class AttemptResult:
    """The result of one attempt.

    `status` is the HTTP status, None without a response; `error` is then `timeout`, `tls_failed`, `bad_answer` or
    `unreachable`. `retry_after` and `date` are the headers' texts, `excerpt` the first bytes of the body, `address` the
    IP address of the receiver, `seconds` the duration of the exchange.
    """

    status: int | None
    error: str | None = None
    retry_after: str | None = None
    date: str | None = None
    excerpt: bytes = b""
    address: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Delivered:
    """The receiver responded with 2xx."""


@dataclass(frozen=True)
class RetryLater:
    """Attempt again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True)
class GaveUp:
    """No further attempt; the delivery is kept. `reason`: `gone` (410) or `exhausted` (the last attempt failed)."""

    reason: str


Decision = Delivered | RetryLater | GaveUp


def decide(result: AttemptResult, attempt: int, *, jitter: float, now: datetime) -> Decision:
    """What follows from the result of attempt number `attempt` (from 1).

    `jitter` is a random number from -1 to 1; `now` is timezone-aware. Only 2xx is success: a redirect is a failure.
    """
    if result.status is not None and 200 <= result.status <= 299:
        return Delivered()
    if result.status == GONE:
        return GaveUp("gone")
    if attempt >= MAX_ATTEMPTS:
        return GaveUp("exhausted")
    requested = retry_after_seconds(result.retry_after, now, date=result.date)
    return RetryLater(delay_before(attempt + 1, jitter=jitter, requested=requested))


def delay_before(attempt: int, *, jitter: float, requested: float | None = None) -> float:
    """Seconds between the previous attempt and number `attempt` (from 1): at least what the schedule says."""
    planned = DELAYS_S[attempt - 1] * (1 + JITTER * jitter)
    return planned if requested is None else max(planned, min(requested, MAX_RETRY_AFTER_S))
