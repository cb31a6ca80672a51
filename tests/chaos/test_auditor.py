"""The auditor itself: what it imports, and that its pure checks find what they are for."""

import ast
import asyncio
import sys
from pathlib import Path

from tests.chaos import auditor
from tests.chaos.auditor.api import undecodable
from tests.chaos.auditor.events import check_ends
from tests.chaos.auditor.records import Audit, Customers, Request, Webhook
from tests.chaos.auditor.waits import ALLOWED_AFTER_FAULT, check_waits, disturbed
from tests.chaos.auditor.webhooks import check_webhooks
from tests.chaos.load import make_inputs

CLIENTS = {"aiohttp", "aiokafka", "asyncpg", "imageio_ffmpeg"}


def imported(module: Path) -> set[str]:
    """The names of all modules that it imports."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_auditor_imports_clients_and_nothing_of_the_product() -> None:
    modules = list(Path(auditor.__path__[0]).glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        for name in imported(module):
            package = name.partition(".")[0]
            own = name.startswith("tests.chaos.auditor")
            assert own or package in CLIENTS or package in sys.stdlib_module_names, f"{module.name} imports {name}"


def request(id: str, **changes: object) -> Request:
    made = Request(1, "anna", "image", "/jobs", "succeeded", "http://127.0.0.1:1/hook/anna", id=id)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_ends_are_compared_with_what_was_accepted() -> None:
    audit = Audit()
    ends = {
        "once": {"evt_1": (1, "succeeded")},
        "twice": {"evt_2": (1, "succeeded"), "evt_3": (1, "succeeded")},
        "other": {"evt_4": (1, "failed")},
        "unknown": {"evt_5": (1, "succeeded")},
        "retried": {"evt_6": (1, "failed"), "evt_7": (2, "succeeded")},
    }
    accepted: dict[str, str | None] = {
        **dict.fromkeys(("once", "twice", "other", "retried"), "succeeded"),
        "never": None,
    }
    check_ends(ends, accepted, audit)
    assert {(each.kind, each.ids) for each in audit.violations} == {
        ("doubled", ("twice",)),
        ("doubled", ("unknown",)),
        ("lost", ("never",)),
        ("wrong end", ("other",)),
    }


def test_webhooks_have_one_id_for_each_job_and_are_delivered() -> None:
    audit = Audit()
    hooks = [
        Webhook("a", "good", "/hook/anna", 500),
        Webhook("a", "good", "/hook/anna", 204),
        Webhook("b", "two ids", "/hook/anna", 204),
        Webhook("c", "two ids", "/hook/anna", 204),
        Webhook("d", "refused", "/hook/anna", 500),
    ]
    jobs = [request(id) for id in ("good", "two ids", "refused", "never sent")]
    check_webhooks(Customers(requests=jobs, webhooks=hooks), audit)
    assert {(each.kind, each.ids) for each in audit.violations} == {
        ("webhooks doubled", ("two ids",)),
        ("webhooks missing", ("refused", "never sent")),
    }


def test_waits_are_bounded_beside_faults() -> None:
    faults = [(100.0, 110.0), (105.0, 120.0)]
    assert disturbed(0, 90, faults) == 0
    assert disturbed(0, 1000, faults) == 20 + ALLOWED_AFTER_FAULT, "faults that overlap count once"
    assert disturbed(110, 115, faults) == 5
    audit = Audit()
    jobs = [
        request("short", accepted_at=0.0, ended_at=50.0),
        request("disturbed", accepted_at=90.0, ended_at=200.0),
        request("long", accepted_at=300.0, ended_at=400.0),
        request("of the pile", project="pile", accepted_at=300.0, ended_at=900.0),
    ]
    assert check_waits(Customers(requests=jobs), faults, ["anna"], audit) == 110
    assert [each.ids for each in audit.violations] == [("long",)]


async def test_files_that_do_not_decode_are_named(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path)
    cut = tmp_path / "cut.png"
    cut.write_bytes(inputs["image"].read_bytes()[:200])
    good = [inputs["image"], inputs["video"]]
    limit = asyncio.Semaphore(2)
    assert await undecodable(good, limit) == {}
    assert set(await undecodable([*good, cut, inputs["broken"]], limit)) == {"cut.png", "broken.mp4"}
