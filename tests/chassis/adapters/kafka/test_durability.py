"""What is logged about topics that one broker can lose; new topics have the cluster's replication."""

import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from structlog.testing import capture_logs

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.durability import TopicDurability, at_risk
from embedded.kafka import KafkaServer, free_ports
from embedded.kafka_login import BrokerSecurity
from tests.chassis.adapters.kafka.examples import eventually, topic_of_its_own


def test_one_replica_is_a_risk_where_there_are_several_brokers() -> None:
    topics = [TopicDurability("single", 1, 1), TopicDurability("three", 3, 2)]
    assert at_risk(3, topics) == (["single"], [])
    assert at_risk(1, topics) == ([], []), "one broker cannot hold more"


def test_replicas_that_need_not_acknowledge_are_a_risk() -> None:
    topics = [TopicDurability("alone", 3, 1), TopicDurability("safe", 3, 2), TopicDurability("not known", 3)]
    assert at_risk(3, topics) == ([], ["alone"])


@pytest.fixture
async def two_brokers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A cluster of two brokers whose `default.replication.factor` is 2."""
    properties = {"default.replication.factor": 2}
    async with KafkaServer(tmp_path / "1", security=BrokerSecurity(properties=properties)).running(print) as bootstrap:
        metadata = (tmp_path / "1" / "kafka" / "data" / "meta.properties").read_text()
        cluster = re.search(r"^cluster.id=(\S+)$", metadata, re.MULTILINE)
        assert cluster
        monkeypatch.setattr("embedded.kafka.uuid4", lambda: UUID(bytes=urlsafe_b64decode(f"{cluster[1]}==")))
        configuration = (tmp_path / "1" / "kafka" / "server.properties").read_text()
        voters = re.search(r"^controller.quorum.voters=(\S+)$", configuration, re.MULTILINE)
        assert voters
        port, _ = free_ports(None)
        home = tmp_path / "2" / "kafka"
        home.mkdir(parents=True)
        (home / "port").write_text(str(port))  # a server takes the port of its last run
        joining = {
            "process.roles": "broker",
            "node.id": 2,
            "controller.quorum.voters": voters[1],
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            **properties,
        }
        async with KafkaServer(tmp_path / "2", security=BrokerSecurity(properties=joining)).running(print):
            await eventually(lambda: _has_brokers(bootstrap, 2))
            yield bootstrap


async def _has_brokers(bootstrap: str, count: int) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return len((await admin.describe_cluster())["brokers"]) == count
    finally:
        await admin.close()


async def _replicas(bootstrap: str, topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        [found] = await admin.describe_topics([topic])
        return len(found["partitions"][0]["replicas"])
    finally:
        await admin.close()


async def test_new_topics_have_the_replication_of_the_cluster_and_those_at_risk_are_named(two_brokers: str) -> None:
    single, replicated = topic_of_its_own(), topic_of_its_own()
    with capture_logs() as logged:
        await ensure_topics(two_brokers, [single], replication_factor=1)
    [event] = [entry for entry in logged if entry["event"] == "kafka_topics_not_replicated"]
    assert (event["topics"], event["brokers"]) == ([single.name, single.dead_letter], 2)

    with capture_logs() as logged:
        await ensure_topics(two_brokers, [replicated])
    assert await _replicas(two_brokers, replicated.name) == 2
    assert await _replicas(two_brokers, replicated.dead_letter) == 2
    assert [entry["event"] for entry in logged if entry["event"].startswith("kafka_topics")] == [
        "kafka_topics_acknowledged_by_one"
    ]
