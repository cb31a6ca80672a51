"""What is logged about topics that one broker can lose; new topics have the cluster's replication."""

import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from structlog.testing import capture_logs

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.durability import TopicDurability, at_risk, log_durability
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


async def _has_replicas(bootstrap: str, topic: str, count: int) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        [found] = await admin.describe_topics([topic])
        # The broker that is asked may not know the topic yet.
        return bool(found["partitions"]) and len(found["partitions"][0]["replicas"]) == count
    finally:
        await admin.close()


class AdminOfALateBroker:
    """Answers as a broker that learns of new topics a moment after the first: at the third question of each kind."""

    def __init__(self, replicas: int, min_insync: int) -> None:
        self._replicas = replicas
        self._min_insync = min_insync
        self._asked = 0

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{}, {}]}

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        partitions = [{"replicas": list(range(self._replicas))}] if self._asked > 2 else []
        return [{"topic": name, "partitions": partitions} for name in names]

    async def describe_configs(self, wanted: list[Any]) -> list[Any]:
        self._asked += 1
        if self._asked < 2:
            return [SimpleNamespace(resources=[(3, "", 2, each.name, []) for each in wanted])]
        entries = [("min.insync.replicas", str(self._min_insync))]
        return [SimpleNamespace(resources=[(0, "", 2, each.name, entries) for each in wanted])]


async def test_topics_that_a_broker_does_not_know_yet_are_waited_for() -> None:
    with capture_logs() as logged:
        await log_durability(AdminOfALateBroker(replicas=2, min_insync=1), ["new", "new.dlq"])
    assert [(entry["event"], entry["topics"]) for entry in logged] == [
        ("kafka_topics_acknowledged_by_one", ["new", "new.dlq"])
    ]


async def test_new_topics_have_the_replication_of_the_cluster_and_those_at_risk_are_named(two_brokers: str) -> None:
    single, replicated = topic_of_its_own(), topic_of_its_own()
    with capture_logs() as logged:
        await ensure_topics(two_brokers, [single], replication_factor=1)
    [event] = [entry for entry in logged if entry["event"] == "kafka_topics_not_replicated"]
    assert (event["topics"], event["brokers"]) == ([single.name, single.dead_letter], 2)

    with capture_logs() as logged:
        await ensure_topics(two_brokers, [replicated])
    for name in (replicated.name, replicated.dead_letter):
        await eventually(partial(_has_replicas, two_brokers, name, 2))
    assert [entry["event"] for entry in logged if entry["event"].startswith("kafka_topics")] == [
        "kafka_topics_acknowledged_by_one"
    ]
