"""Waiting for Kafka, and creating topics from the table in `schemas.topics`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from chassis.adapters.kafka.connection import Kafka, KafkaConnection, connection
from chassis.adapters.kafka.durability import log_durability
from chassis.adapters.kafka.errors import KafkaRefused, KafkaUnavailable, TopicCreationFailed
from chassis.adapters.kafka.probe import diagnose, request_metadata
from chassis.core import logs
from chassis.core.retry import backoff_seconds
from schemas.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS, Topic

_DEAD_LETTER_MAX_BYTES = 2 * 1024 * 1024
"""Larger than the limit of the topic itself, because a dead letter is the record plus the reason."""
BROKER_DEFAULT = -1
"""In place of a replication factor: the cluster's `default.replication.factor`."""
NEVER_FLUSHED = str(2**63 - 1)
"""Kafka leaves it to the operating system when it writes to the disk."""
OFFSETS_TOPIC = "__consumer_offsets"
_OFFSETS_SEGMENT_BYTES = 100 * 1024 * 1024
"""Kafka's default for this topic: it is read as a whole when the broker starts."""
_POLL_SECONDS = 0.05
_LONGEST_SEGMENT = timedelta(days=1)
"""Kafka deletes whole segments, by their newest record: a record is kept for the retention and at most so long."""
_FAILURES_PER_LOG_EVENT = 6
"""The first log event comes after some 3 s, further ones about every 12 s."""

log = logs.get_logger(__name__)


async def ensure_topics(
    kafka: Kafka,
    topics: Iterable[Topic] = TOPICS,
    *,
    replication_factor: int = BROKER_DEFAULT,
    timeout: float = 60.0,
) -> None:
    """Creates what is missing of `topics` and their dead-letter topics, and waits until each partition has a leader.

    Existing topics are not changed, so that operators can choose partitions and retention; several services may do this
    at once. New ones get the cluster's `default.replication.factor`; topics that can lose records with one broker are
    logged. Raises KafkaUnavailable after `timeout` seconds, TopicCreationFailed where Kafka refuses a topic.
    """
    target = connection(kafka)
    wanted = [new for topic in topics for new in (_topic(topic, replication_factor), _dead(topic, replication_factor))]
    await wait_for_kafka(target, timeout)
    try:
        async with asyncio.timeout(timeout), _admin(target, "bitmill.topics") as admin:
            missing = await _missing(admin, wanted)
            if missing:
                await _create(admin, missing)
            while await _missing(admin, wanted):  # noqa: ASYNC110  # Kafka does not notify of elected leaders
                await asyncio.sleep(_POLL_SECONDS)
            await log_durability(admin, [new.name for new in wanted])
    except TimeoutError:
        reason = f"Kafka at {target.bootstrap} did not have its topics ready within {timeout:g} s"
        raise KafkaUnavailable(reason) from None


async def create_offsets_topic(kafka: Kafka, *, partitions: int, timeout: float = 60.0) -> None:
    """Creates the topic in which Kafka keeps the offsets of groups, where it is missing, without a flush per record.

    For a broker that flushes each record by default (`bitmill up`) and that no group has used yet: Kafka would create
    the topic with the broker's default. A committed offset may be lost: the records after it come again. Raises as
    `ensure_topics`.
    """
    configs = {
        "cleanup.policy": "compact",
        "segment.bytes": str(_OFFSETS_SEGMENT_BYTES),
        "compression.type": "producer",
        "flush.messages": NEVER_FLUSHED,
    }
    target = connection(kafka)
    await wait_for_kafka(target, timeout)
    try:
        async with asyncio.timeout(timeout), _admin(target, "bitmill.offsets") as admin:
            await _create(admin, [_new(OFFSETS_TOPIC, partitions, 1, configs)])
    except (TimeoutError, KafkaError):
        raise KafkaUnavailable(f"Kafka at {target.bootstrap} created no topic within {timeout:g} s") from None


async def _missing(admin: Any, wanted: list[Any]) -> list[Any]:
    # Of all topics: asking for one by name may create it, where a cluster allows that.
    known = {found["topic"]: found for found in await admin.describe_topics()}
    return [new for new in wanted if not _ready(known.get(new.name))]


def _ready(found: Any) -> bool:
    return found is not None and bool(found["partitions"]) and all(part["leader"] >= 0 for part in found["partitions"])


async def _create(admin: Any, missing: list[Any]) -> None:
    try:
        response = await admin.create_topics(missing)
    except KafkaError as error:
        raise TopicCreationFailed(f"Kafka refused to create topics: {error}") from error
    for name, code, *message in response.topic_errors:
        kind = for_code(code)
        if code != 0 and kind is not TopicAlreadyExistsError:  # another service created it first
            said = " ".join(str(part) for part in message)
            raise TopicCreationFailed(f"Kafka refused to create the topic {name}: {kind.__name__} {said}")


def _topic(topic: Topic, replication_factor: int) -> Any:
    configs = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": _milliseconds(topic.retention),
        # The brokers' time: they refuse records of producers whose clock is an hour ahead.
        "message.timestamp.type": "LogAppendTime",
    }
    if topic.retention is not None:
        # By default Kafka begins a new segment after a week only.
        configs["segment.ms"] = _milliseconds(min(topic.retention, _LONGEST_SEGMENT))
    if topic.lossy:
        # Kafka's own default, also where a single broker flushes every record of the other topics to its disk.
        configs["flush.messages"] = NEVER_FLUSHED
    return _new(topic.name, topic.partitions, replication_factor, configs)


def _dead(topic: Topic, replication_factor: int) -> Any:
    configs = {
        "retention.ms": _milliseconds(DEAD_LETTER_RETENTION),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(_DEAD_LETTER_MAX_BYTES),
    }
    return _new(topic.dead_letter, DEAD_LETTER_PARTITIONS, replication_factor, configs)


def _new(name: str, partitions: int, replication_factor: int, configs: dict[str, str]) -> Any:
    new = NewTopic(name, partitions, 1, topic_configs=configs)
    new.replication_factor = replication_factor  # its constructor refuses the broker's default, which the protocol has
    return new


def _milliseconds(retention: timedelta | None) -> str:
    return "-1" if retention is None else str(retention // timedelta(milliseconds=1))


async def wait_for_kafka(kafka: Kafka, timeout: float = 60.0) -> None:
    """Returns once a broker answers a request of this client.

    Raises KafkaRefused as soon as it is certain that a setting is wrong, KafkaUnavailable after `timeout` seconds.
    FastStream has no such wait, and aiokafka gives up at the first refused connection.
    """
    await _retry_until(connection(kafka), timeout, request_metadata)


async def wait_for_groups(kafka: Kafka, group: str = "bitmill.wait", timeout: float = 300.0) -> None:
    """Returns once `group` can be joined: a new Kafka first creates the topic that stores groups.

    Longer than `wait_for_kafka`: Kafka answers by now, and on a busy machine it needs minutes for that topic.
    """

    async def find_coordinator(target: KafkaConnection) -> None:
        async with _admin(target, "bitmill.wait") as admin:
            await admin.find_coordinator(group)

    await _retry_until(connection(kafka), timeout, find_coordinator)


async def _retry_until(
    kafka: KafkaConnection, timeout: float, request: Callable[[KafkaConnection], Awaitable[None]]
) -> None:
    failures = 0
    reason = "no connection"
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await request(kafka)
                    return
                except (OSError, KafkaError, ValueError) as error:
                    diagnosis = diagnose(error, kafka)
                    reason = diagnosis.reason
                    if diagnosis.final:
                        raise KafkaRefused(f"Kafka at {kafka.bootstrap}: {reason}") from None
                failures += 1
                if failures % _FAILURES_PER_LOG_EVENT == 0:
                    log.warning("kafka_connection_failed", bootstrap=kafka.bootstrap, error=reason, failures=failures)
                await asyncio.sleep(backoff_seconds(failures, first_s=0.05, longest_s=2.0))
    except TimeoutError:
        raise KafkaUnavailable(f"Kafka at {kafka.bootstrap} did not answer within {timeout:g} s: {reason}") from None


@asynccontextmanager
async def _admin(kafka: KafkaConnection, client_id: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(client_id=client_id, **kafka.options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
