"""Fetching inputs: what is retried in place, and which sentence each failed download becomes."""

import errno
from datetime import timedelta
from typing import get_args

import pytest

from chassis.adapters.egress.errors import FetchError, FetchReason
from chassis.adapters.storage import StorageFull, StorageUnavailable
from schemas.faults import FAULTS
from worker.input import fetch_fault, retry_while_full


class FailingOperation:
    """Raises `error` so many times, then returns."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error = error
        self.failures = failures
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


@pytest.mark.parametrize("error", [StorageFull("full"), StorageUnavailable("away"), OSError(errno.ENOSPC, "no space")])
async def test_a_full_disk_and_an_unreachable_storage_are_waited_for(error: Exception) -> None:
    operation = FailingOperation(error, 3)
    assert await retry_while_full(operation, first_pause_s=0.001) == "done"
    assert operation.calls == 4


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), ValueError("wrong")])
async def test_other_errors_are_raised_at_once(error: Exception) -> None:
    operation = FailingOperation(error, 1)
    with pytest.raises(type(error)):
        await retry_while_full(operation, first_pause_s=0.001)
    assert operation.calls == 1


async def test_the_wait_ends_with_the_error() -> None:
    full = FailingOperation(StorageFull("full"), 1_000_000)
    with pytest.raises(StorageFull):
        await retry_while_full(full, timeout=timedelta(milliseconds=20), first_pause_s=0.001)
    assert full.calls > 1


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            FetchError("forbidden", detail="Port 22 belongs to another protocol than HTTP."),
            "input_forbidden",
            "Port 22 belongs to another protocol than HTTP.",
        ),
        (
            FetchError("not_found", status=404),
            "input_not_found",
            "The server that holds the file says that it is not there (404).",
        ),
        (
            FetchError("denied", status=403),
            "input_denied",
            "The server that holds the file refuses to give it out (403): sign the URL or make it public.",
        ),
        (
            FetchError("too_large", expected=11 * 1024**3, limit=10 * 1024**3),
            "input_too_large",
            "The file is larger than the limit of 10737418240 bytes.",
        ),
        (FetchError("empty", received=0), "input_empty", "The server that holds the file sent no bytes."),
        (
            FetchError("total_timeout", limit=0.5),
            "input_timeout",
            "The file did not arrive within 0.5 seconds.",
        ),
        (
            FetchError("stalled", received=3),
            "input_timeout",
            "The server that holds the file stopped sending after 3 bytes.",
        ),
        (
            FetchError("truncated", received=5, expected=100),
            "input_unreachable",
            "The connection to the server that holds the file broke off after 5 of 100 bytes.",
        ),
        (
            FetchError("truncated", received=5),
            "input_unreachable",
            "The connection to the server that holds the file broke off after 5 bytes.",
        ),
        (
            FetchError("too_many_redirects", limit=5),
            "input_unreachable",
            "The address redirects more than 5 times.",
        ),
    ],
)
def test_a_failed_download_becomes_a_sentence(error: FetchError, kind: str, message: str) -> None:
    fault = fetch_fault(error)
    assert (fault.kind, fault.message) == (kind, message)


@pytest.mark.parametrize("reason", get_args(FetchReason))
def test_every_reason_has_a_published_code_and_a_sentence(reason: FetchReason) -> None:
    fault = fetch_fault(FetchError(reason, status=500, received=1, limit=2, detail="Not public."))
    assert fault.kind in FAULTS
    assert fault.message.endswith(".") and "None" not in fault.message
