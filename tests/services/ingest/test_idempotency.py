"""An Idempotency-Key makes a request happen once, also when fifty of them arrive together."""

import asyncio

from schemas.events import JobCreated
from services.ingest import keys
from services.ingest.idempotency import KEY_LIFETIME
from tests.services.ingest.support import EventLog, RunningIngest
from tests.support.file_server import FileServer, redirect

GOOD = {"input": "https://example.com/a.mov", "kind": "video", "options": {"width": 640}}
OTHER = {**GOOD, "options": {"width": 320}}


async def test_fifty_at_once_make_one_job(ingest: RunningIngest, events: EventLog) -> None:
    answers = await asyncio.gather(*[ingest.post("/jobs", GOOD, Idempotency_Key="fifty") for _ in range(50)])
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({answer.raw for answer in answers}) == 1
    assert {answer.headers.get("Idempotent-Replayed") for answer in answers if answer.status == 200} == {"true"}
    job_id = answers[0].body["id"]
    assert await ingest.count(f"jobs WHERE id = '{job_id}'") == 1
    await events.first(JobCreated, job_id)
    marker = (await ingest.post("/jobs", GOOD)).body["id"]
    await events.first(JobCreated, marker)
    assert len(events.of(job_id)) == 1


async def test_another_body_under_the_same_key_is_refused(ingest: RunningIngest) -> None:
    first = await ingest.post("/jobs", GOOD, Idempotency_Key="mismatch")
    other = await ingest.post("/jobs", OTHER, Idempotency_Key="mismatch")
    assert (first.status, other.status, other.body["kind"]) == (201, 422, "idempotency_mismatch")


async def test_the_order_of_fields_and_quotes_around_the_key_do_not_matter(ingest: RunningIngest) -> None:
    first = await ingest.post("/jobs", GOOD, Idempotency_Key="order")
    again = await ingest.post("/jobs", dict(reversed(GOOD.items())), Idempotency_Key='"order"')
    assert (again.status, again.raw) == (200, first.raw)


async def test_a_key_counts_for_one_path_and_one_project(ingest: RunningIngest) -> None:
    text = (await keys.create_key(ingest.pool, "another project", "k")).text
    made = [
        await ingest.post("/jobs", GOOD, Idempotency_Key="scope"),
        await ingest.post("/tasks", GOOD, Idempotency_Key="scope"),
        await ingest.post("/jobs", GOOD, Idempotency_Key="scope", Authorization=f"Bearer {text}"),
    ]
    assert [answer.status for answer in made] == [201, 201, 201]
    assert len({answer.body["id"] for answer in made}) == 3


async def test_after_a_day_the_key_is_new(ingest: RunningIngest) -> None:
    first = await ingest.post("/jobs", GOOD, Idempotency_Key="day")
    day = KEY_LIFETIME.total_seconds() * 1000
    shift = "UPDATE idempotency_keys SET created_at = created_at - $1, expires_at = expires_at - $1 WHERE key = 'day'"
    await ingest.pool.execute(shift, day)
    again = await ingest.post("/jobs", OTHER, Idempotency_Key="day")
    assert again.status == 201
    assert again.body["id"] != first.body["id"]


async def test_a_refused_body_does_not_use_up_the_key(ingest: RunningIngest) -> None:
    assert (await ingest.post("/jobs", {**GOOD, "kind": "x"}, Idempotency_Key="fixed")).status == 400
    assert (await ingest.post("/jobs", GOOD, Idempotency_Key="fixed")).status == 201


async def test_an_invalid_key_is_named(ingest: RunningIngest) -> None:
    answer = await ingest.post("/jobs", GOOD, Idempotency_Key="a" * 256)
    assert (answer.status, answer.fields) == (400, {"Idempotency-Key"})


async def test_a_repeated_media_item_gets_the_first_answer(ingest: RunningIngest, files: FileServer) -> None:
    body = {"url": files.url("photo.png"), "title": "once"}
    first = await ingest.post("/media", body, Idempotency_Key="media")
    again = await ingest.post("/media", body, Idempotency_Key="media")
    assert (first.status, again.status, again.raw) == (200, 200, first.raw)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await ingest.post("/media", {**body, "title": "twice"}, Idempotency_Key="media")
    assert (other.status, other.body["error"]["kind"]) == (422, "idempotency_mismatch")


async def test_a_repetition_while_the_first_media_request_is_in_progress_is_a_conflict(
    ingest: RunningIngest, files: FileServer
) -> None:
    held = files.hold("held-by-key.png", redirect(files.url("photo.png")))
    body = {"url": held.url}
    first = asyncio.create_task(ingest.post("/media", body, Idempotency_Key="held"))
    await held.requested.wait()
    second = await ingest.post("/media", body, Idempotency_Key="held")
    held.release.set()
    assert (second.status, second.body["error"]["kind"]) == (409, "request_in_progress")
    assert int(second.headers["Retry-After"]) >= 1
    answered = await first
    again = await ingest.post("/media", body, Idempotency_Key="held")
    assert (again.status, again.raw) == (200, answered.raw)


async def test_where_nobody_answered_the_first_request_its_item_is_the_answer(
    ingest: RunningIngest, files: FileServer
) -> None:
    body = {"url": files.url("photo.png")}
    first = await ingest.post("/media", body, Idempotency_Key="unanswered")
    # As if the process had died between the import and the answer.
    await ingest.pool.execute("UPDATE idempotency_keys SET response = NULL WHERE key = 'unanswered'")
    again = await ingest.post("/media", body, Idempotency_Key="unanswered")
    assert (again.status, again.body["data"]) == (200, first.body["data"])
