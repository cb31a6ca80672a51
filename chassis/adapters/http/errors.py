"""How a request is refused: one exception, rendered once at the border.

ApiError
  invalid_input      400  the body or the query breaks a rule; each field is named
  token_missing      401  no key
  token_invalid      401  a wrong or revoked key
  not_found          404  no such thing, or another project's
  method_not_allowed 405
  conflict           409
  range_not_satisfiable 416
  internal_error     500  our fault; nothing of it is told
  unavailable        503  our fault and passing; says when to come again
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from schemas.explain import sentence
from schemas.faults import FieldFault, RequestFault


class ApiError(Exception):
    """An answer that is not the one asked for.

    `kind` is a published code, `message` a sentence for the customer, `faults` the fields that were refused,
    `headers` go out with the answer. Anything raised inside a handler that is not a ApiError becomes a 500.
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


ErrorStyle = Callable[[web.Request, ApiError, str], dict[str, Any]]
"""Makes the JSON body of a refusal from the request, the refusal and the request id."""


def invalid_input(faults: Sequence[FieldFault] | str) -> ApiError:
    """400: the refused fields, or one sentence where the body as a whole is at fault."""
    if isinstance(faults, str):
        return ApiError(400, "invalid_input", faults)
    listed = list(faults)
    return ApiError(400, "invalid_input", sentence(listed), listed)


def token_missing() -> ApiError:
    """401: no key came with the request."""
    message = "This needs an API key, sent as 'Authorization: Bearer ittybit_live_...'."
    return ApiError(401, "token_missing", message, headers={"WWW-Authenticate": "Bearer"})


def token_invalid() -> ApiError:
    """401: a key came, and it is not (or no longer) one of ours. Which of the two is not told."""
    message = "This API key is not valid: it is mistyped, unknown or revoked."
    return ApiError(401, "token_invalid", message, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def not_found(kind: RequestFault = "not_found", message: str = "There is nothing at this address.") -> ApiError:
    """404: no such thing, or a thing of another project: both look the same."""
    return ApiError(404, kind, message)


def method_not_allowed(method: str, allowed: Sequence[str]) -> ApiError:
    """405: the address exists, the method does not; `Allow` lists those that do."""
    listed = ", ".join(sorted(allowed))
    message = f"{method} is not possible at this address; {listed or 'nothing'} is."
    return ApiError(405, "method_not_allowed", message, headers={"Allow": listed})


def conflict(message: str, kind: RequestFault = "conflict") -> ApiError:
    """409: the request contradicts what is there already."""
    return ApiError(409, kind, message)


def range_not_satisfiable(size: int) -> ApiError:
    """416: the asked range lies outside the file of `size` bytes."""
    message = f"The asked range lies outside the file, which has {size} bytes."
    return ApiError(416, "range_not_satisfiable", message, headers={"Content-Range": f"bytes */{size}"})


def unavailable(
    retry_after_s: int = 1, message: str = "The service cannot do this just now; try again soon."
) -> ApiError:
    """503: nothing was stored; the same request may be sent again after `retry_after_s` seconds."""
    return ApiError(503, "unavailable", message, headers={"Retry-After": str(retry_after_s)})


def internal_error() -> ApiError:
    """500: our fault; the request id leads to the log."""
    return ApiError(500, "internal_error", "Something went wrong on our side; the request id leads us to it.")


def bare(_request: web.Request, refusal: ApiError, request_id: str) -> dict[str, Any]:
    """The usual error body: `kind`, `message`, `errors` where fields are at fault, `request_id`."""
    body: dict[str, Any] = {"kind": refusal.kind, "message": refusal.message}
    if refusal.faults:
        body["errors"] = [fault.model_dump() for fault in refusal.faults]
    body["request_id"] = request_id
    return body


def style_for(path: str, styles: Mapping[str, ErrorStyle]) -> ErrorStyle:
    """The style of the longest prefix in `styles` that holds `path`; the bare one where none does."""
    fitting = [prefix for prefix in styles if path == prefix or path.startswith(prefix.rstrip("/") + "/")]
    return styles[max(fitting, key=len)] if fitting else bare
