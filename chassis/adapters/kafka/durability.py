"""Whether acknowledged records survive the loss of one broker: replication and `min.insync.replicas` of the topics.

The outbox removes an event once Kafka has acknowledged it, so that from then on Kafka's replicas are its only copies.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from chassis.core import logs

_MIN_INSYNC = "min.insync.replicas"
_POLL_SECONDS = 0.05

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class TopicDurability:
    """The number of replicas of a topic, and how many have to have a record before it is acknowledged (if known)."""

    name: str
    replicas: int
    min_insync: int | None = None


def at_risk(brokers: int, topics: Sequence[TopicDurability]) -> tuple[list[str], list[str]]:
    """The topics with one replica, and the replicated ones whose records one broker may acknowledge alone (pure).

    Both are empty on a single broker, which cannot have more.
    """
    if brokers < 2:
        return [], []
    single = [topic.name for topic in topics if topic.replicas == 1]
    alone = [topic.name for topic in topics if topic.replicas > 1 and topic.min_insync == 1]
    return single, alone


async def log_durability(admin: Any, names: Sequence[str]) -> None:
    """Logs a warning for those of the topics that can lose acknowledged records with one broker.

    Waits until whichever broker is asked knows the topics: each learns of new ones a moment after the first.
    """
    brokers = len((await admin.describe_cluster())["brokers"])
    if brokers < 2:
        return
    while (topics := await _described(admin, names)) is None:  # noqa: ASYNC110  # Kafka does not notify of it
        await asyncio.sleep(_POLL_SECONDS)
    single, alone = at_risk(brokers, topics)
    if single:
        log.warning("kafka_topics_not_replicated", topics=single, brokers=brokers)
    if alone:
        log.warning("kafka_topics_acknowledged_by_one", topics=alone, brokers=brokers)


async def _described(admin: Any, names: Sequence[str]) -> list[TopicDurability] | None:
    """None where a broker does not know all of them yet."""
    min_insync = await _min_insync(admin, names)
    partitions = {found["topic"]: found["partitions"] for found in await admin.describe_topics(list(names))}
    if min_insync is None or not all(partitions.get(name) for name in names):
        return None
    return [
        TopicDurability(name, min(len(each["replicas"]) for each in partitions[name]), min_insync.get(name))
        for name in names
    ]


async def _min_insync(admin: Any, names: Sequence[str]) -> Mapping[str, int] | None:
    """The setting of each topic, as far as this client may read it; None where the broker does not know a topic yet."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, configs={_MIN_INSYNC: None}) for name in names]
    try:
        answers = await admin.describe_configs(wanted)
    except KafkaError:
        return {}
    resources = [resource for answer in answers for resource in answer.resources]
    if any(code == UnknownTopicOrPartitionError.errno for code, *_ in resources):
        return None
    return {
        name: int(value) for _, _, _, name, entries in resources for key, value, *_ in entries if key == _MIN_INSYNC
    }
