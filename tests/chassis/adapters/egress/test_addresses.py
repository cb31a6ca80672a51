"""The table of addresses, with the classes that other SSRF filters have missed."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.adapters.egress.addresses import forbidden

FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::7f00:1"),
    *("::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1:fffe::808:808", "100::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *("2002::1", "2002:a9fe:a9fe::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1"),
    *("2a00:1450:4001:800:0:5efe:808:808", "2a00:1450:4001:800:200:5efe:a9fe:a9fe", "fe80::5efe:a9fe:a9fe"),
    *("2a00:1450::1%1", "ff0e::1", "e000::1", "::ffff:0:127.0.0.1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.1", "168.63.129.17"),
    *(
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
    ),
    *("2606:4700:4700::1111", "2a00:1450:4001:800::200e", "2400:cb00::1", "64:ff9b::808:808", "::ffff:8.8.8.8"),
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_addresses_that_are_not_public_are_forbidden(text: str) -> None:
    assert forbidden(ip_address(text)) is not None


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert forbidden(ip_address(text)) is None


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_private_is_forbidden(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert forbidden(address) is not None


@given(st.ip_addresses(v=6))
def test_what_the_standard_library_calls_private_is_forbidden_in_ipv6(address: IPv6Address) -> None:
    contains_ipv4 = address.ipv4_mapped is not None or address in IPv6Network("64:ff9b::/96")
    if not contains_ipv4 and (not address.is_global or address.is_multicast or address.is_site_local):
        assert forbidden(address) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_contained_in_an_ipv6_one_is_treated_the_same(address: IPv4Address) -> None:
    allowed = forbidden(address) is None
    assert (forbidden(IPv6Address(0xFFFF << 32 | int(address))) is None) == allowed
    assert (forbidden(IPv6Address((0x64FF9B << 96) | int(address))) is None) == allowed
