"""How long a request may take until its response begins: one that waits for a server of ours ends with 503 in time.

The steps of a handler have deadlines of their own, whose sum may be more than a client waits for.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

RESPONSE_SECONDS = 8.0
"""With the 2 s for giving back a connection to Postgres that hangs, a request ends within 10 s."""


_TOLERANCE = 0.01


class ResponseDeadline:
    """The deadline of one request. It begins once the body has arrived, and ends when the response begins."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds
        self._over = False
        self._now = asyncio.get_running_loop().time

    def begin(self, more_s: float = 0.0) -> None:
        """From now on the handler has its time, and `more_s` seconds for what it waits for on purpose."""
        end, known = self._now() + self._seconds + more_s, self._timeout.when()
        # Most bodies are there at once: a timer made anew for a few milliseconds would cost more than it is worth.
        if known is None or abs(end - known) > _TOLERANCE * self._seconds:
            self._reschedule(end)

    def end(self) -> None:
        """The response has begun, or the handler has ended."""
        self._reschedule(None)
        self._over = True

    def _reschedule(self, when: float | None) -> None:
        # One that has expired cannot be changed any more.
        if not self._over and not self._timeout.expired():
            self._timeout.reschedule(when)


_DEADLINE = web.RequestKey("response_deadline", ResponseDeadline)


async def respond_in_time(request: web.Request, handler: Handler, seconds: float, body_s: float) -> web.StreamResponse:
    """The handler's response. Raises TimeoutError after `seconds`, and `body_s` while the body arrives, without one."""
    async with asyncio.timeout(None) as timeout:
        deadline = request[_DEADLINE] = ResponseDeadline(timeout, seconds)
        deadline.begin(0.0 if request.content.is_eof() else body_s)
        try:
            return await handler(request)
        finally:
            deadline.end()


def begin_response_deadline(request: web.Request, more_s: float = 0.0) -> None:
    """The body has arrived, or the handler waits for something on purpose, at most `more_s` seconds."""
    if (deadline := request.get(_DEADLINE)) is not None:
        deadline.begin(more_s)


def end_response_deadline(request: web.Request) -> None:
    """The response has begun: it may take as long as the client reads it."""
    if (deadline := request.get(_DEADLINE)) is not None:
        deadline.end()
