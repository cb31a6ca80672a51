"""Whose request it is: only what our own proxies appended to X-Forwarded-For counts."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

import pytest

from chassis.adapters.http.client_address import client

PROXIES = (ip_network("172.30.0.0/24"), ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        ("172.30.0.2", [], "172.30.0.2"),
        ("172.30.0.2", ["198.51.100.1"], "198.51.100.1"),
        ("172.30.0.2", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("172.30.0.2", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("172.30.0.2", ["198.51.100.1, 172.30.0.3"], "198.51.100.1"),
        ("172.30.0.2", ["172.30.0.3"], "172.30.0.3"),
        ("172.30.0.2", ["198.51.100.1, nonsense"], "172.30.0.2"),
        ("172.30.0.2", [""], "172.30.0.2"),
        ("::ffff:172.30.0.2", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7%eth0", [], "2001:db8:1:2::/64"),
        (None, ["198.51.100.1"], "unknown"),
        ("/run/socket", ["198.51.100.1"], "unknown"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy_of_ours(
    peer: str | None, forwarded: Sequence[str], expected: str
) -> None:
    assert client(peer, forwarded, PROXIES) == expected


def test_without_trusted_proxies_the_header_counts_for_nothing() -> None:
    assert client("127.0.0.1", ["198.51.100.1"], ()) == "127.0.0.1"


class Unread(list[str]):
    """Values of X-Forwarded-For that must not be looked at: a megabyte of them takes 50 ms."""

    def __reversed__(self) -> Iterator[str]:
        raise AssertionError("X-Forwarded-For was read")

    __iter__ = __reversed__


def test_nothing_is_read_of_what_a_client_writes_that_is_no_proxy_of_ours() -> None:
    assert client("192.0.2.1", Unread(), [ip_network("10.0.0.0/8")]) == "192.0.2.1"


def test_a_chain_of_proxies_is_followed_for_a_bounded_number_of_hops() -> None:
    hops = ["192.0.2.1", *(f"10.0.{number // 250}.{number % 250}" for number in range(1000))]
    assert client("10.1.0.0", [",".join(hops)], [ip_network("10.0.0.0/8")]).startswith("10.")
    assert client("10.1.0.0", [",".join(hops[:33])], [ip_network("10.0.0.0/8")]) == "192.0.2.1"
