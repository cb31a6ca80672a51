"""A key that is revoked at ingest is refused by the catalog within a second, also while Kafka is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import psutil
import pytest

from chassis.adapters.postgres import Pool
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.core.retry import run_periodically
from embedded.kafka import KafkaServer
from schemas.events import KeyChanged
from schemas.keys import ApiKey, InvalidRevocations, Revocation, parse_revocations, revocations_text
from services.ingest import keys, revocations
from tests.services.catalog.service import CatalogService, running
from tests.support.proxy import Proxy
from tests.support.waiting import until

LIMIT_SECONDS = 1.0
_SAFETY_SECONDS = 120.0


async def status(catalog: CatalogService, text: str) -> int:
    headers = {"Authorization": f"Bearer {text}"}
    async with catalog.session.get(catalog.url + "/jobs", headers=headers) as response:
        return response.status


async def known_key(pool: Pool, catalog: CatalogService) -> tuple[ApiKey, str]:
    """A key that the catalog has read, and its text."""
    made = await keys.create_key(pool)
    key, text = made.key, made.text
    await catalog.publish(KeyChanged(key=key))

    async def accepted() -> bool:
        return await status(catalog, text) == 200

    await until(accepted, within=_SAFETY_SECONDS)
    return key, text


async def seconds_until_refused(catalog: CatalogService, text: str, revoked_at: float) -> float:
    """How long after the revocation the last request began that was accepted; 0 where none was."""
    last = revoked_at
    async with asyncio.timeout(_SAFETY_SECONDS):
        while True:
            begun = time.monotonic()
            if await status(catalog, text) == 401:
                return last - revoked_at
            last = begun
            await asyncio.sleep(0.01)


@asynccontextmanager
async def repeating(pool: Pool) -> AsyncIterator[None]:
    """The repetitions of a running ingest."""

    async def repeat() -> None:
        await run_periodically(
            lambda: revocations.repeat(pool), revocations.REPEAT_EVERY, logs.get_logger(__name__), "key_revocations"
        )

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_revoked_key_is_refused_within_a_second_while_kafka_does_not_answer(
    fresh_dsn: str, tmp_path: Path
) -> None:
    server = KafkaServer(tmp_path / "kafka")
    async with (
        server.running(print) as bootstrap,
        keys.database(fresh_dsn, migrate_first=True) as pool,
        running(fresh_dsn, bootstrap, tmp_path) as catalog,
    ):
        key, text = await known_key(pool, catalog)
        process = psutil.Process(server.pid)
        process.suspend()
        try:
            await keys.revoke_key(pool, key.id)
            seconds = await seconds_until_refused(catalog, text, time.monotonic())
        finally:
            process.resume()  # a client that is closed would wait for it
        print(f"accepted for {seconds:.3f} s after the revocation")
        assert seconds < LIMIT_SECONDS

        # Also by a catalog that starts later, without having heard of it.
        async def stored() -> bool:
            connection = await asyncpg.connect(fresh_dsn)
            at = await connection.fetchval("SELECT revoked_at FROM catalog.api_keys WHERE id = $1", key.id)
            await connection.close()
            return at is not None

        await until(stored, within=_SAFETY_SECONDS)


async def test_a_catalog_that_was_cut_off_serves_no_key_unchecked_and_hears_of_it_later(
    fresh_dsn: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    async with (
        Proxy(fresh_dsn) as proxy,
        keys.database(fresh_dsn, migrate_first=True) as pool,
        running(fresh_dsn, kafka_bootstrap, tmp_path, listen_url=proxy.dsn) as catalog,
    ):
        key, text = await known_key(pool, catalog)
        await proxy.cut()
        await keys.revoke_key(pool, key.id)
        revoked_at = time.monotonic()
        last = revoked_at
        while (begun := time.monotonic()) < revoked_at + LIMIT_SECONDS + 0.5:
            if await status(catalog, text) == 200:
                last = begun
        assert last - revoked_at < LIMIT_SECONDS
        assert await status(catalog, text) == 503
        await proxy.restore()
        async with repeating(pool):

            async def refused() -> bool:
                found = await status(catalog, text)
                assert found != 200
                return found == 401

            await until(refused, within=_SAFETY_SECONDS)


async def test_a_key_whose_end_is_known_before_its_beginning_is_never_accepted(
    fresh_dsn: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    async with (
        keys.database(fresh_dsn, migrate_first=True) as pool,
        running(fresh_dsn, kafka_bootstrap, tmp_path) as catalog,
    ):
        await known_key(pool, catalog)  # the channel is open
        made = await keys.create_key(pool)
        key, text = made.key, made.text
        await keys.revoke_key(pool, key.id)
        await asyncio.sleep(LIMIT_SECONDS)  # after it the end is known, or no key is accepted
        await catalog.publish(KeyChanged(key=key))

        async def projected() -> bool:
            assert await status(catalog, text) in (401, 503)
            connection = await asyncpg.connect(fresh_dsn)
            found = await connection.fetchval("SELECT true FROM catalog.api_keys WHERE id = $1", key.id)
            await connection.close()
            return bool(found)

        await until(projected, within=_SAFETY_SECONDS)
        assert await status(catalog, text) == 401


async def test_revocations_of_the_last_hour_are_repeated_in_messages_that_fit(fresh_dsn: str) -> None:
    received: list[str] = []
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        listener = await asyncpg.connect(fresh_dsn)
        await listener.add_listener("bitmill_keys_revoked", lambda *message: received.append(message[3]))
        made = [(await keys.create_key(pool)).key for _ in range(250)]
        old, recent = made[0], made[1:]
        long_ago = now_ms() - (revocations.REPEAT_FOR + timedelta(minutes=1)) // timedelta(milliseconds=1)
        await pool.execute("UPDATE api_keys SET revoked_at = $1", now_ms())
        await pool.execute("UPDATE api_keys SET revoked_at = $1 WHERE id = $2", long_ago, old.id)
        await revocations.repeat(pool)
        await listener.fetchval("SELECT 1")

        async def all_there() -> bool:
            return len(received) == 3

        await until(all_there, within=_SAFETY_SECONDS)
        await listener.close()
    assert {each.key_id for message in received for each in parse_revocations(message)} == {key.id for key in recent}


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[1]", '[["key_1", 5]]', '[["key_01h455vb4pex5vsknk084sn02q", -1]]', "[" * 100_000]
)
def test_a_message_that_is_no_list_of_revocations_is_refused(text: str) -> None:
    with pytest.raises(InvalidRevocations):
        parse_revocations(text)


def test_a_message_is_read_as_it_was_written() -> None:
    written = [Revocation("key_01h455vb4pex5vsknk084sn02q", 1_700_000_000_000)]
    assert parse_revocations(revocations_text(written)) == written
