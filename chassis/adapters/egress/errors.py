"""Why a request to a customer's address failed: a machine-readable reason and technical facts, no words for people."""

from typing import Literal

RequestReason = Literal[
    "forbidden",  # the egress policy refuses the address by its text
    "host_not_found",  # or none of its addresses may be contacted; the two must look the same
    "name_server_timeout",
    "connect_failed",
    "tls_failed",
    "disconnected",  # before the response's headers
    "invalid_http",
    "response_timeout",  # no connection or no headers in time
    "head_too_large",
    "too_many_interim_responses",
    "truncated",  # the connection ended before the body did
    "stalled",  # no bytes of the body for too long
    "too_slow",  # fewer bytes of the body than the least rate demands
    "tiny_chunks",  # a body that is mostly framing
]
FetchReason = Literal[
    RequestReason,
    "too_many_redirects",
    "invalid_redirect",
    "not_found",  # 404, 410
    "denied",  # 401, 403
    "unexpected_status",
    "too_large",
    "empty",
    "total_timeout",
    "unsupported_coding",  # Content-Encoding, named in `detail`
    "damaged_coding",  # the body is not what its Content-Encoding says
]
_RETRIABLE: frozenset[FetchReason] = frozenset(
    {
        "host_not_found",
        "name_server_timeout",
        "connect_failed",
        "disconnected",
        "response_timeout",
        "truncated",
        "stalled",
        "too_slow",
    }
)


class RequestError(Exception):
    """A request got no response, or not all of it.

    Of the facts those are set that belong to the reason: `received` and `expected` (bytes of the body), `limit`
    (bytes, bytes per second, seconds or a number of responses, whichever was passed), `detail` (the egress policy's
    explanation). Neither they nor `str()` hold the URL, which may be signed.
    """

    def __init__(
        self,
        reason: RequestReason,
        *,
        received: int | None = None,
        expected: int | None = None,
        limit: float | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(_text(reason, received=received, expected=expected, limit=limit, detail=detail))
        self.reason: RequestReason = reason
        self.received = received
        self.expected = expected
        self.limit = limit
        self.detail = detail


class FetchError(Exception):
    """The file could not be fetched. The facts are those of `RequestError`, and `status` (HTTP).

    `retry_after_s` is what the server asked for in `Retry-After`, unbounded; None without one.
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
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(_text(reason, status=status, received=received, expected=expected, limit=limit, detail=detail))
        self.reason: FetchReason = reason
        self.status = status
        self.retry_after_s = retry_after_s
        self.received = received
        self.expected = expected
        self.limit = limit
        self.detail = detail

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed later, without anybody changing the address or the file."""
        return self.reason in _RETRIABLE or (self.reason == "unexpected_status" and _is_temporary(self.status or 0))


def from_status(status: int, retry_after_s: float | None = None) -> FetchError:
    """The error for a response that is neither the file nor a redirect."""
    if status in (404, 410):
        return FetchError("not_found", status=status)
    if status in (401, 403):
        return FetchError("denied", status=status)
    if status in (204, 205):
        return FetchError("empty", status=status)
    return FetchError("unexpected_status", status=status, retry_after_s=retry_after_s)


def from_request(error: RequestError) -> FetchError:
    """The error of a fetch whose request failed."""
    return FetchError(
        error.reason, received=error.received, expected=error.expected, limit=error.limit, detail=error.detail
    )


def _text(reason: str, **facts: float | str | None) -> str:
    return " ".join([reason, *(f"{name}={fact}" for name, fact in facts.items() if fact is not None)])


def _is_temporary(status: int) -> bool:
    return status >= 500 or status in (408, 425, 429)
