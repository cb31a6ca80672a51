"""Lookups by the machine's files, against a name server on loopback."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.egress.dns_client import DnsClient
from chassis.adapters.egress.lookups import Lookups, NameNotFound, NameServersUnavailable
from chassis.adapters.failure_policy import classify
from tests.chassis.adapters.egress.datagrams import answer_of_60_kb, datagrams
from tests.support.dns_server import DnsServer, dns_server
from tests.support.event_loop import loop_stalls
from tests.support.waiting import until

RECORDS = {
    "media.example": ["2001:db8::1", "192.0.2.1", "192.0.2.2"],
    "six.example": ["2001:db8::2"],
    "files.team.internal": ["192.0.2.3"],
    "many.example": [f"192.0.2.{number}" for number in range(1, 101)],
    "huge.example": [f"192.0.{number >> 8}.{number & 255}" for number in range(3000)],
}


def client(server: DnsServer, folder: Path, *lines: str, hosts: str = "", timeout_s: float = 60) -> DnsClient:
    (folder / "hosts").write_text(hosts)
    (folder / "resolv.conf").write_text("\n".join(["nameserver 192.0.2.1", *lines, ""]))
    return DnsClient(
        resolv_conf=folder / "resolv.conf",
        hosts=folder / "hosts",
        name_servers=[server.address],
        timeout_s=timeout_s,
    )


async def test_a_name_has_the_addresses_of_both_families_ipv4_first(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        look_up = client(server, tmp_path)
        *ipv4, ipv6 = await look_up("Media.Example", 80)
        assert (sorted(ipv4), ipv6) == (["192.0.2.1", "192.0.2.2"], "2001:db8::1")
        assert list(await look_up("six.example", 80)) == ["2001:db8::2"]


async def test_a_name_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        for name in ("nowhere.example", "a" * 64 + ".example", "x..example", "_"):
            with pytest.raises(NameNotFound):
                await client(server, tmp_path)(name, 80)


async def test_an_answer_that_fits_no_datagram_comes_by_tcp(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        assert len(await client(server, tmp_path)("many.example", 80)) == 100


async def test_an_answer_that_would_take_long_to_parse_is_refused(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        with pytest.raises(NameNotFound):
            await client(server, tmp_path)("huge.example", 80)


async def test_datagrams_that_are_larger_than_asked_for_do_not_stop_the_event_loop(tmp_path: Path) -> None:
    """60 KB, of which parsing one takes 0.7 s; eight lookups are two queries each. The answer is then asked by TCP."""
    async with dns_server(tcp_only=True) as tcp, datagrams(tcp.port, answer_of_60_kb):
        look_up = client(tcp, tmp_path)
        async with loop_stalls() as stalls:
            found = await asyncio.gather(*(look_up(f"{each}.example", 80) for each in range(8)), return_exceptions=True)
        assert [type(each) for each in found] == [NameNotFound] * 8
        assert len(tcp.asked) == 16, "over TCP"
        assert stalls.longest_s < 0.5


async def test_a_flood_of_datagrams_that_answer_something_else_ends_the_query(tmp_path: Path) -> None:
    async with dns_server(tcp_only=True) as tcp, datagrams(tcp.port, lambda _: bytes(500), times=1000):
        async with loop_stalls() as stalls:
            with pytest.raises(NameServersUnavailable):
                await client(tcp, tmp_path)("media.example", 80)
        assert stalls.longest_s < 0.5


async def test_short_names_are_searched_in_the_domains_of_resolv_conf(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        look_up = client(server, tmp_path, "search other.internal team.internal", "options ndots:5")
        assert list(await look_up("files", 80)) == ["192.0.2.3"]
        assert "files.other.internal" in server.asked
        assert list(await look_up("files.team.internal", 80)) == ["192.0.2.3"]


async def test_the_hosts_file_comes_first_and_counts_after_a_change(tmp_path: Path) -> None:
    async with dns_server(RECORDS) as server:
        look_up = client(server, tmp_path, hosts="10.0.0.1 media.example alias # comment\n::1 alias\n")
        assert list(await look_up("media.example", 80)) == ["10.0.0.1"]
        assert list(await look_up("ALIAS", 80)) == ["10.0.0.1", "::1"]
        (tmp_path / "hosts").write_text("10.0.0.2 media.example\n")
        os.utime(tmp_path / "hosts", ns=(1, 1))
        assert list(await look_up("media.example", 80)) == ["10.0.0.2"]
    assert server.asked == []


async def test_localhost_needs_no_name_server(tmp_path: Path) -> None:
    look_up = DnsClient(resolv_conf=tmp_path / "missing", hosts=tmp_path / "missing")
    assert list(await look_up("localhost", 80)) == ["127.0.0.1", "::1"]


async def test_a_name_server_that_keeps_silent_times_out(tmp_path: Path) -> None:
    async with dns_server(silent=["dead.example"]) as server:
        with pytest.raises(TimeoutError):
            await client(server, tmp_path, timeout_s=0.2)("host.dead.example", 80)
    assert "host.dead.example" in server.asked


async def test_silence_of_our_own_name_servers_is_an_outage_of_ours(tmp_path: Path) -> None:
    async with dns_server(silent=["dead.example", ""]) as server:
        with pytest.raises(NameServersUnavailable) as raised:
            await client(server, tmp_path, timeout_s=0.2)("host.dead.example", 80)
    assert classify(raised.value) == "outage"


async def test_failures_of_our_own_name_servers_for_every_name_are_an_outage_of_ours(tmp_path: Path) -> None:
    """As a forwarder answers whose own servers are away."""
    async with dns_server(RECORDS) as server:
        server.outage = "failure"
        with pytest.raises(NameServersUnavailable):
            await client(server, tmp_path)("media.example", 80)


@pytest.mark.parametrize("zones", [{"silent": ["dead.example"]}, {"failing": ["dead.example"]}])
async def test_a_zone_that_alone_is_not_answered_is_no_outage_of_ours(tmp_path: Path, zones: dict[str, Any]) -> None:
    async with dns_server(RECORDS, **zones) as server:
        with pytest.raises((TimeoutError, NameNotFound)) as raised:
            await client(server, tmp_path, timeout_s=0.2)("host.dead.example", 80)
    assert not isinstance(raised.value, NameServersUnavailable)


async def test_name_servers_that_fail_for_the_root_work_if_they_answer_another_name_meanwhile(tmp_path: Path) -> None:
    async with dns_server(RECORDS, silent=["dead.example"], failing=[""]) as server:
        look_up = client(server, tmp_path, timeout_s=1)
        dead = asyncio.create_task(look_up("host.dead.example", 80))
        await until(lambda: "host.dead.example" in server.asked)
        await look_up("media.example", 80)
        with pytest.raises(TimeoutError):
            await dead


async def test_an_outage_of_our_name_servers_is_not_remembered() -> None:
    answers: list[list[str]] = [[], ["192.0.2.1"]]

    async def resolve(host: str, port: int) -> list[str]:
        found = answers.pop(0)
        if not found:
            raise NameServersUnavailable
        return found

    lookups = Lookups(resolve)
    with pytest.raises(NameServersUnavailable):
        await lookups.addresses("media.example", 80, project="prj_1")
    assert list(await lookups.addresses("media.example", 80, project="prj_1")) == ["192.0.2.1"]
