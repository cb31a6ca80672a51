"""What customers' producers may compress to, and what a consumer makes of batches that it cannot read."""

import random
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.bounded_fetch import FETCH_BUDGET_BYTES, MAX_BATCH_BYTES, BoundedConsumer
from chassis.adapters.kafka.consumer import ServiceBroker, subscribe
from chassis.adapters.kafka.decompression import Undecompressable, decompress
from schemas.events import JobSucceeded
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own
from tests.chassis.adapters.kafka.test_consumer import SERVICE, all_committed, good, running
from tests.support.memory import peak_memory_mib, reset_peak_memory
from tests.support.raw_batches import CODECS, batch, replaced, send_batches

MIB = 1024 * 1024
HEADERS: list[tuple[str, bytes | None]] = [("ce_type", b"bitmill.job.succeeded.v1")]
GZIP, SNAPPY, LZ4, ZSTD = CODECS.values()


def compressed(codec: int, data: bytes) -> bytes:
    """The data as it stands in a batch."""
    if codec == SNAPPY:
        return bytes(cramjam.snappy.compress_raw(data))
    module = {GZIP: cramjam.gzip, LZ4: cramjam.lz4, ZSTD: cramjam.zstd}[codec]
    return bytes(module.compress(data))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_no_codec_gives_more_than_its_limit(codec: int) -> None:
    fits, too_long = compressed(codec, b"x" * 10_000), compressed(codec, b"x" * 10_001)
    assert decompress(codec, fits, 10_000) == b"x" * 10_000
    with pytest.raises(Undecompressable, match="longer than 10000 bytes"):
        decompress(codec, too_long, 10_000)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_bomb_costs_no_memory(codec: int) -> None:
    data = compressed(codec, bytes(256 * MIB))
    reset_peak_memory()
    before = peak_memory_mib()
    with pytest.raises(Undecompressable, match="longer than"):
        decompress(codec, data, MAX_BATCH_BYTES)
    assert peak_memory_mib() - before < 32


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_damaged_data_is_refused_and_never_read_for_ever(codec: int) -> None:
    good_data = compressed(codec, b"a job, " * 1000)
    chance = random.Random(1)
    for _ in range(500):
        changed = bytearray(good_data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        with suppress(Undecompressable):
            assert len(decompress(codec, bytes(changed[: chance.randint(0, len(changed))]), MIB)) <= MIB


@pytest.mark.parametrize("length", [-4, -(2**31), 2**31 - 1])
def test_a_snappy_block_of_an_impossible_length_is_refused(length: int) -> None:
    data = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + struct.pack(">i", length) + b"abc"
    with pytest.raises(Undecompressable, match=f"a block says that it has {length} bytes"):
        decompress(SNAPPY, data, MIB)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(Undecompressable, match="codec 7 is unknown"):
        decompress(7, b"", MIB)


@pytest.mark.parametrize("codec", CODECS)
async def test_a_bomb_becomes_a_dead_letter_and_its_neighbours_are_handled(kafka_bootstrap: str, codec: str) -> None:
    # Snappy compresses nothing to less than a twentieth, and Kafka takes a megabyte.
    size = 18 if codec == "snappy" else 200
    bomb = batch((bytes(size * MIB), HEADERS), (b"{}", HEADERS), codec=CODECS[codec])
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    sent = [batch(good("first")), *[bomb] * 3, batch(good("last"), codec=CODECS[codec])]
    await send_batches(kafka_bootstrap, topic.name, *sent)
    del bomb
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    reset_peak_memory()
    before = peak_memory_mib()
    async with running(broker):
        letters = await read(kafka_bootstrap, topic.dead_letter, 3)
        await all_committed(kafka_bootstrap, topic, 8)
        broker.check()
    assert seen == ["first", "last"]
    written = [dict(letter.headers) for letter in letters]
    assert [each["source_offset"] for each in written] == [b"2", b"4", b"6"]
    why = f"the offsets 1 to 2 cannot be read: its records cannot be decompressed ({codec}): longer than 4194304 bytes"
    assert written[0]["reason"].decode() == why
    assert peak_memory_mib() - before < 100


async def test_a_batch_that_cannot_be_read_to_its_end_is_skipped_from_there(kafka_bootstrap: str) -> None:
    """A header whose name is not UTF-8: Kafka takes it, and aiokafka raises."""
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    value, headers = good("bad")
    bad = replaced(
        batch(good("first"), (value, [*headers, ("zzzz", b"1")]), good("lost")), b"zzzz", b"\xff\xfe\xff\xfe"
    )
    await send_batches(kafka_bootstrap, topic.name, bad, batch(good("last")))
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    async with running(broker):
        (letter,) = await read(kafka_bootstrap, topic.dead_letter, 1)
        await all_committed(kafka_bootstrap, topic, 4)
    assert seen == ["first", "last"]
    assert b"the offsets 1 to 2 cannot be read" in dict(letter.headers)["reason"]


@pytest.mark.parametrize("what", ["value", "key", "headers"])
async def test_a_record_that_is_larger_than_any_dead_letter_does_not_stop_its_topic(
    kafka_bootstrap: str, what: str
) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    large = bytes(3 * MIB)
    record: Any = (large if what == "value" else b"{}", [*HEADERS, ("x", large if what == "headers" else b"")])
    data = batch(record, codec=ZSTD, key=large if what == "key" else b"k")
    await send_batches(kafka_bootstrap, topic.name, data, batch(good("last")))
    broker = ServiceBroker(kafka_bootstrap, SERVICE)
    seen: list[str] = []

    @subscribe(broker, topic)
    async def on_result(events: Sequence[JobSucceeded]) -> None:
        seen.extend(event.job.input for event in events)

    async with running(broker):
        (letter,) = await read(kafka_bootstrap, topic.dead_letter, 1)
        await all_committed(kafka_bootstrap, topic, 2)
    assert seen == ["last"]
    assert dict(letter.headers)["source_offset"] == b"0"


async def test_one_poll_gives_a_bounded_amount_of_decompressed_records(kafka_bootstrap: str) -> None:
    topic = topic_of_its_own()
    await ensure_topics(kafka_bootstrap, [topic])
    full = batch((bytes(MAX_BATCH_BYTES - 1000), []), codec=ZSTD)
    await send_batches(kafka_bootstrap, topic.name, *[full] * 20)
    consumer = BoundedConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    offsets: list[int] = []
    try:
        consumer.assign([TopicPartition(topic.name, 0)])
        while len(offsets) < 20:
            found = [each for records in (await consumer.getmany(timeout_ms=1000)).values() for each in records]
            offsets += [each.offset for each in found]
            assert sum(len(each.value) for each in found) <= FETCH_BUDGET_BYTES + MAX_BATCH_BYTES
    finally:
        await consumer.stop()
    assert offsets == list(range(20)), "each once, in order"
