"""The address of the client behind our own proxies (pure)."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from aiohttp import web

Network = IPv4Network | IPv6Network
_IPV6_CUSTOMER_PREFIX = 64
"""Bits: the smallest network that a provider gives to one customer, who may use any address in it."""
_MAX_HOPS = 64
"""Of X-Forwarded-For, which may have a megabyte."""


def client_of(request: web.Request, trusted: Sequence[Network]) -> str:
    """The client of a request, as `client` gives it."""
    return client(request.remote, request.headers.getall("X-Forwarded-For", []), trusted)


def client(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Who sent a request: an IPv4 address, or the /64 network of an IPv6 address.

    `peer` is the other end of the connection. Only if it is one of our proxies, `X-Forwarded-For` is read, from the
    right: each proxy appends the address that it was called from, so everything to the left of the first address that
    is no proxy of ours was written by the client.
    """
    address = _parse(peer)
    hops = islice(_from_the_right(forwarded_for), _MAX_HOPS)
    while _is_in(address, trusted):
        before = _parse(next(hops, None))
        if before is None:
            break
        address = before
    if address is None:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_CUSTOMER_PREFIX), strict=False))
    return str(address)


def is_proxy(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the other end of a connection is one of our proxies."""
    return _is_in(_parse(peer), trusted)


def _is_in(address: IPv4Address | IPv6Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _from_the_right(values: Sequence[str]) -> Iterator[str]:
    for value in reversed(values):
        for hop in reversed(value.rsplit(",", _MAX_HOPS)):
            yield hop.strip()


def _parse(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
