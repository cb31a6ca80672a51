"""Ids whose events an outage holds up are told from ids that never were."""

import os

from schemas.ids import typeid, uuid7
from services.catalog.feed import Feed

START = 1_700_000_000_000


class Kafka:
    """Answers or does not, at a time that the test sets."""

    def __init__(self) -> None:
        self.away = False
        self.now = START
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError("away")

    async def after(self, seconds: float) -> bool:
        """Whether an id that was minted now is late after so many seconds."""
        id = typeid("job", uuid7(self.now, os.urandom(10)))
        self.now += round(seconds * 1000)
        return await self.feed.late(id)

    @property
    def feed(self) -> Feed:
        if not hasattr(self, "_feed"):
            self._feed = Feed(self.check, lambda: self.now)
        return self._feed


async def test_nothing_is_late_while_kafka_answers_and_it_is_asked_once_a_second() -> None:
    kafka = Kafka()
    assert not any([await kafka.after(0.1) for _ in range(100)])
    assert kafka.asked == 10


async def test_ids_of_an_outage_are_late_during_it_and_a_little_longer() -> None:
    kafka = Kafka()
    assert not await kafka.after(60)
    old = typeid("job", uuid7(kafka.now - 60_000, os.urandom(10)))
    kafka.away = True
    assert await kafka.after(2)
    assert await kafka.after(3600)
    assert not await kafka.feed.late(old), "it was projected before, or never will be"
    kafka.away = False
    assert await kafka.after(10)
    assert not await kafka.after(10)


async def test_before_kafka_has_answered_for_the_first_time_every_id_may_be_late() -> None:
    kafka = Kafka()
    kafka.away = True
    assert await kafka.feed.late(typeid("job", uuid7(kafka.now - 3_600_000, os.urandom(10))))
    kafka.away = False
    assert not await kafka.after(60)
