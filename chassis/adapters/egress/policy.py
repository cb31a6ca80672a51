"""The guard: resolves, checks every answer, dials checked addresses only, and looks at the peer once more."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

import aiohttp

from chassis.adapters.egress.addresses import Address, Network, canonical, forbidden
from chassis.adapters.egress.connector import PolicyConnector
from chassis.adapters.egress.hosts import AddressForbidden, check_shape

DNS_TIMEOUT_SECONDS = 5.0
MAX_ADDRESSES = 8
"""Dialled at most, of the addresses of one name; all of them are checked."""
USER_AGENT = "bitmill"

# One sentence for every target: nobody shall learn from our answers which hosts and ports there are inside.
_INSIDE = "The address is private or reserved, and may not be contacted."
_LOOPBACK = IPv4Address("127.0.0.1")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text; OSError where there are none."""

__all__ = ["AddressForbidden", "EgressPolicy", "Resolve"]


async def system_resolve(host: str, port: int) -> list[str]:
    """What the machine's own resolver says, /etc/hosts included."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(entry[4][0]) for entry in found]


class EgressPolicy:
    """Decides where requests may go. `allow_net` are networks that are allowed although the table forbids them."""

    def __init__(self, allow_net: Sequence[Network] = (), *, resolve: Resolve = system_resolve) -> None:
        self._allowed = list(allow_net)
        if self._is_allowed(_LOOPBACK):
            # `localhost` has both addresses, and they are the same machine.
            self._allowed.append(IPv6Network("::1/128"))
        self._resolve = resolve

    def check_url(self, url: str) -> None:
        """AddressForbidden for what can be seen without the DNS: scheme, port, odd or private literals, local names."""
        _, address = check_shape(url)
        if address is not None:
            self.check_address(address)

    def check_address(self, address: Address | str) -> None:
        """AddressForbidden unless the address is public, or in a network that is allowed."""
        try:
            known = canonical(ip_address(address) if isinstance(address, str) else address)
        except ValueError:
            raise AddressForbidden(_INSIDE) from None
        if forbidden(known) is not None and not self._is_allowed(known):
            raise AddressForbidden(_INSIDE)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The host's addresses, every one checked. One that is forbidden refuses them all.

        A name that answers with both kinds is an attack, or so strangely set up that a refusal is the better answer.
        """
        async with asyncio.timeout(DNS_TIMEOUT_SECONDS):
            found = list(dict.fromkeys(await self._resolve(host, port)))
        if not found:
            raise OSError("no addresses")
        for address in found:
            self.check_address(address)
        return found[:MAX_ADDRESSES]

    def session(self, *, limit: int = 100, limit_per_host: int = 0, **options: Any) -> aiohttp.ClientSession:
        """A client session that cannot leave but through this guard; `options` go to aiohttp.

        Whoever uses it passes `allow_redirects=False`: the guard would check each hop, but the hops are the caller's
        business. Bodies come as they were sent: a bomb of 1 MB that unpacks to 1 GB stays a file of 1 MB.
        """
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **options.pop("headers", {})}
        return aiohttp.ClientSession(
            connector=PolicyConnector(self, limit=limit, limit_per_host=limit_per_host),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Proxies from the environment would resolve and dial in our place.
            trust_env=False,
            **options,
        )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)
