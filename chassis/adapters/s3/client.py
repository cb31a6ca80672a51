"""Clients of stores with the API of S3: our own one, and those of customers, which are guarded and bounded.

Nothing of the environment is used for a customer's store: no proxy, profile, endpoint or credential. Redirects are not
followed, since the signature is for one host; bodies that are read as a whole (errors, lists) are bounded.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session

from chassis.adapters.egress.hosts import AddressForbidden
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.s3.egress_guard import EgressGuard
from chassis.adapters.s3.errors import S3Error

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
"""Until the response begins, the time to send a part included: at least 70 kB a second for a part of 8 MiB."""
MAX_BODY_BYTES = 1024 * 1024
"""Of a response that is read as a whole."""
REQUEST_ATTEMPTS = 3


@dataclass(frozen=True)
class S3Access:
    """How a store is reached. Without `endpoint` it is AWS, without credentials they come from where AWS tools look."""

    endpoint: str | None
    region: str
    access_key_id: str | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class S3Store:
    """An open client, and the guard that knows why its connections were refused."""

    client: "S3Client"
    guard: EgressGuard


@asynccontextmanager
async def open_s3(
    access: S3Access, policy: EgressPolicy | None, *, project: str = "", attempts: int = REQUEST_ATTEMPTS
) -> AsyncIterator[S3Store]:
    """A customer's store within the egress policy; without a policy, the operator's own. Raises S3Error.

    `attempts` is for each request, with pauses between.
    """
    guard = EgressGuard(policy, project)
    try:
        guard.check_endpoint(access.endpoint or "https://s3.amazonaws.com/")
    except AddressForbidden as error:
        raise S3Error("forbidden", detail=error.reason) from None
    credentials: dict[str, Any] = {}
    if access.access_key_id is not None:
        credentials = {"aws_access_key_id": access.access_key_id, "aws_secret_access_key": access.secret or ""}
    config = _config(access.endpoint, connect_s=CONNECT_SECONDS, read_s=READ_SECONDS, attempts=attempts)
    if policy is not None:
        config = config.merge(
            AioConfig(
                proxies={},
                ignore_configured_endpoint_urls=True,
                http_session_cls=_guarded_session(policy.tls_context()),
                connector_args={"resolver": guard, "socket_factory": guard.make_socket, "use_dns_cache": False},
            )
        )
    opened = get_session().create_client(
        "s3", region_name=access.region, endpoint_url=access.endpoint, config=config, **credentials
    )
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(opened)
        except ValueError:
            # botocore's own rules for host names and regions.
            raise S3Error("forbidden", detail="The endpoint or the region is not well-formed.") from None
        client.meta.events.register_first("before-call.s3", _answer_redirects)
        yield S3Store(client, guard)


def s3_client(endpoint: str | None, region: str) -> "AbstractAsyncContextManager[S3Client]":
    """A client of our own store, to be entered with `async with`; `endpoint` is the URL of a server that is not AWS."""
    config = _config(endpoint, connect_s=5, read_s=30, attempts=REQUEST_ATTEMPTS)
    return get_session().create_client("s3", region_name=region, endpoint_url=endpoint, config=config)


def _config(endpoint: str | None, *, connect_s: float, read_s: float, attempts: int) -> AioConfig:
    return AioConfig(
        signature_version="s3v4",
        connect_timeout=connect_s,
        read_timeout=read_s,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": attempts},
        # Servers that are not AWS rarely have a host name per bucket.
        s3={"addressing_style": "path" if endpoint else "auto"},
    )


def _answer_redirects(params: dict[str, Any], **_: Any) -> None:
    """Marks a request as redirected before it is sent.

    botocore would ask the bucket for its region, and that response may be a redirect again, without an end. Whoever has
    the wrong region is to be told.
    """
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


class _BoundedResponse(aiohttp.ClientResponse):
    """A response that is not read as a whole if it is too large: a store may send what it likes."""

    async def read(self) -> bytes:
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    self.close()
                    raise aiohttp.ClientPayloadError(f"the response has more than {MAX_BODY_BYTES} bytes")
            self._body = bytes(body)
        return self._body


class _WithoutRedirects:
    """A session of aiohttp as aiobotocore uses it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **options: Any) -> aiohttp.ClientResponse:
        return await self._session.request(method, **options, allow_redirects=False)


def _guarded_session(tls: ssl.SSLContext) -> type[AIOHTTPSession]:
    class GuardedSession(AIOHTTPSession):
        """One session, for one customer's store."""

        async def _get_session(self, proxy_url: Any) -> Any:
            base: Any = self
            sessions: dict[Any, Any] = base._sessions
            if proxy_url not in sessions:
                connector = aiohttp.TCPConnector(limit=base._max_pool_connections, ssl=tls, **base._connector_args)
                session = await base._exit_stack.enter_async_context(
                    aiohttp.ClientSession(
                        connector=connector,
                        timeout=base._timeout,
                        skip_auto_headers={"CONTENT-TYPE"},
                        auto_decompress=False,
                        response_class=_BoundedResponse,
                        cookie_jar=aiohttp.DummyCookieJar(),
                    )
                )
                sessions[proxy_url] = _WithoutRedirects(session)
            return sessions[proxy_url]

    return GuardedSession
