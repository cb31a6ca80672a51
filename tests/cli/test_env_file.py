"""`DIR/env`: written for shells, read by the command."""

import stat
import subprocess
from pathlib import Path

from cli import env_file


def test_values_with_spaces_and_quotes_survive(tmp_path: Path) -> None:
    values = {"ITTYBIT_API_URL": "http://127.0.0.1:1", "DATABASE_URL": "postgresql:///b?host=/a folder/'x'"}
    env_file.write(tmp_path, values)
    assert env_file.read(tmp_path) == values


def test_a_shell_can_source_it(tmp_path: Path) -> None:
    env_file.write(tmp_path, {"DATABASE_URL": "postgresql:///b?host=/a folder&x=$HOME"})
    script = f". '{env_file.path(tmp_path)}' && printf %s \"$DATABASE_URL\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "postgresql:///b?host=/a folder&x=$HOME"


def test_it_is_readable_by_its_owner_only_even_after_it_was_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        env_file.write(tmp_path, {"ITTYBIT_API_KEY": "secret"})
        assert stat.S_IMODE(env_file.path(tmp_path).stat().st_mode) == 0o600


def test_a_missing_file_has_no_values(tmp_path: Path) -> None:
    assert env_file.read(tmp_path) == {}


def test_addresses_of_embedded_servers_do_not_count_as_external_ones() -> None:
    sourced = {
        "DATABASE_URL": "postgresql:///ours",
        "KAFKA_BOOTSTRAP_SERVERS": "k:1",
        env_file.EMBEDDED: "DATABASE_URL",
    }
    assert env_file.external(sourced, "DATABASE_URL") is None
    assert env_file.external(sourced, "KAFKA_BOOTSTRAP_SERVERS") == "k:1"
    assert env_file.external({}, "DATABASE_URL") is None
