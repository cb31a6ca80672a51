"""API keys in the database, as the command creates and revokes them."""

from collections.abc import AsyncIterator

import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import Pool
from schemas.events import KeyChanged
from schemas.ids import is_id
from schemas.keys import hash_key, well_formed
from schemas.topics import KEY_CHANGED
from services.ingest import keys
from services.ingest.store import Store


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def published(pool: Pool) -> list[KeyChanged]:
    events = []
    for row in await pool.fetch("SELECT headers, value FROM outbox ORDER BY id"):
        event = codec.decode(KEY_CHANGED, [(name, value.encode()) for name, value in row["headers"]], row["value"])
        assert isinstance(event, KeyChanged)
        events.append(event)
    return events


async def test_a_key_is_stored_as_a_hash_and_published(pool: Pool) -> None:
    new = await keys.create_key(pool, "default", "laptop")
    key, text = new.key, new.text
    assert well_formed(text)
    assert (key.hash, key.name, is_id(key.project, "prj")) == (hash_key(text), "laptop", True)
    assert [event.key for event in await published(pool)] == [key]
    rows = await pool.fetch("SELECT k::text AS k FROM api_keys k UNION ALL SELECT value::text FROM outbox")
    assert all(text not in row["k"] for row in rows)


async def test_a_project_is_created_once(pool: Pool) -> None:
    first = (await keys.create_key(pool, "shop", "a")).key
    second = (await keys.create_key(pool, "shop", "b")).key
    other = (await keys.create_key(pool, "blog", "c")).key
    assert first.project == second.project != other.project
    listed = await keys.list_keys(pool)
    assert [(each.project_name, each.key.name) for each in listed] == [("shop", "a"), ("shop", "b"), ("blog", "c")]


async def test_a_revoked_key_is_known_as_revoked(pool: Pool) -> None:
    new = await keys.create_key(pool)
    key, text = new.key, new.text
    revoked = await keys.revoke_key(pool, key.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert await Store(pool).key_by_hash(hash_key(text)) == revoked
    assert await keys.revoke_key(pool, key.id) == revoked
    assert (await published(pool))[-1].key == revoked


async def test_an_unknown_key_cannot_be_revoked(pool: Pool) -> None:
    assert await keys.revoke_key(pool, "key_01h455vb4pex5vsknk084sn02q") is None


@pytest.mark.parametrize(
    ("project", "name"), [("", "a"), ("x" * 201, "a"), ("a\0", "a"), ("shop", "x" * 201), ("shop", "\n")]
)
async def test_a_name_that_no_index_takes_is_refused_with_the_rule(pool: Pool, project: str, name: str) -> None:
    with pytest.raises(keys.InvalidName, match="must have"):
        await keys.create_key(pool, project, name)
    assert await keys.list_keys(pool) == []
