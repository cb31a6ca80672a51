"""`media`, `connections`, `health`, `completion`, `task` against a small API or this machine: requests, and output."""

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.core import logs
from cli.__main__ import main
from schemas.ids import typeid, uuid7
from tests.cli.conftest import Api

MEDIA = typeid("med", uuid7(1_700_000_000_000, b"0123456789"))
ITEM = {"id": MEDIA, "status": "active", "title": "Holiday", "kind": "video", "filesize": 1500, "metadata": {"a": "1"}}


@pytest.mark.parametrize(
    ("line", "method", "path", "body"),
    [
        (["list", "--sort", "width", "--metadata", "a=1"], "GET", "/media", None),
        (["get", MEDIA], "GET", f"/media/{MEDIA}", None),
        (["create", "-i", "http://h/a.mov", "--title", "T"], "POST", "/media", {"title": "T", "url": "http://h/a.mov"}),
        (
            ["update", MEDIA, "--folder", "f", "--metadata", "a=", "--metadata", "b=2"],
            "PATCH",
            f"/media/{MEDIA}",
            {"folder": "f", "metadata": {"a": None, "b": "2"}},
        ),
        (["update", MEDIA, "--clear-metadata"], "PATCH", f"/media/{MEDIA}", {"metadata": {}}),
        (["delete", MEDIA], "DELETE", f"/media/{MEDIA}", None),
    ],
)
def test_a_command_about_media_items_is_one_request(
    api: Api, line: list[str], method: str, path: str, body: object, capsys: pytest.CaptureFixture[str]
) -> None:
    api.body = {"data": [ITEM] if line[0] == "list" else ITEM}
    assert main(["media", *line, "--json"]) == 0
    assert [(method, path) for method, path, _ in api.requested] == [(method, path)]
    assert (api.bodies[0] or None) == body
    if line[0] == "list":
        assert api.requested[0][2] == [("sort", "width"), ("limit", "10"), ("metadata.a", "1")]
    if line[0] != "delete":
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == ITEM


def test_a_media_item_is_shown_as_text_and_its_error_is_in_an_envelope(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.body = {"data": [ITEM]}
    assert main(["media", "--tty"]) == 0
    assert capsys.readouterr().out.split() == [MEDIA, "active", "video", "1.5", "kB", "Holiday"]
    error = {"kind": "media_not_found", "message": "There is no media item with this id."}
    api.status, api.body = 404, {"meta": {}, "data": None, "error": error, "links": {}}
    assert main(["media", MEDIA]) == 1
    assert capsys.readouterr().err == "bitmill: There is no media item with this id. [media_not_found]\n"


def test_connections_of_the_api_are_added_and_found_by_name(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answers = {
        "POST /connections": [(201, {"id": "conn_1", "name": "store", "kind": "s3"})],
        "GET /connections": [(200, [{"id": "conn_1", "name": "store", "kind": "s3"}])],
        "PATCH /connections/conn_1": [(200, {"id": "conn_1", "name": "store"})],
        "DELETE /connections/conn_1": [(200, {"id": "conn_1"})],
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    line = ["connections", "add", "s3", "--name", "store", "--region", "eu-west-1", "--access-key-id", "A"]
    assert main([*line, "--secret-access-key", "-", "--default"]) == 0
    keys = {"access_key_id": "A", "secret_access_key": "secret"}
    assert api.bodies[0] == {"kind": "s3", "name": "store", "region": "eu-west-1", **keys, "is_default": True}
    assert main(["connections", "update", "store", "--region", "eu-west-2"]) == 0
    assert api.bodies[-1] == {"region": "eu-west-2"}
    assert main(["connections", "delete", "store"]) == 0
    assert api.requested[-1][:2] == ("DELETE", "/connections/conn_1")


def test_connections_of_a_user_are_kept_for_them_only_and_shown_without_secrets(
    own_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("store", "other"):
        keys = ["--access-key-id", "A", "--secret-access-key", "secret", "--default"]
        assert main(["connections", "add", "s3", "--name", name, *keys]) == 0
    file = own_settings / "connections.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    stored = json.loads(file.read_text())
    assert {name: each["is_default"] for name, each in stored.items()} == {"store": False, "other": True}
    assert main(["connections", "update", "store", "--name", "archive", "--region", "r"]) == 0
    assert main(["connections", "list", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "secret" not in printed
    assert [json.loads(line)["name"] for line in printed.splitlines()[-2:]] == ["other", "archive"]
    assert main(["connections", "delete", "archive"]) == 0
    assert main(["connections", "get", "othr"]) == 2
    assert "there is no connection named othr on this machine; did you mean other?" in capsys.readouterr().err


def test_health_says_what_the_api_and_the_machine_are(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    api.body = []
    assert main(["health", "--json"]) == 0
    # Logging is configured once for a process, and this is the process of all tests: it may print, too.
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    checks = {line["name"]: line["ok"] for line in lines}
    assert checks == {"ffmpeg": True, "sandbox": True, "api": True}
    api.status, api.body = 401, {"kind": "token_invalid", "message": "This API key is not valid."}
    assert main(["health", "--tty"]) == 1
    assert "api      not ok  This API key is not valid. [token_invalid]" in capsys.readouterr().out


def test_health_has_the_status_of_an_api_that_does_not_respond(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setenv("ITTYBIT_API_URL", "http://127.0.0.1:1")
    assert main(["health"]) == 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_printed(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "ittybit" in script
    assert "bitmill" in script
    file = tmp_path / "folder" / "script"
    assert main(["completion", shell, "--install", str(file)]) == 0
    assert file.read_text() == script


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ittybit jo", ["jobs"]),
        ("ittybit jobs c", ["cancel", "create"]),
        ("ittybit video --qual", ["--quality"]),
        ("ittybit video --priority ", ["high", "low", "normal"]),
    ],
)
def test_a_tab_completes_commands_options_and_values(line: str, words: list[str], tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    environment = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    environment |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    command = [sys.executable, "-m", "cli"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(word.strip() for word in answer.read_text().split("\n")) == words


def test_bash_completes_by_the_script_that_is_printed(tmp_path: Path) -> None:
    (tmp_path / "ittybit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    (tmp_path / "ittybit").chmod(0o755)
    program = """
eval "$(ittybit completion bash)"
COMP_LINE="ittybit webhooks li" COMP_POINT=19 COMP_TYPE=9 COMP_WORDS=(ittybit webhooks li) COMP_CWORD=2
_python_argcomplete ittybit
printf '%s\\n' "${COMPREPLY[@]}"
"""
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "listen", done.stderr
