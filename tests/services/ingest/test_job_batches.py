"""POST /jobs/batch: each body is answered as POST /jobs would answer it."""

from typing import Any

import pytest

from schemas.events import JobCreated
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_jobs_http import GOOD


def bodies(count: int) -> list[dict[str, Any]]:
    return [{**GOOD, "metadata": {"n": str(number)}} for number in range(count)]


async def test_a_hundred_bodies_are_accepted_in_their_order(ingest: RunningIngest, events: EventLog) -> None:
    answer = await ingest.post("/jobs/batch", bodies(100))
    assert answer.status == 200
    assert [(each["status"], each["body"]["metadata"]["n"]) for each in answer.body] == [
        (201, str(number)) for number in range(100)
    ]
    ids = [each["body"]["id"] for each in answer.body]
    assert len(set(ids)) == 100
    for id in (ids[0], ids[99]):
        assert (await events.first(JobCreated, id)).job.id == id
    assert await ingest.pool.fetchval("SELECT count(*) FROM jobs WHERE id = ANY ($1)", ids) == 100


async def test_a_body_that_is_refused_leaves_the_others_alone(ingest: RunningIngest) -> None:
    sent: list[Any] = [*bodies(1), {**GOOD, "options": {"widht": 640}}, "nonsense", *bodies(1)]
    answer = await ingest.post("/jobs/batch", sent)
    assert [each["status"] for each in answer.body] == [201, 400, 400, 201]
    refused = answer.body[1]["body"]
    alone = (await ingest.post("/jobs", sent[1])).body
    assert refused | {"request_id": ""} == alone | {"request_id": ""}
    assert refused["request_id"] == answer.headers["X-Request-Id"]
    assert answer.body[2]["body"]["kind"] == "invalid_input"


async def test_a_repeated_batch_gets_its_first_responses_and_tries_again_what_was_refused(
    ingest: RunningIngest,
) -> None:
    sent = [*bodies(12), {**GOOD, "kind": "hologram"}]
    first = await ingest.post("/jobs/batch", sent, Idempotency_Key="batch-1")
    again = await ingest.post("/jobs/batch", [*bodies(12), GOOD], Idempotency_Key="batch-1")
    assert [each["status"] for each in first.body] == [*[201] * 12, 400]
    assert [each["status"] for each in again.body] == [*[200] * 12, 201]
    assert [each["body"] for each in again.body[:12]] == [each["body"] for each in first.body[:12]]
    other = await ingest.post("/jobs/batch", bodies(13)[1:], Idempotency_Key="batch-1")
    assert {each["status"] for each in other.body} == {422}


@pytest.mark.parametrize("body", [[], {}, GOOD, "x", 7, [GOOD] * 101])
async def test_what_is_no_list_of_bodies_is_refused_as_a_whole(ingest: RunningIngest, body: Any) -> None:
    answer = await ingest.post("/jobs/batch", body)
    assert (answer.status, answer.body["kind"]) == (400, "invalid_input")
    assert "a list of 1 to 100" in answer.body["message"]


async def test_a_batch_needs_a_key(ingest: RunningIngest) -> None:
    assert (await ingest.post("/jobs/batch", bodies(1), Authorization="")).status == 401
