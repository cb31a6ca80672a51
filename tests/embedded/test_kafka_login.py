"""The Kafka of `bitmill up`: only who can read the data folder can read or write topics."""

import stat
from pathlib import Path

import pytest
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import CreateTopicsRequest

from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.connection import KafkaConnection
from chassis.adapters.kafka.errors import KafkaRefused, KafkaUnavailable
from chassis.adapters.kafka.producer import open_producer
from embedded import KafkaLogin, KafkaServer
from embedded.kafka_login import login_required
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own
from tests.embedded.both_servers import ignore_progress

REFUSED_WITHIN_SECONDS = 2.0


def connection(bootstrap: str, login: KafkaLogin | None, password: str | None = None) -> KafkaConnection:
    assert login is not None
    return KafkaConnection(
        bootstrap,
        {
            "security_protocol": login.protocol,
            "sasl_mechanism": login.mechanism,
            "sasl_plain_username": login.username,
            "sasl_plain_password": password or login.password,
        },
    )


def readable_by_others(folder: Path) -> list[Path]:
    """The files below a folder that another user could open: neither they nor a folder above them is closed."""
    if folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) == 0:
        return []
    return [
        found
        for entry in folder.iterdir()
        for found in (readable_by_others(entry) if entry.is_dir() else [entry])
        if entry.is_dir() or entry.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    ]


async def test_without_the_password_nobody_reads_or_writes_and_no_other_user_can_read_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    topic = topic_of_its_own()
    server = KafkaServer(tmp_path, require_login=True)
    async with server.running(ignore_progress) as bootstrap:
        kafka = connection(bootstrap, server.login)
        await ensure_topics(kafka, [topic])
        with pytest.raises(KafkaRefused, match="KAFKA_SASL_PASSWORD is wrong"):
            await wait_for_kafka(connection(bootstrap, server.login, "a guess"))
        with pytest.raises(KafkaUnavailable, match="this listener may want TLS or a login"):
            await wait_for_kafka(bootstrap, REFUSED_WITHIN_SECONDS)
        secrets = [file for file in tmp_path.rglob("*") if file.is_file() and _holds(file, server.login)]
        assert secrets, "the password is in the folder"
        assert not set(secrets) & set(readable_by_others(tmp_path))
        assert not [file for file in readable_by_others(tmp_path) if "kafka" in file.parent.parts]


async def test_the_controller_obeys_nobody_else_either(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path, require_login=True)
    async with server.running(ignore_progress):
        text = (tmp_path / "kafka" / "server.properties").read_text()
        (voters,) = [line for line in text.splitlines() if line.startswith("controller.quorum.voters=")]
        controller = voters.partition("@")[2]
        host, _, port = controller.rpartition(":")
        connected = await create_conn(host, int(port))
        try:
            with pytest.raises(KafkaConnectionError):
                await connected.send(CreateTopicsRequest([("theirs", 1, 1, [], [])], 10_000, False))
        finally:
            await connected.close()


async def test_a_folder_of_an_earlier_release_gets_a_login_and_keeps_its_records(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    async with KafkaServer(tmp_path).running(ignore_progress) as bootstrap:
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        await producer.send_and_wait(topic.name, b"kept", partition=0)
        await producer.stop()
    passwords = set()
    for _ in range(2):
        server = KafkaServer(tmp_path, require_login=True)
        async with server.running(ignore_progress) as again:
            assert again == bootstrap
            (record,) = await read(connection(again, server.login), topic.name, 1)
            assert record.value == b"kept"
            assert server.login is not None
            passwords.add(server.login.password)
            with pytest.raises(KafkaUnavailable):
                await wait_for_kafka(again, REFUSED_WITHIN_SECONDS)
    assert len(passwords) == 1
    assert "PLAIN," not in (tmp_path / "kafka" / "server.properties").read_text()


def test_a_password_is_never_on_a_command_line_and_differs_each_time() -> None:
    properties = login_required(KafkaLogin("bitmill", "secret")).properties
    again = login_required(KafkaLogin("bitmill", "secret")).properties
    assert properties["sasl.enabled.mechanisms"] == "SCRAM-SHA-256"
    controller = "listener.name.controller.plain.sasl.jaas.config"
    assert properties[controller] != again[controller]


def _holds(file: Path, login: KafkaLogin | None) -> bool:
    assert login is not None
    return login.password.encode() in file.read_bytes()
