"""What is synced, seen in the calls: no test can take the page cache away."""

import os
from pathlib import Path

import pytest

from cli import env_file
from embedded.synced_files import sync_tree, write_private


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that were synced, in this order."""
    names: list[str] = []

    def fsync(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_a_private_file_is_on_the_disk_before_it_replaces_another_and_its_name_after(
    tmp_path: Path, synced: list[str]
) -> None:
    (tmp_path / "home").mkdir()
    write_private(tmp_path / "home" / "login", "secret")
    assert synced == ["login.new", "home"]
    assert (tmp_path / "home" / "login").read_text() == "secret"
    assert (tmp_path / "home" / "login").stat().st_mode & 0o777 == 0o600


def test_the_keys_of_a_data_folder_are_on_the_disk(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "data").mkdir()
    env_file.write(tmp_path / "data", {"ENCRYPTION_KEYS": "k"})
    assert synced == ["env.new", "data"]


def test_a_tree_is_synced_with_its_own_name(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    (tmp_path / "kafka" / "data" / "bootstrap.checkpoint").write_text("x")
    sync_tree(tmp_path / "kafka")
    assert synced == ["kafka", "bootstrap.checkpoint", "data", tmp_path.name]
