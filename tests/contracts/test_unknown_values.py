"""An event with values of a newer release stops none of its readers."""

import json
from typing import Any

from chassis.adapters.http.json_body import json_bytes
from chassis.adapters.kafka.codec import UnknownEvent, decode
from schemas.delivery import DeliveryUrls
from schemas.events import JobCreated, JobEvent, JobSucceeded
from schemas.ids import typeid, uuid7
from schemas.job_resource import job_resource
from schemas.jobs import Job
from schemas.reading import UnknownValue
from schemas.topics import JOB_CREATED, JOB_RESULTS
from services.notifier.deliveries import delivery_for

BASE = "https://cdn.example.com"
URLS = DeliveryUrls(BASE)
OUTPUT = {
    "id": "file_x",
    "key": "prj_01h455vb4pex5vsknk084sn02q/jobs/x.vtt",
    "kind": "subtitles",
    "format": "vtt",
    "content_type": "text/vtt",
    "filesize": 3,
    "path": "job/subtitles.vtt",
}


def of_a_newer_release(**changes: Any) -> bytes:
    """The value of a record whose job is of a kind that this release does not know."""
    job = Job.queued(
        id=typeid("job", uuid7(1_000, b"0123456789")),
        project="prj_01h455vb4pex5vsknk084sn02q",
        kind="video",
        input="https://example.com/a",
        options={"language": "en"},
        metadata={"b": "1", "a": "2"},
        webhook_url="https://example.com/hook",
        at=1_000,
    )
    document = json.loads(JobCreated(job=job).model_dump_json())
    document["job"] |= {"kind": "transcript", **changes}
    document["job"]["tasks"][2]["kind"] = "transcript"
    return json.dumps(document).encode()


def read(type_: str, topic: Any, value: bytes) -> tuple[JobEvent, list[UnknownValue]]:
    found: list[UnknownValue] = []
    event = decode(topic, [("ce_type", type_.encode())], value, on_unknown=found.append)
    assert isinstance(event, JobEvent)
    return event, found


def test_a_job_of_an_unknown_kind_is_read_and_belongs_to_no_worker() -> None:
    event, found = read(JobCreated.TYPE, JOB_CREATED, of_a_newer_release())
    assert event.job.kind == "unknown"
    assert {each.field for each in found} == {"job.kind", "job.tasks[].kind"}


def test_the_end_of_a_job_of_an_unknown_kind_is_delivered_as_a_webhook() -> None:
    value = of_a_newer_release(status="succeeded", output=OUTPUT, finished_at=2_000, updated_at=2_000)
    event, _ = read(JobSucceeded.TYPE, JOB_RESULTS, value)
    delivery = delivery_for(event.job, URLS)
    assert delivery is not None
    assert delivery.body == json_bytes(job_resource(event.job, URLS))
    body = json.loads(delivery.body)
    assert (body["kind"], body["output"]["kind"], body["status"]) == ("unknown", "unknown", "succeeded")
    assert body["tasks"][2]["options"] == {"language": "en"}


def test_an_unknown_type_on_a_known_topic_is_no_event_and_no_error() -> None:
    assert decode(JOB_RESULTS, [("ce_type", b"bitmill.job.archived.v1")], b"{}") == UnknownEvent(
        "bitmill.job.archived.v1"
    )
