"""`bitmill kafka client`: the formats, and where the settings come from."""

import json
from pathlib import Path

import pytest

from cli import env_file
from cli.__main__ import main
from cli.kafka_client import as_env, as_java, as_librdkafka

LOGIN = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
    "KAFKA_SASL_USERNAME": "bitmill",
    "KAFKA_SASL_PASSWORD": 'a"b\\c',
}


def test_java_clients_get_a_properties_file() -> None:
    assert as_java(LOGIN).splitlines() == [
        "bootstrap.servers=127.0.0.1:9092",
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=SCRAM-SHA-256",
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="bitmill" password="a\\\\"b\\\\\\\\c";',
    ]


def test_librdkafka_gets_a_properties_file() -> None:
    assert as_librdkafka(LOGIN).splitlines()[2:] == [
        "sasl.mechanism=SCRAM-SHA-256",
        "sasl.username=bitmill",
        'sasl.password=a"b\\c',
    ]


def test_a_shell_gets_quoted_assignments() -> None:
    assert "export KAFKA_SASL_PASSWORD='a\"b\\c'" in as_env(LOGIN).splitlines()


def test_a_kafka_without_login_has_an_address_only() -> None:
    assert as_java({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) == "bootstrap.servers=kafka:9092"


def test_the_settings_are_those_of_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env_file.write(tmp_path, {**LOGIN, "DATABASE_URL": "postgresql://db/x"})
    assert main(["kafka", "client", "--data", str(tmp_path), "--format", "aiokafka"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "bitmill",
        "sasl_plain_password": 'a"b\\c',
    }


def test_without_a_system_the_command_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka", "client", "--data", str(tmp_path)]) == 2
    assert "name its folder with --data" in capsys.readouterr().err
