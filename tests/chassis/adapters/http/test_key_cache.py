"""The short cache in front of the table of keys."""

from collections import Counter

from chassis.adapters.http.auth import CachedKeys
from schemas.keys import ApiKey


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Table:
    """A table of keys; it counts look-ups, each of which takes `takes` seconds of the clock."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.lookups: Counter[str] = Counter()
        self.takes = 0.0
        self.clock = Clock()

    async def find(self, hash: str) -> ApiKey | None:
        self.lookups[hash] += 1
        found = self.keys.get(hash)
        self.clock.now += self.takes
        return found


def key(revoked_at: int | None = None) -> ApiKey:
    return ApiKey(id="key_1", project="prj_1", name="a", hash="h", hint="abcd", created_at=1, revoked_at=revoked_at)


def cached(table: Table, size: int = 100) -> CachedKeys:
    return CachedKeys(table.find, ttl=0.5, size=size, clock=table.clock)


async def test_a_key_is_looked_up_once_within_the_ttl() -> None:
    table = Table()
    table.keys["h"] = key()
    store = cached(table)
    for _ in range(100):
        assert await store.find("h") == key()
    assert table.lookups["h"] == 1
    table.clock.now += 0.5
    assert await store.find("h") == key()
    assert table.lookups["h"] == 2


async def test_a_revocation_is_noticed_after_the_ttl() -> None:
    table = Table()
    table.keys["h"] = key()
    store = cached(table)
    await store.find("h")
    table.keys["h"] = key(revoked_at=2)
    table.clock.now += 0.5
    found = await store.find("h")
    assert found is not None and found.revoked_at == 2


async def test_the_age_of_a_result_counts_from_before_the_look_up() -> None:
    table = Table()
    table.takes = 1.0
    store = cached(table)
    await store.find("h")
    await store.find("h")
    assert table.lookups["h"] == 2


async def test_a_key_created_after_a_failed_look_up_is_found_after_the_ttl() -> None:
    table = Table()
    store = cached(table)
    assert await store.find("h") is None
    table.keys["h"] = key()
    table.clock.now += 0.5
    assert await store.find("h") == key()


async def test_many_unknown_keys_do_not_fill_the_memory() -> None:
    table = Table()
    store = cached(table, size=10)
    for number in range(1000):
        await store.find(f"unknown{number}")
    for number in range(990, 1000):
        await store.find(f"unknown{number}")
    assert max(table.lookups.values()) == 1  # the last ten are cached
    await store.find("unknown989")
    assert table.lookups["unknown989"] == 2  # those before them are not
