"""The relay against producers that fail as told: what is sent, again, in which order, and what is never lost."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from chassis.adapters.postgres import open_pool
from chassis.runtime.outbox import Outbox, publisher
from chassis.runtime.outbox import relay as relays
from tests.chassis.runtime.outbox.conftest import Bench, Twin, event
from tests.support.proxy import Proxy
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 0.1)


async def test_events_leave_in_their_order_and_the_table_is_empty_after(bench: Bench) -> None:
    twin = Twin()
    names = [f"job_{n}" for n in range(450)]
    await bench.put(*(event(name) for name in names))
    async with bench.relaying(twin):
        await until(bench.empty)
    assert twin.keys == names


async def test_an_event_of_a_transaction_that_fails_is_never_sent(bench: Bench) -> None:
    twin = Twin()
    with pytest.raises(RuntimeError, match="no"):
        async with bench.pool.acquire() as conn, conn.transaction():
            await bench.outbox.put(conn, event("ghost"))
            raise RuntimeError("no")
    async with bench.relaying(twin):
        await bench.put(event("real"))
        await until(bench.empty)
    assert twin.keys == ["real"]


async def test_a_wake_sends_within_milliseconds(bench: Bench) -> None:
    twin = Twin()
    latencies = []
    async with bench.relaying(twin):
        for n in range(20):
            await until(bench.empty)
            began = time.perf_counter()
            await bench.put(event(f"job_{n}"))
            await until(lambda: len(twin.sent) == n + 1)  # noqa: B023 - asked before n moves on
            latencies.append(time.perf_counter() - began)
    assert sorted(latencies)[10] < 0.05, latencies


async def test_what_other_processes_put_is_found_without_a_wake(bench: Bench) -> None:
    twin = Twin()
    async with bench.relaying(twin):
        other = Outbox(bench.pool, "keys")
        async with bench.pool.acquire() as conn:
            await other.put(conn, event("job_1"))
        await until(bench.empty, within=3)
    assert twin.keys == ["job_1"]


async def test_nothing_is_lost_while_kafka_refuses(bench: Bench) -> None:
    away = True
    twin = Twin(lambda key: KafkaConnectionError("away") if away else "ok")
    async with bench.relaying(twin):
        await bench.put(event("a"), event("b"))
        await until(lambda: len(twin.sent) > 4)
        assert await bench.outbox.backlog() == 2
        away = False
        await until(bench.empty)
    assert twin.keys[-2:] == ["a", "b"]


async def test_what_is_not_acknowledged_in_time_is_awaited_again_instead_of_sent_again(bench: Bench) -> None:
    twin = Twin(lambda key: None)
    async with bench.relaying(twin):
        await bench.put(event("a"), event("b"))
        await until(lambda: len(twin.silent) == 2)
        await asyncio.sleep(0.5)  # several turns pass in silence
        assert twin.keys == ["a", "b"]
        assert await bench.outbox.backlog() == 2
        for future in twin.silent:
            future.set_result(None)
        await until(bench.empty)
    assert twin.keys == ["a", "b"]


async def test_what_follows_a_failed_event_of_its_key_is_sent_again_after_it(bench: Bench) -> None:
    failures = 1

    def behave(key: str) -> Any:
        nonlocal failures
        if key == "a" and failures:
            failures -= 1
            return KafkaConnectionError("the first one only")
        return "ok"

    twin = Twin(behave)
    await bench.put(event("a", 1), event("b", 1), event("a", 2))
    async with bench.relaying(twin):
        await until(bench.empty)
    order = [(key, b'"at":2' in value) for key, value in twin.sent]
    assert order == [("a", False), ("b", False), ("a", True), ("a", False), ("a", True)]


async def test_two_relays_keep_the_order_of_each_key_between_them(bench: Bench) -> None:
    twin = Twin()
    other = Outbox(bench.pool, "ingest")
    async with bench.relaying(twin), bench.relaying(twin, other):
        for n in range(100):
            await bench.put(*(event(f"job_{key}", n) for key in range(5)))
            other.wake()
        await until(bench.empty)
    assert len(twin.sent) == 500
    for key in range(5):
        values = [value for sent, value in twin.sent if sent == f"job_{key}"]
        assert values == [event(f"job_{key}", n).model_dump_json().encode() for n in range(100)]


async def test_an_event_that_is_too_large_is_set_aside_and_the_rest_goes_on(bench: Bench) -> None:
    limited = True
    twin = Twin(lambda key: MessageSizeTooLargeError("2 MB") if key == "huge" and limited else "ok")
    await bench.put(event("a"), event("huge"), event("b"))
    async with bench.relaying(twin):
        await until(bench.empty)
        assert {"a", "b"} <= set(twin.keys)
        assert await bench.outbox.quarantined() == 1
        reason = await bench.pool.fetchval("SELECT reason FROM outbox_quarantine")
        assert "MessageSizeTooLargeError" in reason
        # As the relay's documentation says, once the limit is raised:
        limited = False
        await bench.pool.execute(
            "INSERT INTO outbox (topic, key, value, headers) SELECT topic, key, value, headers FROM outbox_quarantine"
        )
        await until(bench.empty)
    assert twin.keys[-1] == "huge"


async def test_stop_publishes_what_is_there_and_ends(bench: Bench) -> None:
    twin, stop = Twin(), asyncio.Event()
    await bench.put(*(event(f"job_{n}") for n in range(250)))
    stop.set()
    await asyncio.wait_for(bench.outbox.relay(twin, stop), 10)
    assert len(twin.sent) == 250


async def test_a_cancelled_relay_publishes_what_is_committed_before_it_goes(bench: Bench) -> None:
    twin = Twin()
    async with bench.relaying(twin):
        await bench.put(event("a"))
        await until(bench.empty)
        await bench.put(*(event(f"last_{n}") for n in range(300)))
    assert len(twin.sent) == 301
    assert await bench.empty()


async def test_stop_does_not_wait_for_a_kafka_that_is_away(bench: Bench) -> None:
    twin, stop = Twin(lambda key: KafkaConnectionError("away")), asyncio.Event()
    await bench.put(event("a"))
    stop.set()
    await asyncio.wait_for(bench.outbox.relay(twin, stop), 5)
    assert await bench.outbox.backlog() == 1


async def test_a_producer_beyond_repair_is_replaced(bench: Bench) -> None:
    broken, fresh = Twin(lambda key: OutOfOrderSequenceNumber()), Twin()

    async def reopen() -> Twin:
        return fresh

    await bench.put(event("a"))
    task = asyncio.create_task(bench.outbox.relay(broken, reopen=reopen))
    await until(bench.empty)
    task.cancel()
    assert fresh.keys == ["a"]


async def test_without_a_replacement_a_producer_beyond_repair_ends_the_relay(bench: Bench) -> None:
    await bench.put(event("a"))
    with pytest.raises(OutOfOrderSequenceNumber):
        await asyncio.wait_for(bench.outbox.relay(Twin(lambda key: OutOfOrderSequenceNumber())), 10)
    assert await bench.outbox.backlog() == 1


@pytest.mark.parametrize("hang", [False, True])
async def test_postgres_may_be_away_and_everything_arrives_when_it_is_back(bench: Bench, hang: bool) -> None:
    twin = Twin()
    async with (
        Proxy(bench.dsn) as proxy,
        await open_pool(proxy.dsn, bench.schema) as pool,
        bench.relaying(twin, Outbox(pool, "ingest")),
    ):
        await bench.put(event("a"))
        await until(bench.empty)
        await proxy.cut(hang=hang)
        await bench.put(event("b"))
        await asyncio.sleep(0.5)  # the outage itself
        assert twin.keys == ["a"]
        await proxy.mend()
        await until(bench.empty)
    assert twin.keys == ["a", "b"]


async def test_a_connection_that_stays_silent_for_ever_is_thrown_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "TURN_SECONDS", 0.4)
    monkeypatch.setattr(relays, "CONNECTION_SECONDS", 0.3)
    twin = Twin()
    async with Proxy(bench.dsn) as proxy:
        pool = await open_pool(proxy.dsn, bench.schema, size=2)
        try:
            async with bench.relaying(twin, Outbox(pool, "ingest")):
                await bench.put(event("a"))
                await until(bench.empty)
                await proxy.cut(hang=True)
                await bench.put(event("b"))
                await asyncio.sleep(0.5)  # the outage itself
                await proxy.mend(silent_ones=False)
                await until(bench.empty)
        finally:
            pool.terminate()
    assert twin.keys == ["a", "b"]
