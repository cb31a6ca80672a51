"""`bitmill projects set`: what it says, and what it refuses."""

import orjson
import pytest

from cli.__main__ import main
from tests.cli.test_keys import bitmill, database

__all__ = ["database"]


async def test_strip_is_set_and_listed(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert database
    assert await bitmill("keys", "create", "--project", "shop") == 0
    capsys.readouterr()
    assert await bitmill("projects", "set", "shop", "--strip", "on") == 0
    assert capsys.readouterr().out.endswith(" shop: public, strip on\n")
    assert await bitmill("projects", "list", "--json") == 0
    assert orjson.loads(capsys.readouterr().out)["strip"] is True
    assert await bitmill("projects", "list") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["Id", "Name", "Delivery", "Strip", "Webhook", "secrets"]


def test_a_change_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["projects", "set", "shop"]) == 2
    assert "--delivery or --strip" in capsys.readouterr().err
