"""Why a file could not be fetched: a machine-readable reason and technical facts. The caller words it for people."""

from typing import Literal

import aiohttp

from chassis.adapters.egress.hosts import AddressForbidden

FetchReason = Literal[
    "forbidden",  # the egress policy refuses the address, or one that it redirects to
    "host_not_found",
    "connect_failed",
    "tls_failed",
    "disconnected",  # before the response's headers
    "invalid_http",
    "response_timeout",  # no connection or no headers in time
    "too_many_redirects",
    "invalid_redirect",
    "not_found",  # 404, 410
    "denied",  # 401, 403
    "unexpected_status",
    "too_large",
    "empty",
    "truncated",  # the connection ended before the body did
    "stalled",  # no bytes of the body for too long
    "total_timeout",
]
_RETRIABLE: frozenset[FetchReason] = frozenset(
    {"host_not_found", "connect_failed", "disconnected", "response_timeout", "truncated", "stalled"}
)


class FetchError(Exception):
    """The file could not be fetched.

    Of the facts those are set that belong to the reason: `status` (HTTP), `received` and `expected` (bytes of the
    body), `limit` (bytes, seconds or redirects, whichever was passed), `detail` (the egress policy's explanation).
    Neither they nor `str()` hold the URL, which may be signed.
    """

    def __init__(
        self,
        reason: FetchReason,
        *,
        status: int | None = None,
        received: int | None = None,
        expected: int | None = None,
        limit: float | None = None,
        detail: str | None = None,
    ) -> None:
        facts = {"status": status, "received": received, "expected": expected, "limit": limit, "detail": detail}
        super().__init__(" ".join([reason, *(f"{name}={fact}" for name, fact in facts.items() if fact is not None)]))
        self.reason: FetchReason = reason
        self.status = status
        self.received = received
        self.expected = expected
        self.limit = limit
        self.detail = detail

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed later, without anybody changing the address or the file."""
        return self.reason in _RETRIABLE or (self.reason == "unexpected_status" and _is_temporary(self.status or 0))


def from_status(status: int) -> FetchError:
    """The error for a response that is neither the file nor a redirect."""
    if status in (404, 410):
        return FetchError("not_found", status=status)
    if status in (401, 403):
        return FetchError("denied", status=status)
    if status in (204, 205):
        return FetchError("empty", status=status)
    return FetchError("unexpected_status", status=status)


def from_exception(error: Exception) -> FetchError:
    """The error for an exception that came before the response's headers."""
    match error:
        case AddressForbidden():
            return FetchError("forbidden", detail=error.reason)
        case TimeoutError():
            return FetchError("response_timeout")
        case aiohttp.ClientConnectorDNSError():
            return FetchError("host_not_found")
        case aiohttp.ClientSSLError():
            return FetchError("tls_failed")
        case aiohttp.ClientConnectorError():
            return FetchError("connect_failed")
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return FetchError("invalid_http")
        case _:
            return FetchError("disconnected")


def _is_temporary(status: int) -> bool:
    return status >= 500 or status in (408, 425, 429)
