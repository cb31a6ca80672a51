"""`bitmill kafka acls`: the script for Kafka's own tool."""

import shlex

import pytest

from cli.__main__ import main
from schemas.acls import commands


def test_each_line_grants_what_the_table_says_to_the_principal_that_was_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["kafka", "acls", "notifier", "--principal", "User:CN={role}"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith("#")]
    assert [shlex.split(line)[5:] for line in lines] == list(commands("notifier", "User:CN=notifier"))
    assert all(line.startswith('kafka-acls --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" ') for line in lines)


def test_without_a_role_every_role_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka", "acls"]) == 0
    printed = capsys.readouterr().out
    assert "User:bitmill-ingest" in printed and "User:bitmill-producer" in printed
