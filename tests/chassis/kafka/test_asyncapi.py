"""Documents from a broker that is only made."""

import json

from chassis.kafka.asyncapi import document
from chassis.kafka.broker import make_broker, subscribe
from chassis.kafka.codec import Submission
from schemas.events import JobFailed, JobSucceeded
from schemas.topics import JOB_RESULTS, JOB_SUBMITTED_TOPIC


def test_a_document_shows_what_a_service_reads_and_writes_without_a_connection() -> None:
    broker = make_broker("127.0.0.1:1", "ingest")

    @subscribe(broker, JOB_SUBMITTED_TOPIC, "ingest")
    async def on_submitted(event: Submission) -> None:
        """Takes a job."""

    @subscribe(broker, JOB_RESULTS, "ingest")
    async def on_result(event: JobSucceeded | JobFailed) -> None:
        """Attaches the output."""

    found = document(broker, "ingest", version="1.2.3")
    operations = {name: operation["action"] for name, operation in found["operations"].items()}
    assert found["asyncapi"] == "3.0.0"
    assert operations["job.submitted"] == operations["job.results"] == "receive"
    assert operations["job.created"] == operations["media.created"] == operations["key.changed"] == "send"
    text = json.dumps(found)
    assert "VideoJobRequest" in text
    assert "JobSucceeded" in text
    assert "Submission" not in text
