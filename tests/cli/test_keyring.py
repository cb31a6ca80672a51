"""The encryption keys of the commands on keys and projects are those of the system whose database they change."""

from argparse import Namespace
from base64 import b64encode
from pathlib import Path

import pytest

from chassis.core.encryption import Keyring, parse_keys
from cli import env_file
from cli.args import default_data
from cli.database import database_of
from cli.projects import keyring

OURS, OTHERS = (b64encode(byte * 32).decode() for byte in (b"a", b"b"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default folder, with a system in it; nothing in the environment."""
    for name in ("DATABASE_URL", "ADMIN_DATABASE_URL", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    data = default_data()
    data.mkdir(exist_ok=True, parents=True)
    env_file.write(data, {"DATABASE_URL": "postgresql://ours", "ENCRYPTION_KEYS": OURS})
    return data


def encrypts_with(arguments: Namespace) -> str | None:
    ring = keyring(arguments)
    if ring is None:
        return None
    return OURS if ring.derive("test") == _ring(OURS) else OTHERS


def _ring(key: str) -> list[bytes]:

    return Keyring(parse_keys(key)).derive("test")


@pytest.mark.usefixtures("folder")
def test_a_database_of_the_environment_has_no_keys_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its notifier could not decrypt a secret, and would send no webhooks of the project."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://others")
    assert (database_of(Namespace(data=None)), encrypts_with(Namespace(data=None))) == ("postgresql://others", None)
    monkeypatch.setenv("ENCRYPTION_KEYS", OTHERS)
    assert encrypts_with(Namespace(data=None)) == OTHERS


def test_the_database_of_the_folder_has_its_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", OTHERS)
    for arguments in (Namespace(data=None), Namespace(data=folder)):
        assert (database_of(arguments), encrypts_with(arguments)) == ("postgresql://ours", OURS)
