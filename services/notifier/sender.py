"""One HTTP exchange with a receiver: guarded, bounded in time and bytes, never redirected."""

import asyncio
from collections.abc import Mapping
from time import monotonic

import aiohttp
from yarl import URL

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy
from chassis.core.logs import get_logger
from services.notifier.schedule import Answer

MAX_EXCERPT_BYTES = 16 * 1024
"""Of the answer's body, kept for the log of attempts; no more than this is ever read."""

_log = get_logger(__name__)


class Sender:
    """Sends over one guarded session. Failures of the receiver are answers, never exceptions."""

    def __init__(self, session: aiohttp.ClientSession, guard: EgressPolicy, *, deadline: float) -> None:
        self._session = session
        self._guard = guard
        self._deadline = deadline

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POSTs `body` as it is. The whole exchange, name look-up and answer's body included, ends by the deadline.

        Only what stands in the head of the answer decides: a receiver that says 204 and then stalls has said 204.
        """
        started = monotonic()
        told = _Told()
        try:
            async with asyncio.timeout(self._deadline):
                self._guard.check_url(url)
                await self._exchange(url, headers, body, told)
        except (TimeoutError, aiohttp.ClientError, OSError, AddressForbidden, ValueError) as error:
            if told.status is None:
                _log.info("webhook not answered", reason=type(error).__name__, detail=str(error))
                told.error = _word(error)
        return Answer(
            told.status, told.error, told.retry_after, bytes(told.excerpt), told.address, monotonic() - started
        )

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, told: "_Told") -> None:
        async with self._session.post(_as_written(url), data=body, headers=headers, allow_redirects=False) as response:
            told.address = _peer(response)
            told.retry_after = response.headers.get("Retry-After")
            told.status = response.status
            async for chunk in response.content.iter_any():
                told.excerpt += chunk[: MAX_EXCERPT_BYTES - len(told.excerpt)]
                if len(told.excerpt) == MAX_EXCERPT_BYTES:
                    # Closes the connection: what else the receiver has to say is not wanted.
                    response.close()
                    return


class _Told:
    """What is known so far of an exchange, also when it is broken off."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.error: str | None = None
        self.retry_after: str | None = None
        self.address: str | None = None
        self.excerpt = bytearray()


def _as_written(url: str) -> URL:
    """The customer's own spelling goes over the wire: `%2F` in a token must not become a slash on the way."""
    return URL(url, encoded=url.isascii())


def _peer(response: aiohttp.ClientResponse) -> str | None:
    """The address that was dialled, where the connection is still there to ask."""
    connection = response.connection
    peer = connection.transport.get_extra_info("peername") if connection and connection.transport else None
    return peer[0] if peer else None


def _word(error: BaseException) -> str:
    """One word for the log of attempts.

    A forbidden address reads like a dead one: the word must not tell a customer what stands in our network.
    """
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "tls_failed"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "bad_answer"
        case _:
            return "unreachable"
