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
    assert capsys.readouterr().out.endswith(" shop: public, strip on, limits of the installation\n")
    assert await bitmill("projects", "list", "--json") == 0
    assert orjson.loads(capsys.readouterr().out)["strip"] is True
    assert await bitmill("projects", "list") == 0
    heading = capsys.readouterr().out.splitlines()[0].split()
    assert heading == ["Id", "Name", "Delivery", "Strip", "Limits", "Webhook", "secrets"]


def test_a_change_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["projects", "set", "shop"]) == 2
    assert "--delivery, --strip" in capsys.readouterr().err


async def test_limits_and_retention_are_set_and_given_back(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert database
    assert await bitmill("keys", "create", "--project", "shop") == 0
    capsys.readouterr()
    limits = ("--rate-limit", "600", "--key-rate-limit", "0", "--max-unfinished-jobs", "50", "--retain-jobs", "7d")
    assert await bitmill("projects", "set", "shop", *limits) == 0
    shown = "600 requests/min, unlimited requests/min of a key, 50 unfinished jobs, jobs kept for 7 days, 0:00:00"
    assert capsys.readouterr().out.endswith(f" shop: public, strip off, {shown}\n")
    assert await bitmill("projects", "set", "shop", "--rate-limit", "default", "--strip", "on", "--json") == 0
    set_ = orjson.loads(capsys.readouterr().out)
    assert (set_["rate_limit"], set_["max_unfinished_jobs"], set_["retain_jobs_s"]) == (None, 50, 7 * 24 * 3600)


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--rate-limit", "-1", "from 0"),
        ("--rate-limit", "many", "must be a number"),
        ("--max-unfinished-jobs", "0", "from 1"),
        ("--retain-jobs", "1m", "from 1h"),
        ("--retain-jobs", "week", "--retain-jobs"),
    ],
)
def test_a_limit_that_is_none_is_refused(
    option: str, value: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["projects", "set", "shop", f"{option}={value}"]) == 2
    assert rule in capsys.readouterr().err
