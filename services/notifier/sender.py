"""One HTTP exchange with a receiver: checked by the egress policy, bounded in time and bytes, never redirected."""

import asyncio
from collections.abc import Mapping
from time import monotonic

import aiohttp
from yarl import URL

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy
from chassis.core import logs
from services.notifier.schedule import AttemptResult

MAX_EXCERPT_BYTES = 16 * 1024
"""How much of the response body is read; it is kept with the attempt."""

log = logs.get_logger(__name__)


class Sender:
    """Sends over one session of the egress policy. Failures of the receiver are results, never exceptions."""

    def __init__(self, session: aiohttp.ClientSession, egress: EgressPolicy, *, deadline_s: float) -> None:
        self._session = session
        self._egress = egress
        self._deadline_s = deadline_s

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        """POSTs `body` as it is. The exchange, from the DNS lookup to the response body, ends by the deadline.

        The status line decides: a receiver that sends 204 and then stalls has accepted the delivery.
        """
        started = monotonic()
        response = _PartialResponse()
        try:
            async with asyncio.timeout(self._deadline_s):
                self._egress.check_url(url)
                await self._exchange(url, headers, body, response)
        except (TimeoutError, aiohttp.ClientError, OSError, AddressForbidden, ValueError) as error:
            if response.status is None:
                response.error = _error_code(error)
                log.info("webhook_request_failed", error=response.error, detail=f"{type(error).__name__}: {error}")
        return AttemptResult(
            status=response.status,
            error=response.error,
            retry_after=response.retry_after,
            excerpt=bytes(response.excerpt),
            address=response.address,
            seconds=monotonic() - started,
        )

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, received: "_PartialResponse") -> None:
        async with self._session.post(_verbatim(url), data=body, headers=headers, allow_redirects=False) as response:
            received.address = _peer_address(response)
            received.retry_after = response.headers.get("Retry-After")
            received.status = response.status
            async for chunk in response.content.iter_any():
                received.excerpt += chunk[: MAX_EXCERPT_BYTES - len(received.excerpt)]
                if len(received.excerpt) == MAX_EXCERPT_BYTES:
                    # Closes the connection: the rest of the body is not needed.
                    response.close()
                    return


class _PartialResponse:
    """What has been received so far, also when the exchange is cut short."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.error: str | None = None
        self.retry_after: str | None = None
        self.address: str | None = None
        self.excerpt = bytearray()


def _verbatim(url: str) -> URL:
    # The URL is sent as the customer wrote it: `%2F` in a token must not become a slash.
    return URL(url, encoded=url.isascii())


def _peer_address(response: aiohttp.ClientResponse) -> str | None:
    """The address of the connection; None where the connection is closed already."""
    connection = response.connection
    peer = connection.transport.get_extra_info("peername") if connection and connection.transport else None
    return peer[0] if peer else None


def _error_code(error: BaseException) -> str:
    # The same code for forbidden and unreachable addresses: customers must not learn which addresses exist here.
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "tls_failed"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "bad_answer"
        case _:
            return "unreachable"
