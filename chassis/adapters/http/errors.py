"""Errors of the API: one exception with a published code, rendered once, by the middleware.

ApiError
  invalid_input      400  the body or the query breaks a rule; each field is listed
  token_missing      401  no key
  token_invalid      401  a wrong or revoked key
  signature_…        403  signature_missing, signature_invalid, signature_expired: a file needs a signed address
  not_found          404  it does not exist, or belongs to another project
  method_not_allowed 405
  request_timeout    408  the body did not arrive in time
  conflict           409
  payload_too_large  413  the body has more bytes than are read
  unsupported_media_type 415  the body is not JSON, as its Content-Type says, or has an unknown Content-Encoding
  rate_limited       429  more requests than the caller may send (see `rate_limit`)
  range_not_satisfiable 416
  invalid_http       400, 417, 431  the bytes are not HTTP, Expect is unknown, or a line of the head is too long
  internal_error     500  a fault of ours; the response has no details
  unavailable        503  a temporary outage of ours; with Retry-After
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from schemas.explain import format_errors
from schemas.faults import FieldFault, RequestFault, error_resource
from schemas.keys import KEY_PREFIX


class ApiError(Exception):
    """The error response of a request.

    `kind` is a published code, `message` a sentence for the customer, `faults` the invalid fields, `headers` are sent
    with the response. Any other exception of a handler becomes a 503 if it is an outage and a 500 otherwise.
    """

    def __init__(
        self,
        status: int,
        kind: RequestFault,
        message: str,
        faults: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind: RequestFault = kind
        self.message = message
        self.faults = list(faults)
        self.headers = dict(headers or {})


ErrorStyle = Callable[[web.Request, ApiError, str], Mapping[str, Any]]
"""Makes the JSON body of an error response from the request, the error and the request id."""


def invalid_input(faults: Sequence[FieldFault] | str) -> ApiError:
    """400: the invalid fields, or one sentence if the body itself is invalid."""
    if isinstance(faults, str):
        return ApiError(400, "invalid_input", faults)
    listed = list(faults)
    return ApiError(400, "invalid_input", format_errors(listed), listed)


def token_missing() -> ApiError:
    """401: the request has no key."""
    message = f"This needs an API key, sent as 'Authorization: Bearer {KEY_PREFIX}...'."
    return ApiError(401, "token_missing", message, headers={"WWW-Authenticate": "Bearer"})


def token_invalid() -> ApiError:
    """401: the key is mistyped, unknown or revoked; the response does not say which."""
    message = "This API key is not valid: it is mistyped, unknown or revoked."
    return ApiError(401, "token_invalid", message, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def not_found(kind: RequestFault = "not_found", message: str = "There is nothing at this address.") -> ApiError:
    """404: it does not exist, or belongs to another project; both look the same."""
    return ApiError(404, kind, message)


def method_not_allowed(method: str, allowed: Sequence[str]) -> ApiError:
    """405: the path exists, but not with this method; `Allow` lists the methods."""
    listed = ", ".join(sorted(allowed))
    message = f"{method} is not possible at this address" + (f"; possible: {listed}." if listed else ".")
    return ApiError(405, "method_not_allowed", message, headers={"Allow": listed})


def request_timeout(seconds: float) -> ApiError:
    """408: the body of the request did not arrive within `seconds`. The connection is closed."""
    return ApiError(408, "request_timeout", f"The body of the request did not arrive within {seconds:g} seconds.")


def invalid_http(longest_line: int | None = None) -> ApiError:
    """400, or 431 if a line of the head has more than `longest_line` bytes. The connection is closed.

    The sentence repeats nothing of the request.
    """
    if longest_line is not None:
        return ApiError(431, "invalid_http", f"The request line or a header is longer than {longest_line} bytes.")
    message = "This is not a valid HTTP/1.1 request: its first line, a header, or the framing of its body is wrong."
    return ApiError(400, "invalid_http", message)


def expectation_failed() -> ApiError:
    """417: the header `Expect` asks for something else than 100-continue. The connection is closed."""
    return ApiError(417, "invalid_http", "The header Expect may only be 100-continue.")


def conflict(message: str, kind: RequestFault = "conflict") -> ApiError:
    """409: the request contradicts what is stored already."""
    return ApiError(409, kind, message)


def payload_too_large(limit: int) -> ApiError:
    """413: the body has more than `limit` bytes."""
    return ApiError(413, "payload_too_large", f"body must be at most {limit} bytes")


def unsupported_media_type(message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """415: the body is in a format or coding that is not read; `headers` may say which are."""
    return ApiError(415, "unsupported_media_type", message, headers=headers)


def range_not_satisfiable(size: int) -> ApiError:
    """416: the requested range is outside the file of `size` bytes."""
    message = f"The requested range lies outside the file, which has {size} bytes."
    return ApiError(416, "range_not_satisfiable", message, headers={"Content-Range": f"bytes */{size}"})


def unavailable(
    retry_after_s: int = 1, message: str = "The service cannot do this just now; try again soon."
) -> ApiError:
    """503: nothing was stored; the client may send the same request again after `retry_after_s` seconds."""
    return ApiError(503, "unavailable", message, headers={"Retry-After": str(retry_after_s)})


def too_many_connections() -> ApiError:
    """503: a new connection beyond the bound of its client or of all, whose other connections are all in use."""
    return unavailable(5, "Too many connections are open; use each for several requests, or close some, and try again.")


def internal_error() -> ApiError:
    """500: a fault of ours; the log has it under the request id."""
    return ApiError(500, "internal_error", "Something went wrong on our side; the request id leads us to it.")


def default_style(_request: web.Request, error: ApiError, request_id: str) -> Mapping[str, Any]:
    """The usual error body: `kind`, `message`, `errors` if fields are invalid, `request_id`."""
    return error_resource(error.kind, error.message, error.faults, request_id)


def style_for(path: str, styles: Mapping[str, ErrorStyle]) -> ErrorStyle:
    """The style of the longest path prefix in `styles` that contains `path`, else the default one."""
    matching = [prefix for prefix in styles if path == prefix or path.startswith(prefix.rstrip("/") + "/")]
    return styles[max(matching, key=len)] if matching else default_style
