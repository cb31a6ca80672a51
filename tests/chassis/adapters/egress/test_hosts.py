"""What the egress policy forbids without DNS."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy

SCHEMES = [
    *("file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/", "data:text/plain,x", "concat:a|b"),
    *(
        "subfile:,,:/etc/passwd",
        "crypto:http://example.com",
        "s3://bucket/key",
        "unix:/run/docker.sock",
        "//example.com/x",
    ),
    *(
        "http://",
        "http:///x",
        "https://:80/",
        "http:/example.com",
        "http:example.com",
        "",
        "example.com",
        "javascript:1",
    ),
    *("HTTP+unix://x", "http;//x", "jar:http://example.com!/"),
]
LITERALS = [
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
    ),
    *(
        "00000000177.0.0.1",
        "0",
        "0.0.0.0",
        "0x0",
        "127。0。0。1",
        "１２７.０.０.１",
        "①②⑦.⓪.⓪.①",
        "127.0.0.1.",
        "127.0.0.0x1",
    ),
    *("169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "10.0.0.1", "192.168.0.1", "172.16.0.1"),
    *(
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "256.256.256.256",
        "1.2.3.4.5",
        "4294967297",
        "08.8.8.8",
        "8.8.2056",
    ),
    *(
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
    ),
    *("[2002:7f00:1::]", "[64:ff9b::127.0.0.1]", "[2a00:1450::1%251]", "[::1", "::1", "[127.0.0.1]", "[v1.fe]"),
]
NAMES = [
    *("localhost", "LOCALHOST", "localhost.", "x.localhost", "localhost.localdomain", "ip6-localhost", "ｌocalhost"),
    *("metadata.google.internal", "metadata.google.internal.", "metadata", "instance-data"),
    *("exa%6dple.com", "a%2fb", "a..b", ".a", "a b", "a\tb", "a\nb", "a\\b", "a" * 254, "%00", "a,b", "a;b", "*"),
]
PORTS = [0, 22, 25, 110, 143, 445, 3306, 5432, 6379, 9092, 11211, 27017, 65536, -1]
SPOOFED = [
    *(
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://@example.com/",
    ),
    *("http://127.0.0.1#@example.com/", "http://127.0.0.1?@example.com/", "http://example.com\\@127.0.0.1/"),
    *(
        "http://127.0.0.1\\.example.com/",
        "http://exam\tple.com/",
        "http://example.com/\n",
        " http://example.com/",
        "http://[::1]@example.com",
    ),
    *(
        "http://127.0.0.1\u2044.example.com/",
        "http://example.com\x00.localhost/",
        "http://example.com:80:80/",
        "http://example.com:８０/",
    ),
]


@pytest.mark.parametrize("url", SCHEMES + SPOOFED)
def test_malformed_urls_and_other_schemes_are_forbidden(url: str) -> None:
    with pytest.raises(AddressForbidden):
        EgressPolicy().check_url(url)


@pytest.mark.parametrize("host", LITERALS + NAMES)
@pytest.mark.parametrize("form", ["http://{}/x", "https://{}:8443/x?y=1"])
def test_private_and_unusual_hosts_are_forbidden(host: str, form: str) -> None:
    with pytest.raises(AddressForbidden):
        EgressPolicy().check_url(form.format(host))


@pytest.mark.parametrize("port", PORTS)
def test_ports_of_other_protocols_are_forbidden(port: int) -> None:
    with pytest.raises(AddressForbidden):
        EgressPolicy().check_url(f"http://example.com:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com",
            "https://example.com/clip.mov?X-Amz-Signature=a%2Fb",
            "HTTPS://EXAMPLE.COM:8443/",
            "http://8.8.8.8/",
        ),
        *(
            "http://[2606:4700:4700::1111]/",
            "http://bücher.example/",
            "http://example.com./",
            "http://my_bucket.example.com/",
        ),
        *(
            "http://xn--bcher-kva.example/a#b",
            "http://1password.com/",
            "http://example.com:50000/",
            "http://0xample.com/",
        ),
    ],
)
def test_ordinary_urls_are_allowed(url: str) -> None:
    EgressPolicy().check_url(url)


def test_an_allowed_network_allows_no_other() -> None:
    policy = EgressPolicy([ip_network("127.0.0.0/8"), ip_network("fd00:1::/64")])
    for allowed in (
        "http://127.0.0.1:50000/",
        "http://localhost:50000/",
        "http://[fd00:1::5]/",
        "http://[::ffff:127.0.0.1]/",
    ):
        policy.check_url(allowed)
    for refused in (
        "http://10.0.0.1/",
        "http://[fd00:2::5]/",
        "http://2130706433/",
        "http://127.0.0.1:5432/",
        "file:///x",
    ):
        with pytest.raises(AddressForbidden):
            policy.check_url(refused)


@given(st.text())
def test_any_other_text_raises_address_forbidden(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/", f"http://example.com:{text}/"):
        try:
            EgressPolicy().check_url(url)
        except AddressForbidden as refused:
            assert refused.reason.endswith(".")
