"""The published schedule; the time is an argument."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.retry import retry_after_seconds
from services.notifier.schedule import (
    DELAYS_S,
    MAX_ATTEMPTS,
    MAX_RETRY_AFTER_S,
    AttemptResult,
    Delivered,
    GaveUp,
    RetryLater,
    decide,
    delay_before,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FAILED = AttemptResult(status=500)


def test_the_schedule_is_the_published_one_of_ten_steps() -> None:
    minute, hour = 60, 3600
    published = (0, 5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour)
    assert published == DELAYS_S
    assert sum(DELAYS_S) == 75 * hour + 35 * minute + 5


@given(attempt=st.integers(2, MAX_ATTEMPTS), jitter=st.floats(-1, 1))
def test_every_delay_is_within_a_fifth_of_the_published_one(attempt: int, jitter: float) -> None:
    planned = DELAYS_S[attempt - 1]
    assert planned * 0.8 - 1e-6 <= delay_before(attempt, jitter=jitter) <= planned * 1.2 + 1e-6


def test_a_delivery_that_always_fails_is_given_up_after_the_last_attempt() -> None:
    decisions = [decide(FAILED, attempt, jitter=0, now=NOW) for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert decisions == [*(RetryLater(delay) for delay in DELAYS_S[1:]), GaveUp("exhausted")]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_delivered_even_at_the_last_attempt(status: int) -> None:
    assert decide(AttemptResult(status), 1, jitter=0, now=NOW) == Delivered()
    assert decide(AttemptResult(status), MAX_ATTEMPTS, jitter=0, now=NOW) == Delivered()


@pytest.mark.parametrize(
    "status", [None, 100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 429, 500, 502, 503, 504]
)
def test_everything_else_is_a_failure_that_is_retried(status: int | None) -> None:
    assert decide(AttemptResult(status, error="x"), 1, jitter=0, now=NOW) == RetryLater(5)


def test_410_gives_up_at_once() -> None:
    assert decide(AttemptResult(410), 1, jitter=0, now=NOW) == GaveUp("gone")


def test_retry_after_in_seconds_postpones() -> None:
    assert decide(AttemptResult(429, retry_after="120"), 1, jitter=0, now=NOW) == RetryLater(120)


def test_retry_after_as_a_date_postpones() -> None:
    date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
    assert decide(AttemptResult(503, retry_after=date), 1, jitter=0, now=NOW) == RetryLater(600)


@pytest.mark.parametrize("off_by", [timedelta(hours=1), -timedelta(hours=1)])
def test_a_date_is_by_the_clock_of_the_receiver_where_the_response_shows_it(off_by: timedelta) -> None:
    date, at = (format_datetime(NOW + off_by + timedelta(minutes=later), usegmt=True) for later in (0, 10))
    assert decide(AttemptResult(503, retry_after=at, date=date), 1, jitter=0, now=NOW) == RetryLater(600)


def test_retry_after_is_never_earlier_than_the_schedule() -> None:
    assert decide(AttemptResult(503, retry_after="1"), 4, jitter=0, now=NOW) == RetryLater(DELAYS_S[4])


@pytest.mark.parametrize("header", ["1000000000", "9" * 5000, format_datetime(NOW + timedelta(days=3650), usegmt=True)])
def test_retry_after_is_capped(header: str) -> None:
    assert decide(AttemptResult(429, retry_after=header), 1, jitter=0, now=NOW) == RetryLater(MAX_RETRY_AFTER_S)


@pytest.mark.parametrize(
    "header",
    [None, "", "abc", "-5", "1.5", "٣", "1e9", "Mon, 99 Foo 2026 12:00:00 GMT", "Sun, 01 Mar 99999 12:00:00 GMT"],
)
def test_an_unreadable_retry_after_is_ignored(header: str | None) -> None:
    assert retry_after_seconds(header, NOW) is None


def test_a_date_that_is_past_means_now_and_a_date_without_a_zone_means_gmt() -> None:
    assert retry_after_seconds("Sun, 01 Mar 2020 12:00:00 GMT", NOW) == 0
    assert retry_after_seconds("Sun, 01 Mar 2026 12:01:00 -0000", NOW) == 60


@given(st.text(), st.none() | st.text())
def test_any_retry_after_header_is_parsed_or_ignored(header: str, date: str | None) -> None:
    seconds = retry_after_seconds(header, NOW, date=date)
    assert seconds is None or seconds >= 0


@given(status=st.none() | st.integers(100, 599), header=st.none() | st.text(), attempt=st.integers(1, MAX_ATTEMPTS))
def test_a_retry_is_always_in_the_future_and_within_the_longest_pause(
    status: int | None, header: str | None, attempt: int
) -> None:
    decision = decide(AttemptResult(status, retry_after=header), attempt, jitter=1, now=NOW)
    if isinstance(decision, RetryLater):
        assert 0 < decision.delay_s <= DELAYS_S[-1] * 1.2
