"""No connection reaches a forbidden address: proved by servers that count connections, not by exceptions."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network

import pytest

from chassis.adapters.egress.client import request
from chassis.adapters.egress.errors import RequestError, RequestReason
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.lookups import LookupLimits
from chassis.adapters.egress.policy import EgressPolicy
from tests.chassis.adapters.egress.raw_server import file, raw_server, redirect

FORBIDDEN = "127.0.0.2"
ALLOW_ONE = [ip_network("127.0.0.1/32")]


def resolver(*answers: Sequence[str]) -> "Resolver":
    return Resolver(list(answers))


class Resolver:
    """A DNS resolver with another answer for each look-up; the last one is repeated."""

    def __init__(self, answers: list[Sequence[str]]) -> None:
        self._answers = answers
        self.lookups = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = self._answers[min(self.lookups, len(self._answers) - 1)]
        self.lookups += 1
        return found


async def get(policy: EgressPolicy, url: str) -> int:
    async with request("GET", url, policy, ResponseLimits(), project="prj_1") as response:
        while await response.read():
            pass
        return response.status


@contextmanager
def refused(reason: RequestReason = "forbidden") -> Iterator[None]:
    with pytest.raises(RequestError) as raised:
        yield
    assert raised.value.reason == reason


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost", "[::ffff:127.0.0.1]", "0"])
async def test_no_address_of_this_machine_is_contacted(host: str) -> None:
    async with raw_server(file(b"secret")) as inside:
        with refused():
            await get(EgressPolicy(), f"http://{host}:{inside.port}/")
        assert inside.connections == 0


async def test_ipv6_loopback_is_not_contacted() -> None:
    async with raw_server(file(b"secret"), "::1") as inside:
        with refused():
            await get(EgressPolicy(), f"http://[::1]:{inside.port}/")
        assert inside.connections == 0


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["fe80::1%1"]],
)
async def test_one_forbidden_address_forbids_the_name(found: list[str]) -> None:
    async with raw_server(file(b"secret")) as inside:
        with refused("host_not_found"):
            await get(EgressPolicy(resolve=resolver(found), not_found_s=0), f"http://innocent.example:{inside.port}/")
        assert inside.connections == 0


async def test_the_last_of_a_thousand_addresses_is_checked() -> None:
    found = [f"8.8.{number // 250}.{number % 250 + 1}" for number in range(999)] + ["10.0.0.1"]
    with refused("host_not_found"):
        await get(EgressPolicy(resolve=resolver(found), not_found_s=0), "http://innocent.example/")


async def test_a_name_that_resolves_differently_later_is_checked_at_each_connection() -> None:
    dns = resolver(["127.0.0.1"], [FORBIDDEN])
    policy = EgressPolicy(ALLOW_ONE, resolve=dns, lookups=LookupLimits(found_ttl_s=0), not_found_s=0)
    async with raw_server(file(b"x")) as outside, raw_server(file(b"secret"), FORBIDDEN) as inside:
        assert await get(policy, f"http://rebinding.example:{outside.port}/") == 200
        with refused("host_not_found"):
            await get(policy, f"http://rebinding.example:{inside.port}/")
        assert (outside.connections, inside.connections) == (1, 0)
    assert dns.lookups == 2


async def test_the_checked_address_is_the_contacted_one() -> None:
    """The name is resolved once per connection: there is no second answer that could differ."""
    dns = resolver(["127.0.0.1"], [FORBIDDEN])
    async with raw_server(file(b"x")) as outside:
        assert await get(EgressPolicy(ALLOW_ONE, resolve=dns), f"http://rebinding.example:{outside.port}/") == 200
        assert outside.connections == 1
    assert dns.lookups == 1


async def test_a_redirect_is_a_response_like_others() -> None:
    async with raw_server(file(b"secret"), FORBIDDEN) as inside:
        async with raw_server(redirect(f"http://{FORBIDDEN}:{inside.port}/")) as outside:
            assert await get(EgressPolicy(ALLOW_ONE), outside.url) == 302
        assert (outside.connections, inside.connections) == (1, 0)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(file(b"x")) as outside, raw_server(file(b"proxied"), FORBIDDEN) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await get(EgressPolicy(ALLOW_ONE), outside.url) == 200
        assert proxy.connections == 0


async def test_cookies_are_not_stored() -> None:
    async with raw_server(file(b"x", "Set-Cookie: a=b; Path=/")) as outside:
        policy = EgressPolicy(ALLOW_ONE)
        for _ in range(2):
            assert await get(policy, outside.url) == 200
        assert not any("cookie" in head.lower() for head in outside.heads)


async def test_a_dns_server_that_does_not_answer_times_out() -> None:
    async def stalled(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with refused("name_server_timeout"):
        await get(EgressPolicy(resolve=stalled, lookups=LookupLimits(timeout_s=0.05)), "http://slow.example/")


async def test_a_name_without_addresses_is_a_dns_error() -> None:
    with refused("host_not_found"):
        await get(EgressPolicy(resolve=resolver([]), not_found_s=0), "http://nowhere.example/")


async def test_open_closed_and_absent_internal_targets_have_the_same_error() -> None:
    """Different errors would turn the API into a port scanner."""
    async with raw_server(file(b"secret")) as inside:
        seen = set()
        for url in (inside.url, "http://127.0.0.1:9/", "http://10.255.255.1:8080/", "http://169.254.169.254/latest/"):
            with pytest.raises(RequestError) as raised:
                await get(EgressPolicy(), url.replace(":9/", ":49151/"))
            seen.add(str(raised.value))
        assert len(seen) == 1
        assert inside.connections == 0
