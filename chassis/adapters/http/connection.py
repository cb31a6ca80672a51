"""One HTTP connection: bounds on how long a client may be silent, and our JSON error for bytes that are not HTTP.

aiohttp itself closes a connection without a complete request head `keepalive_timeout` after its start or its last
response, however few bytes arrive meanwhile (its default is an hour), and discards the unread rest of a body for at
most 10 s. It has no bound for a body that a handler reads, nor for a client that does not read its response, nor for
what it does for a few bytes: it would decompress each body whoever sends it, and a chunk of one byte costs as much as
one of a megabyte.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from chassis.adapters.http.client_address import Network
from chassis.adapters.http.connection_bounds import ConnectionBounds
from chassis.adapters.http.errors import ApiError, expectation_failed, invalid_http, too_many_connections
from chassis.adapters.http.json_body import json_bytes, json_response
from chassis.core import logs
from chassis.core.http_settings import HttpSettings
from chassis.core.ids import new_id
from schemas.faults import error_resource

SLICE_BYTES = 4 * 1024
"""Received bytes that are parsed before their framing is looked at."""
MAX_OVERHEAD_BYTES = 32 * 1024
"""Framing (chunk headers, their extensions, trailers) beyond an eighth of a body. 10 ms of chunks of one byte."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class HttpLimits:
    """How long a connection may wait for its client, in seconds; then it is closed.

    `idle_s`: for the complete head of the next request, from the start of the connection or the last response. Longer
    than the 60 s for which proxies keep unused connections. `body_s`: for the whole body of a request (at most 1 MiB).
    `write_s`: for the client to read what fills the buffers, about 64 KiB; at the end of the connection, all of it.
    `line_bytes` bounds the request line and each header, `headers` their number. `connections` bounds their number, and
    `per_client` that of one client which is not one of `proxies`: see `ConnectionBounds`.
    """

    idle_s: float = 75.0
    body_s: float = 60.0
    write_s: float = 60.0
    line_bytes: int = 8190
    headers: int = 128
    connections: int = 5000
    per_client: int = 512
    proxies: Sequence[Network] = ()

    @classmethod
    def of(cls, settings: HttpSettings) -> "HttpLimits":
        """The limits by the settings."""
        return cls(
            connections=settings.http_connections,
            per_client=settings.http_connections_per_client,
            proxies=settings.trusted_proxies,
        )


class Connection(web.RequestHandler):
    """A connection of `server` with `limits`; `bounds` counts it."""

    __slots__ = ("_body", "_bounds", "_close_deadline", "_limits", "_open_transport", "_wire_bytes", "_write_deadline")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        limits: HttpLimits,
        bounds: "ConnectionBounds[Connection]",
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_s,
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            access_log=None,  # type: ignore[arg-type] # aiohttp's own runner passes None too
            auto_decompress=False,  # `read_json` does it, up to its bound
        )
        self._body: StreamReader | None = None
        """Of the request that was begun last."""
        self._wire_bytes = 0
        """What arrived for it after its first slice."""
        self._bounds = bounds
        self._limits = limits
        self._write_deadline: asyncio.TimerHandle | None = None
        self._close_deadline: asyncio.TimerHandle | None = None
        self._open_transport: asyncio.Transport | None = None
        """Until the connection is lost; `transport` is None as soon as it is to be closed."""

    @property
    def waits_for_head(self) -> bool:
        """Whether it is open and no request is in progress."""
        return self.transport is not None and not self._request_in_progress and not self._messages

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            # A transport is closed once its buffer has been sent, for which it waits without end.
            if self._open_transport is not None:
                self._close_deadline = self._loop.call_later(self._limits.write_s, self._abort_unread)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_transport = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        closed = self._bounds.add(self, str(peer[0]) if peer else None)
        if closed is self and self.transport is not None:
            # Before any request: its bytes would have to be kept until they are complete.
            self.transport.write(_refusal())
        if closed is self:
            self.force_close()
        elif closed is not None:
            closed.evict()

    def evict(self) -> None:
        """Closes the connection at once, whatever its client has not read yet."""
        if self._open_transport is not None:
            self._open_transport.abort()
        self.force_close()

    def data_received(self, data: bytes) -> None:
        # Without bytes, aiohttp parses what it has kept of pipelined requests.
        for start in range(0, len(data) or 1, SLICE_BYTES):
            part = data[start : start + SLICE_BYTES]
            super().data_received(part)
            if not self._goes_on(len(part)):
                break

    def _goes_on(self, received: int) -> bool:
        """Whether more may be parsed. If not, nobody waits for the rest of the body any more."""
        message, body = self._messages[-1] if self._messages else (None, self._body)
        if message is not None and not isinstance(message, RawRequestMessage):
            # aiohttp queues the parser's error behind the request, whose handler would wait for ever.
            self._end_body("the framing of the body is wrong")
            return False
        self._body, self._wire_bytes = body, self._wire_bytes + received if body is self._body else 0
        if body is None or body.is_eof():
            return True
        if self._wire_bytes - body.total_bytes > MAX_OVERHEAD_BYTES + body.total_bytes // 8:
            self._end_body("the body is mostly framing")
            self.close()  # after the response; what arrives until then is discarded unparsed
            return False
        return True

    def _end_body(self, reason: str) -> None:
        if self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(web.RequestPayloadError(reason))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline = self._loop.call_later(self._limits.write_s, self._abort_unread)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_write_deadline()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._open_transport = None
        self._cancel_write_deadline()
        if self._close_deadline is not None:
            self._close_deadline.cancel()
        self._bounds.remove(self)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        # aiohttp refuses an unknown `Expect` before any middleware, in a text that quotes the header.
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = _refuse(expectation_failed(), "ExpectationFailed")
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to bytes that are not HTTP, or to an exception that the middleware let pass."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone
        if request.writer.output_size > 0:
            # The middleware has logged it. Only a closed connection tells the client that the response is incomplete.
            raise ConnectionAbortedError("an exception ended the response")
        if isinstance(exc, HttpProcessingError):
            # Nothing of aiohttp's message is used, because it quotes the request.
            line_bytes = self._limits.line_bytes if isinstance(exc, LineTooLong) else None
            return _refuse(invalid_http(line_bytes), type(exc).__name__)
        if isinstance(exc, UnicodeEncodeError) and "Expect" in request.headers:
            # aiohttp failed to quote an unknown `Expect` that is not UTF-8.
            return _refuse(expectation_failed(), "ExpectationFailed")
        return super().handle_error(request, status, exc, message)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError | HttpProcessingError):
            # In the unread rest of a body, after the response.
            log.info("http_request_invalid", reason=type(error).__name__, status=None)
        else:
            super().log_exception(*args, **kw)

    def _abort_unread(self) -> None:
        if self._open_transport is not None:
            log.info("http_response_unread", seconds=self._limits.write_s)
            # Not `close`, which waits until the buffers have been sent.
            self._open_transport.abort()

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


def _refusal() -> bytes:
    """The response on a connection that is refused, whatever it will be asked."""
    error, request_id = too_many_connections(), new_id("req")
    body = json_bytes(error_resource(error.kind, error.message, error.faults, request_id))
    headers = {
        "X-Request-Id": request_id,
        **error.headers,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        "Server": "bitmill",
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _refuse(error: ApiError, reason: str) -> web.Response:
    """The response to a request that the middleware never sees; it has the headers that the middleware sets."""
    request_id = new_id("req")
    log.info("http_request_invalid", reason=reason, status=error.status, request_id=request_id)
    headers = {"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff", "Server": "bitmill"}
    body = error_resource(error.kind, error.message, error.faults, request_id)
    response = json_response(body, status=error.status, headers=headers)
    response.force_close()
    return response
