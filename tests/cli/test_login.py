"""`ittybit login`: the key is checked, saved for its owner only, used by later commands, and removed by `logout`."""

import io
import json
import stat
import sys
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.cli.conftest import Api


@pytest.fixture
def unset(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API that the environment does not name."""
    monkeypatch.delenv("ITTYBIT_API_URL")
    monkeypatch.delenv("ITTYBIT_API_KEY")
    monkeypatch.setattr(sys, "stdin", io.StringIO("ittybit_live_saved\n"))
    api.body = []
    return api


def test_a_login_is_saved_for_its_owner_only_and_used_by_later_commands(
    unset: Api, own_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["login", "--url", f"{unset.address}/", "--key", "-"]) == 0
    file = own_settings / "login.json"
    assert json.loads(file.read_text()) == {"url": unset.address, "key": "ittybit_live_saved"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "ittybit_live_saved" not in capsys.readouterr().out
    unset.requested.clear()
    assert main(["jobs"]) == 0
    assert [path for _, path, _ in unset.requested] == ["/jobs"]
    assert main(["logout"]) == 0
    assert list(own_settings.iterdir()) == []
    assert main(["jobs"]) == 2


def test_a_key_that_the_api_refuses_is_not_saved(
    unset: Api, own_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unset.status, unset.body = 401, {"kind": "token_invalid", "message": "This API key is not valid."}
    assert main(["login", "--url", unset.address]) == 1
    assert capsys.readouterr().err == "bitmill: This API key is not valid. [token_invalid]\n"
    assert list(own_settings.iterdir()) == []


def test_a_saved_key_goes_to_no_other_address(
    unset: Api, own_settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_settings / "login.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "key": "ittybit_live_saved"}))
    monkeypatch.setenv("ITTYBIT_API_URL", unset.address)
    assert main(["jobs"]) == 2
    assert "needs a key" in capsys.readouterr().err
    assert unset.requested == []


@pytest.mark.parametrize(("key", "status"), [("", 2), ("a\x1b[2J", 2)])
def test_a_key_that_can_be_none_is_refused(unset: Api, key: str, status: int) -> None:
    assert main(["login", "--url", unset.address, "--key", key]) == status
    assert unset.requested == []


def test_an_api_that_does_not_respond_has_a_status_of_its_own(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("ittybit_live_x"))
    assert main(["login", "--url", "http://127.0.0.1:1"]) == 3
    assert capsys.readouterr().err.startswith("bitmill: the API at http://127.0.0.1:1 does not respond: ")
    assert list(own_settings.iterdir()) == []
