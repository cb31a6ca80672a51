"""Kafka's configuration, ports and errors; `test_kill` and the fixtures start a real one."""

import socket
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis.adapters.kafka.admin import NEVER_FLUSHED, OFFSETS_TOPIC, create_offsets_topic, ensure_topics
from embedded import EmbeddedServerError, KafkaServer
from embedded.kafka import OFFSETS_PARTITIONS, broker_properties, cluster_id_argument, free_ports
from schemas.topics import JOB_CREATED, TOPICS


def test_every_listener_is_on_loopback_and_the_advertised_port_is_the_real_one() -> None:
    properties = broker_properties(9001, 9002)
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9002"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9001"
    assert properties["auto.create.topics.enable"] == "false"


def test_each_record_is_flushed_by_default() -> None:
    assert broker_properties(1, 2)["log.flush.interval.messages"] == 1
    assert "log.flush.interval.messages" not in broker_properties(1, 2, durable=False)


async def test_a_running_kafka_flushes_records_and_neither_offsets_nor_lossy_topics(tmp_path: Path) -> None:
    async with KafkaServer(tmp_path).running(print) as bootstrap:
        await create_offsets_topic(bootstrap, partitions=OFFSETS_PARTITIONS)
        await create_offsets_topic(bootstrap, partitions=OFFSETS_PARTITIONS)
        await ensure_topics(bootstrap)
        consumer = AIOKafkaConsumer(JOB_CREATED.name, bootstrap_servers=bootstrap, group_id="tests")
        await consumer.start()
        await consumer.stop()
        flushed = {name: await flush_messages(bootstrap, name) for name in (*(t.name for t in TOPICS), OFFSETS_TOPIC)}
    never = {topic.name for topic in TOPICS if topic.lossy} | {OFFSETS_TOPIC}
    assert flushed == {name: NEVER_FLUSHED if name in never else "1" for name in flushed}


async def flush_messages(bootstrap: str, topic: str) -> str:
    """After how many records Kafka flushes this topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        entries = {entry[0]: entry[1] for entry in response.resources[0][4]}
        return str(entries["flush.messages"])
    finally:
        await admin.close()


def test_the_port_of_the_last_run_is_kept_while_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_ports(port)[0] != port
    assert free_ports(port)[0] == port


def test_a_cluster_id_that_begins_with_a_hyphen_is_not_taken_for_an_option() -> None:
    assert cluster_id_argument(UUID(int=0xF8 << 120)) == ["--cluster-id=-AAAAAAAAAAAAAAAAAAAAA"]


async def test_kafka_formats_its_storage_with_a_cluster_id_that_begins_with_a_hyphen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedded.kafka.uuid4", lambda: UUID(int=0xF8 << 120))
    async with KafkaServer(tmp_path).running(print):
        properties = (tmp_path / "kafka" / "data" / "meta.properties").read_text()
    assert "cluster.id=-AAAAAAAAAAAAAAAAAAAAA" in properties


async def test_a_java_that_does_not_work_is_reported_with_the_end_of_the_log(tmp_path: Path) -> None:
    progress: list[str] = []
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'this is not Java' >&2\nexit 3\n")
    java.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=r"(?s)kafka-format ended with status 3.*this is not Java"):
        async with KafkaServer(tmp_path / "data", java=java).running(progress.append):
            pass
