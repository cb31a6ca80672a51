"""No packet reaches an address that is not allowed: told by listeners, not by exceptions."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import aiohttp
import pytest

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy
from tests.chassis.adapters.egress.strangers import file, stranger

INSIDE = "127.0.0.2"
ONE = [ip_network("127.0.0.1/32")]


def answers(*rounds: Sequence[str]) -> "Answers":
    return Answers(list(rounds))


class Answers:
    """A DNS that says another thing each time it is asked; the last for ever."""

    def __init__(self, rounds: list[Sequence[str]]) -> None:
        self._rounds = rounds
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = self._rounds[min(self.asked, len(self._rounds) - 1)]
        self.asked += 1
        return found


async def get(guard: EgressPolicy, url: str) -> int:
    async with guard.session() as session, session.get(url, allow_redirects=False) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost", "[::ffff:127.0.0.1]", "0"])
async def test_nothing_on_this_machine_is_dialled(host: str) -> None:
    async with stranger(file(b"secret")) as inside:
        with pytest.raises(AddressForbidden):
            await get(EgressPolicy(), f"http://{host}:{inside.port}/")
        assert inside.connections == 0


async def test_ipv6_loopback_is_not_dialled() -> None:
    async with stranger(file(b"secret"), "::1") as inside:
        with pytest.raises(AddressForbidden):
            await get(EgressPolicy(), f"http://[::1]:{inside.port}/")
        assert inside.connections == 0


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["fe80::1%1"]],
)
async def test_one_forbidden_answer_refuses_the_name(found: list[str]) -> None:
    async with stranger(file(b"secret")) as inside:
        with pytest.raises(AddressForbidden):
            await get(EgressPolicy(resolve=answers(found)), f"http://innocent.example:{inside.port}/")
        assert inside.connections == 0


async def test_the_last_of_a_thousand_answers_is_looked_at() -> None:
    found = [f"8.8.{number // 250}.{number % 250 + 1}" for number in range(999)] + ["10.0.0.1"]
    with pytest.raises(AddressForbidden):
        await get(EgressPolicy(resolve=answers(found)), "http://innocent.example/")


async def test_a_name_that_changes_its_mind_is_checked_at_each_connection() -> None:
    dns = answers(["127.0.0.1"], [INSIDE])
    guard = EgressPolicy(ONE, resolve=dns)
    async with stranger(file(b"x")) as outside, stranger(file(b"secret"), INSIDE) as inside:
        async with guard.session() as session:
            async with session.get(f"http://rebinding.example:{outside.port}/") as response:
                assert await response.read() == b"x"
            with pytest.raises(AddressForbidden):
                await session.get(f"http://rebinding.example:{inside.port}/")
        assert (outside.connections, inside.connections) == (1, 0)
    assert dns.asked == 2


async def test_what_was_checked_is_what_is_dialled() -> None:
    """The name is asked for once per connection: there is no second answer that could differ."""
    dns = answers(["127.0.0.1"], [INSIDE])
    async with stranger(file(b"x")) as outside:
        assert await get(EgressPolicy(ONE, resolve=dns), f"http://rebinding.example:{outside.port}/") == 200
        assert outside.connections == 1
    assert dns.asked == 1


async def test_redirects_that_a_caller_forgets_to_forbid_are_still_checked() -> None:
    from tests.chassis.adapters.egress.strangers import redirect

    async with (
        stranger(file(b"secret"), INSIDE) as inside,
        stranger(redirect(f"http://{INSIDE}:{inside.port}/")) as outside,
        EgressPolicy(ONE).session() as session,
    ):
        with pytest.raises(AddressForbidden):
            await session.get(outside.url)
        assert (outside.connections, inside.connections) == (1, 0)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stranger(file(b"x")) as outside, stranger(file(b"proxied"), INSIDE) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await get(EgressPolicy(ONE), outside.url) == 200
        assert proxy.connections == 0


async def test_cookies_of_one_stranger_do_not_go_to_the_next_request() -> None:
    async with stranger(file(b"x", "Set-Cookie: a=b; Path=/")) as outside, EgressPolicy(ONE).session() as session:
        for _ in range(2):
            async with session.get(outside.url) as response:
                await response.read()
        assert not any("cookie" in head.lower() for head in outside.heads)


async def test_a_dns_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stalled(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("chassis.adapters.egress.policy.DNS_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        await get(EgressPolicy(resolve=stalled), "http://slow.example/")


async def test_a_name_without_addresses_is_an_ordinary_error() -> None:
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        await get(EgressPolicy(resolve=answers([])), "http://nowhere.example/")


async def test_open_closed_and_absent_targets_inside_look_the_same() -> None:
    """An answer that differs would be a port scanner for everybody."""
    async with stranger(file(b"secret")) as inside:
        seen = set()
        for url in (inside.url, "http://127.0.0.1:9/", "http://10.255.255.1:8080/", "http://169.254.169.254/latest/"):
            with pytest.raises(AddressForbidden) as refused:
                await get(EgressPolicy(), url.replace(":9/", ":49151/"))
            seen.add(refused.value.reason)
        assert len(seen) == 1
        assert inside.connections == 0
