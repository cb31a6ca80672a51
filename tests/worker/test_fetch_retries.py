"""How long an input is tried again whose server is away, and when a failure is final at once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.adapters.egress.errors import FetchError, FetchReason, from_status
from worker.fetch_retries import LONGEST_RETRY_AFTER, FetchRetries

PASSING = [503, 500, 502, 504, 429, 408, 425]


def pauses(retries: FetchRetries, error: FetchError) -> list[float]:
    """The pauses between all attempts at an input that fails each time like this, in seconds."""
    made: list[float] = []
    while (pause := retries.pause(error, len(made), sum(made))) is not None:
        made.append(pause.total_seconds())
    return made


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize(
    "error",
    [
        *(from_status(status) for status in PASSING),
        *(FetchError(reason) for reason in ("connect_failed", "disconnected", "response_timeout", "truncated")),
        *(FetchError(reason) for reason in ("stalled", "too_slow", "name_server_timeout")),
    ],
    ids=str,
)
def test_a_server_that_is_away_is_tried_for_ten_minutes_at_least(error: FetchError, jitter: float) -> None:
    made = pauses(FetchRetries(jitter=lambda: jitter), error)
    assert sum(made) >= 600
    assert made[:5] == [pause * (1 - 0.3 * jitter) for pause in (1, 2, 4, 8, 16)]
    assert max(made) <= 60, "a server that is back is noticed within a minute"
    assert len(made) < 30


@pytest.mark.parametrize("status", [404, 410, 403, 401, 400, 405, 204, 304])
def test_a_permanent_response_ends_at_once(status: int) -> None:
    assert pauses(FetchRetries(), from_status(status, retry_after_s=5)) == []


@pytest.mark.parametrize(
    "reason",
    ["forbidden", "tls_failed", "invalid_http", "head_too_large", "tiny_chunks", "too_large", "empty", "total_timeout"],
)
def test_what_waiting_cannot_change_ends_at_once(reason: FetchReason) -> None:
    assert pauses(FetchRetries(), FetchError(reason)) == []


def test_a_host_that_cannot_be_found_is_probably_mistyped_and_given_up_soon() -> None:
    assert 10 <= sum(pauses(FetchRetries(), FetchError("host_not_found"))) < 30
    assert sum(pauses(FetchRetries(span=timedelta(seconds=2)), FetchError("host_not_found"))) < 4


@pytest.mark.parametrize("earlier", ["unexpected_status", "connect_failed", "stalled"])
def test_a_host_that_was_found_before_is_tried_for_as_long_as_any(earlier: FetchReason) -> None:
    """A server that goes away may take its name servers with it: the name is not mistyped."""
    retries = FetchRetries(jitter=lambda: 0.0)
    assert retries.pause(FetchError("host_not_found"), 4, 15.0, [earlier]) == timedelta(seconds=16)
    assert retries.pause(FetchError("host_not_found"), 4, 899.0, ["host_not_found", earlier]) is not None
    assert retries.pause(FetchError("host_not_found"), 4, 900.0, [earlier]) is None
    unknown = ["host_not_found", "name_server_timeout"]
    assert retries.pause(FetchError("host_not_found"), 4, 15.0, unknown) is None


def test_retry_after_is_honoured_and_never_shortens_a_pause() -> None:
    retries = FetchRetries(jitter=lambda: 0.0)
    assert retries.pause(from_status(503, 90), 0, 0.0) == timedelta(seconds=90)
    assert retries.pause(from_status(429, 0), 4, 15.0) == timedelta(seconds=16)
    spread = FetchRetries(jitter=lambda: 1.0).pause(from_status(503, 90), 0, 0.0)
    assert spread is not None and spread >= timedelta(seconds=90)


@given(asked=st.floats(0, 1e9), jitter=st.floats(0, 1), failures=st.integers(0, 10_000), paused=st.floats(0, 899))
def test_every_pause_is_bounded(asked: float, jitter: float, failures: int, paused: float) -> None:
    pause = FetchRetries(jitter=lambda: jitter).pause(from_status(503, asked), failures, paused)
    assert pause is not None and timedelta(0) < pause <= LONGEST_RETRY_AFTER * 1.1
