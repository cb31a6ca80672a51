"""aiohttp's connector with the egress policy applied at each step of a connection.

No check is sufficient alone: the resolver is not called for literal addresses, the URL does not tell what a name
resolves to, and only the peer address shows what was really connected. So all of them are made.
"""

import socket
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from chassis.adapters.egress.addresses import Address

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class AddressPolicy(Protocol):
    """The part of `EgressPolicy` that a connector needs; every method raises AddressForbidden."""

    def check_url(self, url: str) -> None: ...

    def check_address(self, address: Address | str) -> None: ...

    async def addresses(self, host: str, port: int) -> list[str]: ...


class _Resolver(AbstractResolver):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - always both families
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._policy.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing to release."""


class PolicyConnector(aiohttp.TCPConnector):
    """Connects to addresses that the policy allows. Names are resolved anew for every connection."""

    def __init__(self, policy: AddressPolicy, *, limit: int, limit_per_host: int) -> None:
        def make_socket(addr_info: Any) -> socket.socket:
            family, kind, protocol, _, target = addr_info
            policy.check_address(str(target[0]))
            return socket.socket(family=family, type=kind, proto=protocol)

        super().__init__(
            resolver=_Resolver(policy),
            use_dns_cache=False,
            limit=limit,
            limit_per_host=limit_per_host,
            socket_factory=make_socket,
        )
        self._policy = policy

    async def connect(
        self, req: "ClientRequest", traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        self._policy.check_url(str(req.url))
        connection = await super().connect(req, traces, timeout)
        peer = connection.transport.get_extra_info("peername") if connection.transport else None
        if peer is not None:
            try:
                self._policy.check_address(str(peer[0]))
            except BaseException:
                connection.close()
                raise
        return connection
