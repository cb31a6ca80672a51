"""POST /jobs and /tasks: what is taken, what is refused, and that a refusal leaves nothing behind."""

from typing import Any

import pytest

from schemas.events import JobCreated
from services.ingest import keys
from tests.services.ingest.system import Heard, System

GOOD = {
    "input": "https://example.com/a.mov",
    "kind": "video",
    "options": {"width": 1280, "format": "mp4"},
    "metadata": {"user_id": "usr_abc123"},
    "webhook_url": "https://example.com/hook",
}


async def test_a_job_is_answered_stored_and_announced(system: System, heard: Heard) -> None:
    answer = await system.post("/jobs", GOOD)
    job = answer.body
    assert (answer.status, job["object"], job["status"]) == (201, "job", "queued")
    assert {name: job[name] for name in GOOD} == GOOD
    assert [task["kind"] for task in job["tasks"]] == ["import", "probe", "video"]
    event = await heard.first(JobCreated, job["id"])
    assert (event.job.project, event.job.options, event.job.input) == (system.project, GOOD["options"], GOOD["input"])
    row = await system.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", job["id"])
    assert row is not None
    assert (row["project"], row["request"]["webhook_url"]) == (system.project, GOOD["webhook_url"])


async def test_a_task_with_the_body_of_a_job_is_a_job_with_a_tasks_id(system: System, heard: Heard) -> None:
    answer = await system.post("/tasks", GOOD)
    assert answer.status == 201
    assert (answer.body["id"][:5], answer.body["object"]) == ("task_", "task")
    await heard.first(JobCreated, answer.body["id"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "hologram"}, "kind"),
        ({"options": {"widht": 640}}, "options.widht"),
        ({"options": {"width": "640"}}, "options.width"),
        ({"options": {"width": 10**7}}, "options.width"),
        ({"metadata": {"age": 7}}, "metadata.age"),
        ({"extra": 1}, "extra"),
        ({"input": "file:///etc/passwd"}, "input"),
        ({"input": "ftp://example.com/a.mov"}, "input"),
        ({"input": "http://169.254.169.254/"}, "input"),
        ({"input": "http://10.0.0.1/a.mov"}, "input"),
        ({"input": "s3://uploads/a.mov"}, "input"),
        ({"output": "s3://processed/a.mov"}, "output"),
        ({"webhook_url": "http://192.168.1.1/"}, "webhook_url"),
    ],
)
async def test_a_refusal_names_the_field_and_leaves_nothing_behind(
    system: System, heard: Heard, change: dict[str, Any], field: str
) -> None:
    before = await system.count("jobs")
    answer = await system.post("/jobs", {**GOOD, **change}, Idempotency_Key=f"refused-{field}")
    assert (answer.status, answer.body["kind"]) == (400, "invalid_input")
    assert field in answer.fields
    assert field in answer.body["message"]
    assert (await system.count("jobs"), await system.count("claims WHERE key LIKE 'refused%'")) == (before, 0)
    # Events leave in order: once a later job is heard of, nothing of the refused one can come.
    marker = (await system.post("/jobs", GOOD)).body["id"]
    await heard.first(JobCreated, marker)
    known = {row["id"] for row in await system.pool.fetch("SELECT id FROM jobs")}
    assert {event.subject() for event in heard.of_project(system.project) if isinstance(event, JobCreated)} <= known


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 100_000])
async def test_what_is_not_a_json_object_is_refused(system: System, raw: bytes) -> None:
    for path in ("/jobs", "/tasks"):
        answer = await system.post(path, raw=raw)
        assert (answer.status, answer.body["kind"]) == (400, "invalid_input")


async def test_a_body_over_a_mebibyte_is_refused(system: System) -> None:
    answer = await system.post("/jobs", raw=b'{"input": "' + b"a" * 1024 * 1024 + b'"}')
    assert (answer.status, answer.body["kind"]) == (400, "invalid_input")


async def test_atomic_tasks_are_refused_naming_the_field(system: System) -> None:
    answer = await system.post("/tasks", {"input": {"url": "https://example.com/a"}, "kind": "probe"})
    assert (answer.status, answer.fields) == (400, {"input", "kind"})
    assert "atomic tasks are not available here" in answer.body["message"]


async def test_without_a_usable_key_nobody_gets_in(system: System) -> None:
    assert (await system.post("/jobs", GOOD, Authorization="")).body["kind"] == "token_missing"
    wrong = await system.post("/jobs", GOOD, Authorization="Bearer ittybit_live_nonsense")
    assert (wrong.status, wrong.body["kind"]) == (401, "token_invalid")


async def test_a_revoked_key_is_refused(system: System) -> None:
    key, text = await keys.create_key(system.pool, name="short-lived")
    await keys.revoke_key(system.pool, key.id)
    answer = await system.post("/jobs", GOOD, Authorization=f"Bearer {text}")
    assert (answer.status, answer.body["kind"]) == (401, "token_invalid")
