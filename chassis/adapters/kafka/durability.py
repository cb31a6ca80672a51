"""Whether acknowledged records survive the loss of one broker: replication and `min.insync.replicas` of the topics.

The outbox removes an event once Kafka has acknowledged it, so that from then on Kafka's replicas are its only copies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from chassis.core import logs

_MIN_INSYNC = "min.insync.replicas"

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
    """Logs a warning for those of the topics that can lose acknowledged records with one broker."""
    brokers = len((await admin.describe_cluster())["brokers"])
    if brokers < 2:
        return
    min_insync = await _min_insync(admin, names)
    topics = [
        TopicDurability(
            found["topic"],
            min(len(partition["replicas"]) for partition in found["partitions"]),
            min_insync.get(found["topic"]),
        )
        for found in await admin.describe_topics(list(names))
        if found["partitions"]
    ]
    single, alone = at_risk(brokers, topics)
    if single:
        log.warning("kafka_topics_not_replicated", topics=single, brokers=brokers)
    if alone:
        log.warning("kafka_topics_acknowledged_by_one", topics=alone, brokers=brokers)


async def _min_insync(admin: Any, names: Sequence[str]) -> Mapping[str, int]:
    """The setting of each topic; none where this client may not read settings."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, configs={_MIN_INSYNC: None}) for name in names]
    try:
        answers = await admin.describe_configs(wanted)
    except KafkaError:
        return {}
    return {
        name: int(value)
        for answer in answers
        for _, _, _, name, entries in answer.resources
        for key, value, *_ in entries
        if key == _MIN_INSYNC
    }
