"""POST /jobs and /tasks: accepted and refused bodies; a refused one stores and publishes nothing."""

from typing import Any

import pytest

from chassis.core.ids import new_id
from schemas.events import JobCreated
from services.ingest import keys
from tests.services.ingest.support import EventLog, RunningIngest

GOOD = {
    "input": "https://example.com/a.mov",
    "kind": "video",
    "options": {"width": 1280, "format": "mp4"},
    "metadata": {"user_id": "usr_abc123"},
    "webhook_url": "https://example.com/hook",
}


async def test_a_job_is_answered_stored_and_published(ingest: RunningIngest, events: EventLog) -> None:
    answer = await ingest.post("/jobs", GOOD)
    job = answer.body
    assert (answer.status, job["object"], job["status"]) == (201, "job", "queued")
    assert {name: job[name] for name in GOOD} == GOOD
    assert [task["kind"] for task in job["tasks"]] == ["import", "probe", "video", "export"]
    event = await events.first(JobCreated, job["id"])
    assert (event.job.project, event.job.options, event.job.input) == (ingest.project, GOOD["options"], GOOD["input"])
    row = await ingest.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", job["id"])
    assert row is not None
    assert (row["project"], row["request"]["webhook_url"]) == (ingest.project, GOOD["webhook_url"])


@pytest.mark.parametrize("priority", ["low", "normal", "high", None])
async def test_a_priority_is_kept_and_announced(ingest: RunningIngest, events: EventLog, priority: str | None) -> None:
    answer = await ingest.post("/jobs", GOOD | ({} if priority is None else {"priority": priority}))
    assert (answer.status, answer.body["priority"]) == (201, priority or "normal")
    event = await events.first(JobCreated, answer.body["id"])
    assert event.job.priority == (priority or "normal")
    stored = await ingest.pool.fetchval("SELECT request FROM jobs WHERE id = $1", answer.body["id"])
    assert stored.get("priority", "normal") == (priority or "normal"), "it is announced again as it was"


async def test_the_keys_of_metadata_keep_their_order(ingest: RunningIngest, events: EventLog) -> None:
    metadata = {"zebra": "1", "b": "2", "aa": "3", "a": "4"}
    body = {**GOOD, "metadata": metadata}
    answer = await ingest.post("/jobs", body, Idempotency_Key="metadata-order")
    again = await ingest.post("/jobs", body, Idempotency_Key="metadata-order")
    event = await events.first(JobCreated, answer.body["id"])
    stored = await ingest.pool.fetchval("SELECT request FROM jobs WHERE id = $1", answer.body["id"])
    shown = [answer.body["metadata"], again.body["metadata"], event.job.metadata, stored["metadata"]]
    assert [list(each) for each in shown] == [list(metadata)] * 4


async def test_a_task_with_the_body_of_a_job_is_a_job_with_a_tasks_id(ingest: RunningIngest, events: EventLog) -> None:
    answer = await ingest.post("/tasks", GOOD)
    assert answer.status == 201
    assert (answer.body["id"][:5], answer.body["object"]) == ("task_", "task")
    await events.first(JobCreated, answer.body["id"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "hologram"}, "kind"),
        ({"options": {"widht": 640}}, "options.widht"),
        ({"options": {"width": "640"}}, "options.width"),
        ({"options": {"width": 10**7}}, "options.width"),
        ({"metadata": {"age": 7}}, "metadata.age"),
        ({"extra": 1}, "extra"),
        ({"priority": "urgent"}, "priority"),
        ({"priority": 1}, "priority"),
        ({"input": "file:///etc/passwd"}, "input"),
        ({"input": "ftp://example.com/a.mov"}, "input"),
        ({"input": "http://169.254.169.254/"}, "input"),
        ({"input": "http://10.0.0.1/a.mov"}, "input"),
        ({"input": "s3://uploads/a.mov"}, "input"),
        ({"output": "s3://processed/a.mov"}, "output"),
        ({"webhook_url": "http://192.168.1.1/"}, "webhook_url"),
    ],
)
async def test_a_refused_body_names_the_field_and_stores_nothing(
    ingest: RunningIngest, events: EventLog, change: dict[str, Any], field: str
) -> None:
    before = await ingest.count("jobs")
    answer = await ingest.post("/jobs", {**GOOD, **change}, Idempotency_Key=f"refused-{field}")
    assert (answer.status, answer.body["kind"]) == (400, "invalid_input")
    assert field in answer.fields
    assert field in answer.body["message"]
    assert (await ingest.count("jobs"), await ingest.count("idempotency_keys WHERE key LIKE 'refused%'")) == (before, 0)
    # Events are published in order: after that of a later job, none of the refused one can come.
    marker = (await ingest.post("/jobs", GOOD)).body["id"]
    await events.first(JobCreated, marker)
    known = {row["id"] for row in await ingest.pool.fetch("SELECT id FROM jobs")}
    assert {event.subject() for event in events.of_project(ingest.project) if isinstance(event, JobCreated)} <= known


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 100_000])
async def test_what_is_not_a_json_object_is_refused(ingest: RunningIngest, raw: bytes) -> None:
    for path in ("/jobs", "/tasks"):
        answer = await ingest.post(path, raw=raw)
        assert (answer.status, answer.body["kind"]) == (400, "invalid_input")


async def test_a_body_over_a_mebibyte_is_refused(ingest: RunningIngest) -> None:
    answer = await ingest.post("/jobs", raw=b'{"input": "' + b"a" * 1024 * 1024 + b'"}')
    assert (answer.status, answer.body["kind"]) == (413, "payload_too_large")


async def test_a_task_by_itself_is_accepted_with_its_input_as_an_object(
    ingest: RunningIngest, events: EventLog
) -> None:
    body = {"input": {"url": "https://example.com/a", "object": "external_file"}, "kind": "probe"}
    answer = await ingest.post("/tasks", body, Idempotency_Key="probe-1")
    assert answer.status == 201 and answer.body["id"].startswith("task_")
    assert (answer.body["object"], answer.body["kind"], answer.body["tasks"]) == ("task", "probe", [])
    assert answer.body["input"] == {"object": "external_file", "url": "https://example.com/a"}
    created = await events.first(JobCreated, answer.body["id"])
    assert created.job.atomic and created.job.kind == "probe"
    again = await ingest.post("/tasks", body, Idempotency_Key="probe-1")
    assert (again.status, again.raw) == (200, answer.raw)
    # A job is no task by itself.
    refused = await ingest.post("/jobs", body)
    assert (refused.status, refused.fields) == (400, {"kind"})


async def test_an_input_of_the_project_that_does_not_exist_is_refused_and_stores_nothing(
    ingest: RunningIngest,
) -> None:
    before = await ingest.count("jobs")
    for input in (new_id("med"), new_id("file"), f"https://api.example.com/{ingest.project}/clips/never.mp4"):
        answer = await ingest.post("/jobs", {"input": input, "kind": "video"}, Idempotency_Key=f"k-{input[-30:]}")
        assert (answer.status, answer.fields) == (400, {"input"}), input
    answer = await ingest.post("/jobs", {**GOOD, "media_id": new_id("med")})
    assert (answer.status, answer.fields) == (400, {"media_id"})
    assert await ingest.count("jobs") == before


async def test_a_missing_or_unknown_key_is_401(ingest: RunningIngest) -> None:
    assert (await ingest.post("/jobs", GOOD, Authorization="")).body["kind"] == "token_missing"
    wrong = await ingest.post("/jobs", GOOD, Authorization="Bearer ittybit_live_nonsense")
    assert (wrong.status, wrong.body["kind"]) == (401, "token_invalid")


async def test_a_revoked_key_is_refused(ingest: RunningIngest) -> None:
    new = await keys.create_key(ingest.pool, name="short-lived")
    key, text = new.key, new.text
    await keys.revoke_key(ingest.pool, key.id)
    answer = await ingest.post("/jobs", GOOD, Authorization=f"Bearer {text}")
    assert (answer.status, answer.body["kind"]) == (401, "token_invalid")
