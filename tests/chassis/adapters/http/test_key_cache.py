"""The short memory in front of the keys."""

from collections import Counter

from chassis.adapters.http.auth import CachedKeys
from schemas.keys import ApiKey


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Table:
    """Keys as a database has them, and how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.asked: Counter[str] = Counter()
        self.takes = 0.0
        self.clock = Clock()

    async def find(self, hash: str) -> ApiKey | None:
        self.asked[hash] += 1
        found = self.keys.get(hash)
        self.clock.now += self.takes
        return found


def key(revoked_at: int | None = None) -> ApiKey:
    return ApiKey(id="key_1", project="prj_1", name="a", hash="h", hint="abcd", created_at=1, revoked_at=revoked_at)


def cached(table: Table, size: int = 100) -> CachedKeys:
    return CachedKeys(table.find, ttl=0.5, size=size, clock=table.clock)


async def test_a_key_is_asked_for_once_within_half_a_second() -> None:
    table = Table()
    table.keys["h"] = key()
    store = cached(table)
    for _ in range(100):
        assert await store.find("h") == key()
    assert table.asked["h"] == 1
    table.clock.now += 0.5
    assert await store.find("h") == key()
    assert table.asked["h"] == 2


async def test_a_revoked_key_is_seen_within_half_a_second() -> None:
    table = Table()
    table.keys["h"] = key()
    store = cached(table)
    await store.find("h")
    table.keys["h"] = key(revoked_at=2)
    table.clock.now += 0.5
    found = await store.find("h")
    assert found is not None and found.revoked_at == 2


async def test_the_age_of_an_answer_counts_from_the_question() -> None:
    """A look-up that took a second brings news that is a second old."""
    table = Table()
    table.takes = 1.0
    store = cached(table)
    await store.find("h")
    await store.find("h")
    assert table.asked["h"] == 2


async def test_a_key_made_after_it_was_asked_for_is_found_soon() -> None:
    table = Table()
    store = cached(table)
    assert await store.find("h") is None
    table.keys["h"] = key()
    table.clock.now += 0.5
    assert await store.find("h") == key()


async def test_a_flood_of_unknown_keys_does_not_fill_the_memory() -> None:
    table = Table()
    store = cached(table, size=10)
    for number in range(1000):
        await store.find(f"unknown{number}")
    assert len(store._answers) == 10
    await store.find("unknown999")
    assert table.asked["unknown999"] == 1
