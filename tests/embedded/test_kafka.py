"""Kafka's configuration, ports and errors; `test_kill` and the fixtures start a real one."""

import socket
from pathlib import Path
from uuid import UUID

import pytest

from embedded import EmbeddedServerError, KafkaServer
from embedded.kafka import broker_properties, cluster_id_argument, free_ports


def test_every_listener_is_on_loopback_and_the_advertised_port_is_the_real_one() -> None:
    properties = broker_properties(9001, 9002)
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9002"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9001"
    assert properties["auto.create.topics.enable"] == "false"


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
