"""When a delivery is tried, and what an answer means for it (pure)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DELAYS: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each of the ten attempts: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (75.6 h)."""
ATTEMPTS = len(DELAYS)
JITTER = 0.2
"""Share of a delay by which it varies, so that what failed together is not tried together."""
MAX_RETRY_AFTER = DELAYS[-1]
"""Seconds: a receiver may ask for patience, but no longer than our own longest pause."""
GONE = 410
"""The receiver says that nobody will ever listen there: Standard Webhooks asks to stop at once."""


@dataclass(frozen=True)
class Answer:
    """What became of one attempt. `status` is None where no answer came; `error` then says why, in one word.

    `retry_after` is the header as it came; `excerpt` the first bytes of the body; `seconds` the whole exchange.
    """

    status: int | None
    error: str | None = None
    retry_after: str | None = None
    excerpt: bytes = b""
    address: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True)
class RetryLater:
    """To be tried again after `delay` seconds."""

    delay: float


@dataclass(frozen=True)
class GaveUp:
    """Given up; the row is kept. `reason` is `gone` (410) or `exhausted` (the last attempt failed)."""

    reason: str


Verdict = Delivered | RetryLater | GaveUp


def verdict(answer: Answer, attempt: int, *, jitter: float, now: datetime) -> Verdict:
    """What to do after the answer to attempt number `attempt` (from 1).

    `jitter` is a random number from -1 to 1; `now` is aware. Only 2xx is success: a redirect is a failure.
    """
    if answer.status is not None and 200 <= answer.status <= 299:
        return Delivered()
    if answer.status == GONE:
        return GaveUp("gone")
    if attempt >= ATTEMPTS:
        return GaveUp("exhausted")
    asked = retry_after_seconds(answer.retry_after, now)
    return RetryLater(delay_before(attempt + 1, jitter=jitter, asked=asked))


def delay_before(attempt: int, *, jitter: float, asked: float | None = None) -> float:
    """Seconds between the attempt before and number `attempt` (from 1); never earlier than the schedule says."""
    planned = DELAYS[attempt - 1] * (1 + JITTER * jitter)
    return planned if asked is None else max(planned, min(asked, MAX_RETRY_AFTER))


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` as seconds from now (RFC 9110, 10.2.3: whole seconds or a date); None where it says neither."""
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # int() of a header of thousands of digits is slow and refused by Python: any such number means "the cap".
        return float(text) if len(text) < 12 else MAX_RETRY_AFTER
    try:
        at = parsedate_to_datetime(text)
        # "-0000" parses to a time without a zone; HTTP dates are always GMT.
        return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
    except (ValueError, OverflowError):
        return None
