"""Which IP addresses may be contacted for a customer (pure, deny by default).

Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates), the multicast and reserved
blocks, and the metadata addresses of the large clouds. Of IPv6, only global unicast (2000::/3) without its special
blocks is allowed. IPv6 addresses that contain an IPv4 address would bypass every IPv4 rule: mapped and NAT64 ones are
treated as the IPv4 address they contain, tunnels (6to4, Teredo, ISATAP, compatible) are forbidden, because media is
not served from them.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), reason)
    for block, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT, and a cloud's metadata"),
        ("127.0.0.0/8", "this machine"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "link-local, and the clouds' metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments, and a cloud's metadata"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, and broadcast"),
    )
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), reason)
    for block, reason in (
        ("2001::/23", "protocol assignments, Teredo, benchmarks"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The upper 32 bits of an interface id that tunnels an IPv4 address (RFC 5214)."""


def canonical(address: Address) -> Address:
    """The IPv4 address in an IPv4-mapped one (`::ffff:a.b.c.d`), to which the kernel connects; others unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=4096)  # an address is checked several times for each connection
def forbidden(address: Address) -> str | None:
    """Why the address must not be contacted, None if it may. The reason is for logs, not for customers."""
    address = canonical(address)
    return _forbidden_v4(address) if isinstance(address, IPv4Address) else _forbidden_v6(address)


def _forbidden_v4(address: IPv4Address) -> str | None:
    return next((reason for block, reason in _V4 if address in block), None)


def _forbidden_v6(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "bound to one link"
    if address in _NAT64:
        return _forbidden_v4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _GLOBAL_UNICAST:
        return "not global unicast"
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    return next((reason for block, reason in _V6 if address in block), None)
