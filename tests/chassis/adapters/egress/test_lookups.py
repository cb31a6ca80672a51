"""How lookups are shared out among projects, and what is remembered."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from chassis.adapters.egress.dns_client import DnsClient
from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.lookups import LookupLimits, Lookups, NameNotFound
from chassis.adapters.egress.policy import EgressPolicy
from tests.chassis.adapters.egress.raw_server import file, raw_server
from tests.support.dns_server import dns_server
from tests.support.event_loop import loop_stalls


class HeldResolver:
    """A resolver that answers when it is released, and knows how many of whose lookups run."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.release.wait()
        finally:
            self.running -= 1
        return ["192.0.2.1"]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_project_has_a_bounded_share_and_another_does_not_wait_for_it() -> None:
    held = HeldResolver()
    lookups = Lookups(held, LookupLimits(per_project=2, total=3, timeout_s=60))
    attacks = [asyncio.create_task(lookups.addresses(f"h{i}.dead.example", 80, project="a")) for i in range(40)]
    await settle()
    assert held.running == 2
    innocent = asyncio.create_task(lookups.addresses("good.example", 80, project="b"))
    await settle()
    assert held.asked[-1] == "good.example"
    held.release.set()
    assert list(await innocent) == ["192.0.2.1"]
    await asyncio.gather(*attacks)
    assert held.most == 3


async def test_projects_that_wait_for_the_whole_bound_take_turns() -> None:
    held = HeldResolver()
    lookups = Lookups(held, LookupLimits(per_project=8, total=2, timeout_s=60))
    attacks = [asyncio.create_task(lookups.addresses(f"h{i}.example", 80, project="a")) for i in range(10)]
    await settle()
    innocent = asyncio.create_task(lookups.addresses("good.example", 80, project="b"))
    await settle()
    held.release.set()
    await asyncio.gather(innocent, *attacks)
    assert held.asked.index("good.example") == 2


async def test_the_time_in_our_queue_is_told_apart_from_the_lookup() -> None:
    held = HeldResolver()
    lookups = Lookups(held, LookupLimits(per_project=1, timeout_s=60))
    queued: list[str] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        queued.append("in")
        yield
        queued.append("out")

    first = asyncio.create_task(lookups.addresses("a.example", 80, project="a"))
    await settle()
    second = asyncio.create_task(lookups.addresses("b.example", 80, project="a", queued=waiting))
    await settle()
    assert queued == ["in"]
    held.release.set()
    await asyncio.gather(first, second)
    assert queued.count("in") == queued.count("out")


async def test_a_cancelled_lookup_gives_its_turn_back() -> None:
    held = HeldResolver()
    lookups = Lookups(held, LookupLimits(per_project=1, total=1, timeout_s=60))
    tasks = [asyncio.create_task(lookups.addresses(f"h{i}.example", 80, project=f"p{i % 2}")) for i in range(6)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held.running == 0
    held.release.set()
    assert await lookups.addresses("good.example", 80, project="p0")


async def test_results_are_remembered_for_a_short_time_also_failed_ones() -> None:
    clock, asked = [0.0], 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        if host == "nowhere.example":
            raise NameNotFound
        return ["192.0.2.1"]

    lookups = Lookups(resolve, LookupLimits(found_ttl_s=10, failed_ttl_s=5), clock=lambda: clock[0])
    for seconds, expected in ((0.0, 1), (9.0, 1), (10.0, 2)):
        clock[0] = seconds
        await lookups.addresses("found.example", 80, project="a")
        assert asked == expected
    asked = 0
    for seconds, expected in ((20.0, 1), (24.0, 1), (25.0, 2)):
        clock[0] = seconds
        with pytest.raises(NameNotFound):
            await lookups.addresses("nowhere.example", 80, project="a")
        assert asked == expected
    await lookups.addresses("found.example", 80, project="b")
    assert asked == 3


async def test_the_memory_of_lookups_is_bounded() -> None:
    asked = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["192.0.2.1"]

    lookups = Lookups(resolve, LookupLimits(remembered=10))
    for number in range(11):
        await lookups.addresses(f"h{number}.example", 80, project="a")
    await lookups.addresses("h10.example", 80, project="a")
    assert asked == 11
    await lookups.addresses("h0.example", 80, project="a")
    assert asked == 12


async def test_forty_hosts_of_a_silent_zone_do_not_delay_another_project(tmp_path: Path) -> None:
    """Also the attacker's own fetches fail for their name servers, never for the time that they waited for us."""
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    folder = tmp_path / "files"
    folder.mkdir()
    limits = FetchLimits(total=timedelta(seconds=60))
    async with (
        dns_server({"good.example": ["127.0.0.1"]}, silent=["dead.example"]) as dns,
        raw_server(file(b"innocent")) as server,
        loop_stalls() as stalls,
    ):
        client = DnsClient(resolv_conf=tmp_path / "resolv.conf", hosts=hosts, name_servers=[dns.address], timeout_s=1.5)
        policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=client)

        async def attack(number: int) -> str:
            url = f"http://host{number}.dead.example/"
            short = FetchLimits(total=timedelta(seconds=3))
            with pytest.raises(FetchError) as raised:
                await fetch(url, folder / f"attack{number}", policy, short, project="attacker")
            return raised.value.reason

        attacks = [asyncio.create_task(attack(number)) for number in range(40)]
        while not dns.asked:
            await asyncio.sleep(0.001)
        url = f"http://good.example:{server.port}/"
        found = await fetch(url, folder / "innocent", policy, limits, project="innocent")
        running = [each for each in attacks if not each.done()]
        assert found.filesize == len(b"innocent")
        assert len(running) == len(attacks), "the innocent fetch waited for the attacker's lookups"
        assert set(await asyncio.gather(*attacks)) == {"name_server_timeout"}
    assert stalls.longest_s < 1
