"""`DIR/env`: written for shells, read back by us."""

import stat
import subprocess
from pathlib import Path

from cli import envfile


def test_what_was_written_is_read_back_also_with_spaces_and_quotes(tmp_path: Path) -> None:
    values = {"ITTYBIT_API_URL": "http://127.0.0.1:1", "DATABASE_URL": "postgresql:///b?host=/a folder/'x'"}
    envfile.write(tmp_path, values)
    assert envfile.read(tmp_path) == values


def test_a_shell_that_sources_it_has_the_values(tmp_path: Path) -> None:
    envfile.write(tmp_path, {"DATABASE_URL": "postgresql:///b?host=/a folder&x=$HOME"})
    script = f". '{envfile.path(tmp_path)}' && printf %s \"$DATABASE_URL\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "postgresql:///b?host=/a folder&x=$HOME"


def test_it_is_readable_by_its_owner_only_also_when_it_is_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        envfile.write(tmp_path, {"ITTYBIT_API_KEY": "secret"})
        assert stat.S_IMODE(envfile.path(tmp_path).stat().st_mode) == 0o600


def test_no_file_means_no_values(tmp_path: Path) -> None:
    assert envfile.read(tmp_path) == {}


def test_addresses_of_embedded_servers_do_not_count_as_external_ones() -> None:
    sourced = {"DATABASE_URL": "postgresql:///ours", "KAFKA_BOOTSTRAP_SERVERS": "k:1", envfile.EMBEDDED: "DATABASE_URL"}
    assert envfile.external(sourced, "DATABASE_URL") is None
    assert envfile.external(sourced, "KAFKA_BOOTSTRAP_SERVERS") == "k:1"
    assert envfile.external({}, "DATABASE_URL") is None
