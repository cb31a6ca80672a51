"""Why a file could not be fetched, in words for the uploader."""

import aiohttp

from chassis.adapters.egress.hosts import AddressForbidden
from schemas.faults import FaultKind


class FetchError(Exception):
    """The file could not be fetched: a published code, a sentence without the URL, and whether to try again."""

    def __init__(self, kind: FaultKind, message: str, retriable: bool = False) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.message = message
        self.retriable = retriable


def from_status(status: int) -> FetchError:
    """What an answer that is neither the file nor a redirect means."""
    if status in (404, 410):
        return FetchError("input_not_found", f"The server that holds the file says that it is not there ({status}).")
    if status in (401, 403):
        message = f"The server that holds the file refuses to give it out ({status}): sign the URL or make it public."
        return FetchError("input_denied", message)
    if status in (204, 205):
        return FetchError("input_empty", "The server that holds the file answered without any bytes.")
    message = f"The server that holds the file answered {status} instead of sending it."
    return FetchError("input_unreachable", message, retriable=status >= 500 or status in (408, 425, 429))


def too_large(max_bytes: int) -> FetchError:
    """The file is beyond the limit, by its own word or by what has arrived."""
    return FetchError("input_too_large", f"The file is larger than the limit of {max_bytes} bytes.")


def broken_off(received: int, promised: int | None) -> FetchError:
    """The connection ended before the file did."""
    of = f" of {promised}" if promised is not None else ""
    message = f"The connection to the server that holds the file broke off after {received}{of} bytes."
    return FetchError("input_unreachable", message, retriable=True)


def from_error(error: Exception) -> FetchError:
    """What went wrong before the answer's first byte."""
    match error:
        case AddressForbidden():
            return FetchError("input_forbidden", error.reason)
        case TimeoutError():
            return FetchError("input_timeout", "The server that holds the file did not answer in time.", retriable=True)
        case aiohttp.ClientConnectorDNSError():
            return FetchError("input_unreachable", "The address names a host that cannot be found.", retriable=True)
        case aiohttp.ClientSSLError():
            message = "The server that holds the file has no valid certificate, so that no safe connection is possible."
            return FetchError("input_unreachable", message)
        case aiohttp.ClientConnectorError():
            message = "No connection to the server that holds the file could be made."
            return FetchError("input_unreachable", message, retriable=True)
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return FetchError("input_unreachable", "The server that holds the file does not answer in proper HTTP.")
        case _:
            message = "The server that holds the file broke the connection before it answered."
            return FetchError("input_unreachable", message, retriable=True)
