"""The banner of `bitmill up`: the API key is shown on a terminal, and never written into a log."""

import os
import pty
import shlex
import subprocess
from pathlib import Path

import pytest

from cli import env_file
from cli.banner import banner, print_banner

VALUES = {
    "ITTYBIT_API_URL": "http://127.0.0.1:8080",
    "ITTYBIT_API_KEY": "key_of_the_test",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
}


def _printed(data: Path, read_end: int, write_end: int) -> str:
    """What the other end receives; the banner is shorter than the buffer of a pipe or terminal."""
    with open(write_end, "w") as stream:
        print_banner(VALUES, data, "enforced", stream)
        text = os.read(read_end, 1 << 16).decode()
    os.close(read_end)
    return text


def test_the_api_key_is_printed_on_a_terminal(tmp_path: Path) -> None:
    text = _printed(tmp_path, *pty.openpty())
    assert text.count("key_of_the_test") == 3
    assert "http://127.0.0.1:8080/jobs" in text


def test_the_api_key_is_not_printed_into_a_pipe_and_the_requests_take_it_from_the_env_file(tmp_path: Path) -> None:
    data = tmp_path / 'a "folder" of it\'s own'
    data.mkdir()
    text = _printed(data, *os.pipe())
    assert "key_of_the_test" not in text
    assert f"ITTYBIT_API_KEY in {data}/env" in text
    env_file.write(data, VALUES)
    assert (data / "env").stat().st_mode & 0o777 == 0o600
    # The lines as printed, with curl replaced by a program that prints its arguments.
    source, *curl = [line.strip() for line in text.splitlines() if line.startswith(("  source", "  curl"))]
    assert source == f"source {shlex.quote(str(data / 'env'))}"
    shell = ["bash", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}\n{source}\n{curl[-1]}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["http://127.0.0.1:8080/jobs", "-H", "Authorization: Bearer key_of_the_test"]


def test_the_command_for_the_login_of_kafka_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    text = banner({**VALUES, "KAFKA_SASL_PASSWORD": "secret"}, tmp_path, "enforced", show_key=True)
    command = shlex.split(text.partition("with a login: ")[2].splitlines()[0])
    assert command[1:] == ["kafka", "client", "--data", str(tmp_path)]
    assert subprocess.run([command[0], "--version"], capture_output=True).returncode == 0
    assert "secret" not in text
