"""How long the body of a request may take to arrive: whoever reads it gets BodyTimeout then."""

import asyncio

from aiohttp import web


class BodyTimeout(TimeoutError):
    """Raised where a body is read: it did not arrive within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no complete body within {seconds:g} s")
        self.seconds = seconds


_DEADLINE = web.RequestKey("body_deadline", asyncio.TimerHandle)


def begin_body_deadline(request: web.Request, seconds: float) -> asyncio.TimerHandle | None:
    """Ends the wait of whoever reads the body, after `seconds`. None if the body is complete or there is none."""
    body = request.content
    if body.is_eof():
        return None

    def expire() -> None:
        if not body.is_eof() and body.exception() is None:
            body.set_exception(BodyTimeout(seconds))

    deadline = request[_DEADLINE] = asyncio.get_running_loop().call_later(seconds, expire)
    return deadline


def lift_body_deadline(request: web.Request) -> None:
    """The body may take longer: whoever reads it has bounds of its own."""
    if (deadline := request.get(_DEADLINE)) is not None:
        deadline.cancel()
