"""`GET /jobs` and `GET /jobs/{id}` on real Kafka and Postgres."""

import asyncio
import os
import re

import pytest

from chassis.adapters.http.json_body import json_bytes
from chassis.core.ids import new_id, now_ms
from schemas.delivery import DeliveryUrls
from schemas.events import JobCreated, JobFailed, JobProgressed, JobStarted, JobSucceeded, KeyChanged
from schemas.faults import Fault
from schemas.files import FileFacts
from schemas.ids import typeid, uuid7
from schemas.job_resource import job_resource
from schemas.jobs import Job
from tests.services.catalog import factories
from tests.services.catalog.service import CatalogService, Customer, customer
from tests.support.waiting import until

BASE = "https://cdn.example.com"
URLS = DeliveryUrls(BASE)


async def jobs_of(catalog: CatalogService, count: int) -> tuple[Customer, list[Job]]:
    """A customer with so many jobs, oldest first, all of them projected."""
    who = await catalog.new_customer()
    jobs = []
    for number in range(count):
        id = factories.old_id("task" if number % 4 == 3 else "job", number)
        kind = "image" if number % 3 == 0 else "video"
        jobs.append(
            factories.queued(who.project, id=id, kind=kind, input=f"https://example.com/{number % 2}?a=b&c='\"%20")
        )
    # One after the other, because the list is in the order in which they become visible.
    for job in jobs:
        await catalog.publish(JobCreated(job=job))
        await catalog.until(f"/jobs/{job.id}", who, lambda body: body["status"] == "queued")
    return who, jobs


async def test_a_job_is_answered_byte_for_byte_as_the_webhook_shows_it(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    life = factories.snapshots(factories.queued(who.project))
    await catalog.publish(JobCreated(job=life[0]), JobSucceeded(job=life[-1]))
    await catalog.until(f"/jobs/{life[0].id}", who, lambda body: body["status"] == "succeeded")
    async with catalog.session.get(f"{catalog.url}/jobs/{life[0].id}", headers=who.headers) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert await response.read() == json_bytes(job_resource(life[-1], URLS))
        assert (await response.json())["output"]["url"] == f"{BASE}/{who.project}/{life[0].id}/video.mp4"


async def test_a_job_whose_input_is_away_shows_why_and_when_it_is_tried_again(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    queued = factories.queued(who.project)
    first = queued.start(queued.created_at + 1)
    fault = Fault(kind="input_unreachable", message="The server responded with 503.")
    retry_at = queued.created_at + 60_000
    retrying = first.retry(fault, queued.created_at + 2, retry_at)
    await catalog.publish(JobCreated(job=queued), JobProgressed(job=retrying), JobStarted(job=first))
    body = await catalog.until(f"/jobs/{queued.id}", who, lambda body: body["retry_at"] is not None)
    assert (body["status"], body["retry_at"], body["error"]) == ("processing", retry_at, None)
    step = body["tasks"][0]
    assert (step["kind"], step["status"], step["retry_at"]) == ("import", "waiting", retry_at)
    assert step["error"] == {"kind": "input_unreachable", "message": "The server responded with 503."}
    await catalog.publish(JobStarted(job=retrying.start(retry_at)))
    body = await catalog.until(f"/jobs/{queued.id}", who, lambda body: body["retry_at"] is None)
    assert (body["tasks"][0]["status"], body["tasks"][0]["error"]) == ("processing", None)


async def test_a_step_is_read_by_its_own_id(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    at = now_ms()
    # Of the same millisecond.
    jobs = [factories.queued(who.project, id=typeid("job", uuid7(at, os.urandom(10)))) for _ in range(5)]
    life = factories.snapshots(jobs[2])
    await catalog.publish(*[JobCreated(job=job) for job in jobs], JobSucceeded(job=life[-1]))
    await catalog.until(f"/jobs/{jobs[2].id}", who, lambda body: body["status"] == "succeeded")
    status, job = await catalog.get(f"/jobs/{jobs[2].id}", who)
    assert [step["kind"] for step in job["tasks"]] == ["import", "probe", "video", "export"]
    for step in job["tasks"]:
        status, body = await catalog.get(f"/tasks/{step['id']}", who)
        assert (status, body) == (200, step)
        assert (body["object"], body["job_id"], body["status"]) == ("task", jobs[2].id, "succeeded")
    assert job["tasks"][0]["input"] == {"object": "external_file", "url": "https://example.com/clip.mov"}
    assert job["tasks"][2]["output"] == job["output"]
    stranger = await catalog.new_customer()
    for id, customer_ in ((job["tasks"][0]["id"], stranger), (typeid("task", uuid7(at, os.urandom(10))), who)):
        status, body = await catalog.get(f"/tasks/{id}", customer_)
        assert (status, body["kind"]) == (404, "task_not_found")


async def test_a_task_by_itself_has_an_object_as_input_and_no_steps(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    queued = factories.queued(who.project, id=new_id("task"), kind="probe", atomic=True, options={})
    facts = FileFacts(kind="audio", format="mp3", content_type="audio/mpeg", filesize=9, duration=1.5)
    started = queued.start(queued.created_at + 1)
    await catalog.publish(JobCreated(job=queued), JobSucceeded(job=started.succeed(None, queued.created_at + 2, facts)))
    body = await catalog.until(f"/tasks/{queued.id}", who, lambda body: body["status"] == "succeeded")
    assert (body["object"], body["kind"], body["tasks"]) == ("task", "probe", [])
    assert body["input"] == {"object": "external_file", "url": queued.input}
    output = body["output"]
    assert (output["object"], output["id"], output["url"]) == ("external_file", None, queued.input)
    assert (output["kind"], output["duration"], output["filesize"]) == ("audio", 1.5, 9)
    status, _ = await catalog.get(f"/tasks/{queued.tasks[0].id}", who)
    assert status == 404


async def test_an_id_whose_event_is_not_published_yet_is_waited_for(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    await catalog.get("/jobs", who)  # the key is known from here on
    job = factories.queued(who.project)
    with catalog.ingest.unpublished_row():
        request = asyncio.create_task(catalog.get(f"/jobs/{job.id}", who))
        done, _ = await asyncio.wait({request}, timeout=0.3)
        assert not done
        await catalog.publish(JobCreated(job=job))
        status, body = await request
    assert (status, body["id"], body["status"]) == (200, job.id, "queued")


@pytest.mark.parametrize("age_ms", [0, 120_000, 10**9, -60_000, -(10**11)])
async def test_an_id_that_nobody_got_is_not_found_whatever_its_age(catalog: CatalogService, age_ms: int) -> None:
    who = await catalog.new_customer()
    status, body = await catalog.get(f"/jobs/{typeid('job', uuid7(now_ms() - age_ms, os.urandom(10)))}", who)
    assert (status, body["kind"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    "id", ["x", "job_", "job_1", "med_01h455vb4pex5vsknk084sn02q", "JOB_01h455vb4pex5vsknk084sn02q", "%00", "a%2Fb"]
)
async def test_what_is_no_id_is_not_found(catalog: CatalogService, id: str) -> None:
    who = await catalog.new_customer()
    status, body = await catalog.get(f"/jobs/{id}", who)
    assert (status, body["kind"]) == (404, "job_not_found")
    status, body = await catalog.get(f"/tasks/{id}", who)
    assert (status, body["kind"]) == (404, "task_not_found")


async def test_another_projects_job_looks_like_one_that_never_was(catalog: CatalogService) -> None:
    _, jobs = await jobs_of(catalog, 1)
    other_customer = await catalog.new_customer()
    theirs = await catalog.get(f"/jobs/{jobs[0].id}", other_customer)
    unknown = await catalog.get(f"/jobs/{factories.old_id('job')}", other_customer)
    assert theirs[0] == unknown[0] == 404
    assert theirs[1] | {"request_id": ""} == unknown[1] | {"request_id": ""}
    assert (await catalog.get("/jobs", other_customer))[1] == []
    assert (await catalog.get(f"/jobs?after={jobs[0].id}&order=asc", other_customer))[1] == []


async def test_tasks_are_the_same_list_under_their_older_name(catalog: CatalogService) -> None:
    who, jobs = await jobs_of(catalog, 4)
    assert (await catalog.get("/tasks", who))[1] == (await catalog.get("/jobs", who))[1]
    task = next(job for job in jobs if job.id.startswith("task_"))
    status, body = await catalog.get(f"/tasks/{task.id}", who)
    assert (status, body["object"]) == (200, "task")
    assert (await catalog.get(f"/tasks/{jobs[0].id}", who))[0] == 200


async def test_following_next_links_returns_every_job_once(catalog: CatalogService) -> None:
    who, jobs = await jobs_of(catalog, 9)
    for order, expected in (("desc", jobs[::-1]), ("asc", jobs)):
        path, seen = f"/jobs?limit=4&order={order}", []
        for more in ("true", "true", "false"):
            async with catalog.session.get(catalog.url + path, headers=who.headers) as response:
                assert response.status == 200
                assert (response.headers["Limit"], response.headers["Has-More"]) == ("4", more)
                seen += [found["id"] for found in await response.json()]
                next_ = re.search(r'<https://api\.example\.com(/jobs\?[^>]*)>; rel="next"', response.headers["Link"])
            path = next_[1] if next_ else ""
        assert seen == [job.id for job in expected]


async def test_filters_by_kind_status_and_input_are_exact(catalog: CatalogService) -> None:
    who, jobs = await jobs_of(catalog, 6)
    ended = factories.failed(jobs[2])
    await catalog.publish(JobFailed(job=ended))
    await catalog.until("/jobs?status=failed", who, lambda body: len(body) == 1)

    async def ids(**query: str) -> list[str]:
        async with catalog.session.get(f"{catalog.url}/jobs", params=query, headers=who.headers) as response:
            return [found["id"] for found in await response.json()]

    assert await ids(status="failed") == [jobs[2].id]
    assert await ids(status="failed", kind="image") == []
    assert await ids(kind="image") == [jobs[3].id, jobs[0].id]
    assert await ids(input=jobs[0].input) == [jobs[4].id, jobs[2].id, jobs[0].id]
    assert await ids(input=jobs[0].input.upper()) == []
    assert await ids(input="' OR 1=1 --") == []


async def test_filters_by_metadata_and_time_are_chained_and_kept_by_the_links(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    jobs = [
        factories.queued(who.project, at=factories.OLD_MS + number, metadata={"user": "a b&", "n": str(number % 2)})
        for number in range(6)
    ]
    for job in jobs:
        await catalog.publish(JobCreated(job=job))
        await catalog.until(f"/jobs/{job.id}", who, lambda body: body["status"] == "queued")
    path = f"/jobs?metadata.user=a+b%26&metadata.n=0&created_after={factories.OLD_MS}&limit=1"
    async with catalog.session.get(catalog.url + path, headers=who.headers) as response:
        assert [found["id"] for found in await response.json()] == [jobs[4].id]
        assert (response.headers["Limit"], response.headers["Has-More"]) == ("1", "true")
        next_ = re.search(r'<https://api\.example\.com(/jobs\?[^>]*)>; rel="next"', response.headers["Link"])
    assert next_ is not None
    async with catalog.session.get(catalog.url + next_[1], headers=who.headers) as response:
        assert [found["id"] for found in await response.json()] == [jobs[2].id]
        assert response.headers["Has-More"] == "false"


async def test_refused_parameters_are_named(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    status, body = await catalog.get("/jobs?limit=101&colour=red", who)
    assert (status, body["kind"]) == (400, "invalid_input")
    assert sorted(fault["field"] for fault in body["errors"]) == ["colour", "limit"]
    status, body = await catalog.get("/jobs?state=failed", who)
    assert (status, body["message"]) == (400, 'state is not a known parameter; did you mean status? (got "failed")')
    status, body = await catalog.get(f"/jobs/{factories.old_id('job')}?expand=1", who)
    assert (status, body["errors"][0]["field"]) == (400, "expand")


async def test_a_list_while_others_write_neither_skips_nor_repeats(catalog: CatalogService) -> None:
    who, jobs = await jobs_of(catalog, 12)
    seen: list[str] = []
    path = "/jobs?limit=3"
    while path:
        async with catalog.session.get(catalog.url + path, headers=who.headers) as response:
            seen += [found["id"] for found in await response.json()]
            next_ = re.search(
                r'<https://api\.example\.com(/jobs\?[^>]*)>; rel="next"', response.headers.get("Link", "")
            )
        path = next_[1] if next_ else ""
        newer = factories.queued(who.project, id=new_id("job"))
        await catalog.publish(JobCreated(job=newer))
        await catalog.until(f"/jobs/{newer.id}", who, lambda body: body["status"] == "queued")
    assert seen == [job.id for job in jobs[::-1]]


async def test_a_key_that_is_published_after_the_request_is_waited_for(catalog: CatalogService) -> None:
    who = customer(7)
    with catalog.ingest.unpublished_row():
        request = asyncio.create_task(catalog.get("/jobs", who))
        done, _ = await asyncio.wait({request}, timeout=0.3)
        assert not done
        await catalog.publish(KeyChanged(key=who.key))
        assert (await request)[0] == 200


async def test_an_unknown_key_is_refused(catalog: CatalogService) -> None:
    status, body = await catalog.get("/jobs", customer(8))
    assert (status, body["kind"]) == (401, "token_invalid")


async def test_a_key_with_a_wrong_checksum_is_refused(catalog: CatalogService) -> None:
    status, body = await catalog.get("/jobs", None, Authorization="Bearer ittybit_live_" + "a" * 38)
    assert (status, body["kind"]) == (401, "token_invalid")
    assert (await catalog.get("/jobs"))[1]["kind"] == "token_missing"


async def test_a_revoked_key_is_refused(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    assert (await catalog.get("/jobs", who))[0] == 200
    await catalog.publish(KeyChanged(key=who.key.model_copy(update={"revoked_at": now_ms()})))

    async def refused() -> bool | None:
        return True if (await catalog.get("/jobs", who))[0] == 401 else None

    await until(refused, within=60)
