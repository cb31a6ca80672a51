"""One HTTP exchange with a receiver: checked by the egress policy, bounded in time and bytes, never redirected."""

from collections.abc import Mapping
from time import monotonic

from chassis.adapters.egress.client import request
from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.kept_connections import KeptConnections
from chassis.adapters.egress.policy import EgressPolicy
from chassis.core import logs
from chassis.core.concurrency import PausableTimeout
from services.notifier.schedule import AttemptResult

MAX_EXCERPT_BYTES = 16 * 1024
"""How much of the response body is read; it is kept with the attempt."""

log = logs.get_logger(__name__)


class Sender:
    """Sends through the egress policy. Failures of the receiver are results, outages of ours exceptions."""

    def __init__(self, egress: EgressPolicy, limits: ResponseLimits, *, deadline_s: float) -> None:
        self._egress = egress
        self._limits = limits
        self._deadline_s = deadline_s
        self._kept = KeptConnections()

    def close(self) -> None:
        """Closes the connections that are kept for further deliveries."""
        self._kept.close()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, *, project: str) -> AttemptResult:
        """POSTs `body` as it is. The exchange, from the DNS lookup to the response body, ends by the deadline.

        The status line decides: a receiver that sends 204 and then stalls has accepted the delivery. Time in which the
        lookup waits for other lookups does not count. Raises OSError where our name servers are away, or this machine
        lacks something: nothing has been sent then.
        """
        started = monotonic()
        response = _PartialResponse()
        try:
            async with PausableTimeout(self._deadline_s) as deadline:
                await self._exchange(url, headers, body, project, deadline, response)
        except (TimeoutError, RequestError) as error:
            if response.status is None:
                response.error = _error_code(error)
                log.info("webhook_request_failed", error=response.error, detail=str(error) or "deadline")
        return AttemptResult(
            status=response.status,
            error=response.error,
            retry_after=response.retry_after,
            date=response.date,
            excerpt=bytes(response.excerpt),
            address=response.address,
            seconds=monotonic() - started,
        )

    async def _exchange(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        project: str,
        deadline: PausableTimeout,
        received: "_PartialResponse",
    ) -> None:
        async with request(
            "POST",
            url,
            self._egress,
            self._limits,
            headers=headers,
            body=body,
            project=project,
            queued=deadline.paused,
            kept=self._kept,
        ) as response:
            received.address = response.address
            received.retry_after = response.headers.get("retry-after")
            received.date = response.headers.get("date")
            received.status = response.status
            while chunk := await response.read():
                received.excerpt += chunk[: MAX_EXCERPT_BYTES - len(received.excerpt)]
                if len(received.excerpt) == MAX_EXCERPT_BYTES:
                    # The rest of the body is not needed.
                    return


class _PartialResponse:
    """What has been received so far, also when the exchange is cut short."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.error: str | None = None
        self.retry_after: str | None = None
        self.date: str | None = None
        self.address: str | None = None
        self.excerpt = bytearray()


def _error_code(error: TimeoutError | RequestError) -> str:
    # The same code for forbidden and unreachable addresses: customers must not learn which addresses exist here.
    if isinstance(error, TimeoutError):
        return "timeout"
    match error.reason:
        case "response_timeout" | "name_server_timeout" | "stalled" | "too_slow":
            return "timeout"
        case "tls_failed":
            return "tls_failed"
        case "invalid_http" | "head_too_large" | "too_many_interim_responses" | "truncated" | "tiny_chunks":
            return "bad_answer"
        case _:
            return "unreachable"
