"""Requests to customers' addresses: checked by the egress policy and bounded.

Each has a connection of its own, unless the caller keeps connections for further requests (`KeptConnections`).

Redirects are not followed, cookies not kept (see `cookies`), proxies of the environment not used: each would contact an
address that the policy has not seen, or mix customers.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import h11
from yarl import URL

from chassis.adapters.egress.connection import AddressPolicy, Connection, Pausing, connect
from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.exchange import Exchange, ResponseLimits
from chassis.adapters.egress.hosts import AddressForbidden
from chassis.adapters.egress.kept_connections import KeptConnections, Receiver

USER_AGENT = "bitmill"


@dataclass(frozen=True)
class Response:
    """A response whose body has not been read. `address` is the peer's; `read` raises RequestError."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case; of repeated ones the first."""
    address: str
    exchange: Exchange
    set_cookie: Sequence[str] = ()
    """The values of all headers Set-Cookie."""

    @property
    def content_length(self) -> int | None:
        """The size of the body in bytes, if the server says it and the body is not chunked."""
        chunked = "transfer-encoding" in self.headers
        return None if chunked or "content-length" not in self.headers else int(self.headers["content-length"])

    async def read(self) -> bytes:
        """The next bytes of the body as it came, compressed if the server compressed it; none at its end."""
        return await self.exchange.read()


@asynccontextmanager
async def request(
    method: str,
    url: str,
    policy: AddressPolicy,
    limits: ResponseLimits,
    *,
    project: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    queued: Pausing = nullcontext,
    kept: KeptConnections | None = None,
) -> AsyncIterator[Response]:
    """Sends one request and gives the response; the connection is closed at the end of the block.

    With `kept`, it is kept there instead if the response was read to its end, and one that is kept is used: only for
    requests that may be sent twice. Where the server has closed it and nothing came in response, the request is sent
    once more over a new one.

    The characters of the URL are sent as they are where that is possible, because signatures are computed over them.
    While the name waits for its turn to be looked up, `queued()` is entered. Raises RequestError, and
    OSError for an outage of ours: NameServersUnavailable, or one that says what this machine lacks.
    """
    target = _checked(url, policy)
    # Made at first, so that nothing is sent of a request that cannot be.
    exchange = Exchange(limits, project)
    data = _request_bytes(exchange, method, target, headers or {}, body, keep=kept is not None)
    receiver = Receiver(project, target.scheme, target.raw_host or "", target.port or 0)
    connection = None if kept is None else kept.take(receiver)
    try:
        head = None if connection is None else await _head_if_open(exchange, connection, data)
        if connection is None or head is None:
            if connection is not None:
                connection.close()
            connection = await connect(target, policy, project=project, queued=queued, timeout_s=limits.connect_s)
            head = await _head(exchange, connection, data)
        yield Response(head.status_code, _headers(head), connection.address, exchange, _cookies(head))
        if kept is not None and exchange.is_over() and connection.stream.is_silent():
            kept.keep(receiver, connection)
            connection = None
    except AddressForbidden as error:
        raise RequestError("forbidden", detail=error.reason) from None
    finally:
        if connection is not None:
            connection.close()


async def _head(exchange: Exchange, connection: Connection, data: bytes) -> h11.Response:
    # Without waiting for the peer to read: the head's time limit runs.
    connection.stream.write(data)
    return await exchange.head(connection.stream)


async def _head_if_open(exchange: Exchange, connection: Connection, data: bytes) -> h11.Response | None:
    """None where the server closed the connection before it responded."""
    try:
        return await _head(exchange, connection, data)
    except RequestError as error:
        if error.reason == "disconnected" and not exchange.responded:
            return None
        raise


def _checked(url: str, policy: AddressPolicy) -> URL:
    try:
        policy.check_url(url)
        return URL(url, encoded=url.isascii())
    except AddressForbidden as error:
        raise RequestError("forbidden", detail=error.reason) from None
    except ValueError:
        raise RequestError("forbidden", detail="The address is not a well-formed URL.") from None


def _request_bytes(
    exchange: Exchange, method: str, url: URL, headers: Mapping[str, str], body: bytes, *, keep: bool
) -> bytes:
    path = url.raw_path_qs
    own = {
        "Host": url.host_port_subcomponent or "",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive" if keep else "close",
    }
    if body:
        own["Content-Length"] = str(len(body))
    given = {name.lower() for name in headers}
    merged = {name: value for name, value in own.items() if name.lower() not in given} | dict(headers)
    try:
        return exchange.request(method, path if path.startswith("/") else f"/{path}", list(merged.items()), body)
    except ValueError:
        raise RequestError("forbidden", detail="The address is not a well-formed URL.") from None


def _headers(head: h11.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in head.headers:
        # Servers send UTF-8 in spite of the standard; other bytes survive as surrogates.
        found.setdefault(name.decode("ascii"), value.decode("utf-8", "surrogateescape"))
    return found


def _cookies(head: h11.Response) -> list[str]:
    return [value.decode("utf-8", "replace") for name, value in head.headers if name == b"set-cookie"]
