"""The egress policy: resolves names and checks every address."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Network, ip_address

from chassis.adapters.egress.addresses import Address, Network, canonical, forbidden
from chassis.adapters.egress.connection import Pausing
from chassis.adapters.egress.hosts import AddressForbidden, check_syntax

DNS_TIMEOUT_SECONDS = 5.0
"""For all addresses of one name."""
MAX_ADDRESSES = 8
"""At most so many addresses of a name are tried; all of them are checked."""

# The same sentence for every target, so that responses do not reveal which internal hosts and ports exist.
_FORBIDDEN = "The address is private or reserved, and may not be contacted."
_LOOPBACK = IPv4Address("127.0.0.1")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes host and port, returns the addresses as text; raises OSError if there are none."""

__all__ = ["AddressForbidden", "EgressPolicy", "Resolve"]


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses by the resolver of the machine, /etc/hosts included."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(entry[4][0]) for entry in found]


@cache
def default_tls_context() -> ssl.SSLContext:
    """Verifies certificates by the machine's authorities, or those of SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class EgressPolicy:
    """Decides which addresses requests may go to. Networks of `allow_net` are allowed although they are private."""

    def __init__(
        self,
        allow_net: Sequence[Network] = (),
        *,
        resolve: Resolve = system_resolve,
        dns_timeout_s: float = DNS_TIMEOUT_SECONDS,
        tls_context: Callable[[], ssl.SSLContext] = default_tls_context,
    ) -> None:
        self.tls_context = tls_context
        self._allowed = list(allow_net)
        if self._is_allowed(_LOOPBACK):
            # `localhost` resolves to both addresses, which are the same machine.
            self._allowed.append(IPv6Network("::1/128"))
        self._resolve = resolve
        self._dns_timeout_s = dns_timeout_s

    def check_url(self, url: str) -> None:
        """Raises AddressForbidden for what needs no DNS: scheme, port, unusual or private literals, local names."""
        _, address = check_syntax(url)
        if address is not None:
            self.check_address(address)

    def check_address(self, address: Address | str) -> None:
        """Raises AddressForbidden unless the address is public or in an allowed network."""
        try:
            plain = canonical(ip_address(address) if isinstance(address, str) else address)
        except ValueError:
            raise AddressForbidden(_FORBIDDEN) from None
        if forbidden(plain) is not None and not self._is_allowed(plain):
            raise AddressForbidden(_FORBIDDEN)

    async def addresses(self, host: str, port: int, *, project: str, queued: Pausing) -> list[str]:  # noqa: ARG002
        """The addresses of the host. Raises AddressForbidden if any of them is forbidden, TimeoutError, or OSError.

        A name with both public and private addresses is an attack or a misconfiguration.
        """
        async with asyncio.timeout(self._dns_timeout_s):
            found = list(dict.fromkeys(await self._resolve(host, port)))
        if not found:
            raise OSError("no addresses")
        for address in found:
            self.check_address(address)
        return found[:MAX_ADDRESSES]

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)
