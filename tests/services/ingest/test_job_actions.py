"""Actions on jobs that producers ask for on `job.control`."""

import orjson
import pytest

from chassis.adapters.kafka.record_handler import HandlerLimits
from chassis.core.ids import new_id
from schemas.events import CancelRequested, JobCreated, JobPurged
from services.ingest import keys
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_job_purges import ended_job
from tests.services.ingest.test_jobs_http import GOOD


async def ask(ingest: RunningIngest, action: str, job_id: str, **headers: str) -> None:
    body = orjson.dumps({"action": action, "job_id": job_id})
    await ingest.submit("job.control", body, **{"ce_project": ingest.project, **headers})


async def queued(ingest: RunningIngest) -> str:
    id: str = (await ingest.post("/jobs", GOOD)).body["id"]
    return id


async def test_a_producer_cancels_a_job(ingest: RunningIngest, events: EventLog) -> None:
    id = await queued(ingest)
    await ask(ingest, "cancel", id, ce_id="cancel-it")
    assert (await events.first(CancelRequested, id)).project == ingest.project
    assert await ingest.pool.fetchval("SELECT cancel_requested_at FROM jobs WHERE id = $1", id) is not None


async def test_a_producer_retries_a_job_once_however_often_the_record_comes(
    ingest: RunningIngest, events: EventLog
) -> None:
    id, last = await ended_job(ingest, events), await queued(ingest)
    for _ in range(2):
        await ask(ingest, "retry", id, ce_id="retry-it")
    # What follows on the same partition comes after both.
    await ask(ingest, "cancel", last)
    await events.first(CancelRequested, last)
    assert [event.job.run for event in events.of(id) if isinstance(event, JobCreated)] == [1, 2]
    assert not [letter for letter in events.dead_letters if letter.get("ce_id") == "retry-it"]


async def test_a_producer_purges_a_job(ingest: RunningIngest, events: EventLog) -> None:
    id = await ended_job(ingest, events)
    await ask(ingest, "purge", id, ce_type="bitmill.job.action_submitted.v1")
    await events.first(JobPurged, id)
    assert await ingest.pool.fetchval("SELECT count(*) FROM jobs WHERE id = $1", id) == 0


@pytest.mark.parametrize("action", ["cancel", "retry", "purge"])
async def test_a_record_of_one_project_does_not_touch_the_job_of_another(
    ingest: RunningIngest, events: EventLog, action: str
) -> None:
    id = await queued(ingest) if action == "cancel" else await ended_job(ingest, events)
    before = await ingest.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", id)
    other = (await keys.create_key(ingest.pool, f"{action}s what is not its own")).key.project
    await ask(ingest, action, id, ce_project=other, mark=f"foreign {action}")
    letter = await events.dead_letter(f"foreign {action}")
    assert (letter["reason_code"], letter["source_topic"]) == ("job_not_found", "job.control")
    assert id in letter["reason"]
    assert await ingest.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", id) == before


async def test_refusals_are_dead_letters_with_the_code_of_http(ingest: RunningIngest, events: EventLog) -> None:
    running, failed, unknown = await queued(ingest), await ended_job(ingest, events), new_id("job")
    asked = [
        ("retry", running, "job_not_failed"),
        ("purge", running, "job_not_ended"),
        ("cancel", failed, "job_ended"),
        ("cancel", unknown, "job_not_found"),
        ("purge", "nonsense", "job_not_found"),
    ]
    for action, id, code in asked:
        await ask(ingest, action, id, mark=f"refused {action} {code} {id}")
        assert (await events.dead_letter(f"refused {action} {code} {id}"))["reason_code"] == code


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", "not JSON"),
        (b'{"action": "stop", "job_id": "job_1"}', "action"),
        (b'{"action": "cancel"}', "job_id"),
        (b'{"action": "cancel", "job_id": "job_1", "jobid": 1}', "jobid"),
    ],
)
async def test_what_is_no_action_is_a_dead_letter_of_ingest_alone(
    ingest: RunningIngest, events: EventLog, value: bytes, reason: str
) -> None:
    await ingest.submit("job.control", value, ce_project=ingest.project, mark=f"no action {reason}")
    letter = await events.dead_letter(f"no action {reason}")
    assert reason in letter["reason"]
    assert (letter["reason_code"], letter["source_service"]) == ("unreadable", "ingest")


async def test_many_refusals_do_not_stop_the_actions_of_others(ingest: RunningIngest, events: EventLog) -> None:
    for number in range(HandlerLimits().dead_letters_per_minute + 5):
        await ingest.submit("job.control", b"no action", ce_project=ingest.project, mark=f"pile of actions {number}")
    id = await queued(ingest)
    await ask(ingest, "cancel", id)
    await events.first(CancelRequested, id)
