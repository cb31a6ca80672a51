"""Topics from the table."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.errors import KafkaUnavailable, TopicCreationFailed
from schemas.topics import KEY_CHANGED, TOPICS
from tests.chassis.adapters.kafka.examples import topic_of_its_own


async def test_all_topics_and_their_dead_letters_are_made_once_by_several_services_at_once(
    kafka_bootstrap: str,
) -> None:
    own = [replace(topic_of_its_own(topic), partitions=topic.partitions) for topic in TOPICS]
    await asyncio.gather(*(ensure_topics(kafka_bootstrap, own) for _ in range(5)))
    await ensure_topics(kafka_bootstrap, own)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    finally:
        await admin.close()
    assert {topic.name: found.get(topic.name) for topic in own} == {topic.name: topic.partitions for topic in own}
    assert all(found.get(topic.dead_letter) == 1 for topic in own)


async def test_a_topic_has_the_retention_and_compaction_of_its_row(kafka_bootstrap: str) -> None:
    kept = replace(topic_of_its_own(), retention=timedelta(hours=1))
    compacted = topic_of_its_own(KEY_CHANGED)
    await ensure_topics(kafka_bootstrap, [kept, compacted])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in (kept, compacted)]
        answers = await admin.describe_configs(wanted)
    finally:
        await admin.close()
    configs = {
        name: {key: value for key, value, *_ in entries}
        for answer in answers
        for _, _, _, name, entries in answer.resources
    }
    assert configs[kept.name]["message.timestamp.type"] == "LogAppendTime", "a producer's clock may be wrong"
    assert configs[kept.name]["retention.ms"] == "3600000"
    assert configs[kept.name]["cleanup.policy"] == "delete"
    assert configs[kept.name]["segment.ms"] == "3600000"
    assert configs[compacted.name]["retention.ms"] == "-1"
    assert configs[compacted.name]["cleanup.policy"] == "compact"


async def test_a_topic_that_kafka_will_not_have_is_said(kafka_bootstrap: str) -> None:
    with pytest.raises(TopicCreationFailed, match="InvalidReplicationFactor"):
        await ensure_topics(kafka_bootstrap, [topic_of_its_own()], replication_factor=50)


async def test_waiting_for_a_kafka_that_is_not_there_ends_in_a_sentence() -> None:
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127.0.0.1:1 did not answer within 0.3 s"):
        await wait_for_kafka("127.0.0.1:1", timeout=0.3)
