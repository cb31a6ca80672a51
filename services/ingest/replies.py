"""Replies to producers that named a reply topic: what is sent, and whether the topic is allowed.

A reply is a row, written in the transaction that makes it true; `reply_sender` sends it. It may come more than once,
then with the same `ce_id`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiokafka import ConsumerRecord
from pydantic import BaseModel

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.codec import OutgoingRecord
from chassis.adapters.kafka.errors import RecordRejected, RecordUnreadable
from chassis.adapters.postgres import Connection
from chassis.core.concurrency import WakeSignal
from chassis.core.ids import now_ms
from schemas.events import JobCancelled, JobEvent, JobFailed, JobSucceeded, Submission
from schemas.explain import render_value
from schemas.jobs import Job
from schemas.replies import (
    CORRELATION_ID,
    REPLY_TOPIC,
    SUBMISSION_ID,
    InvalidReplyAddress,
    ReplyAddress,
    SubmissionAccepted,
    SubmissionRefused,
    reply_address,
    topic_matches,
)
from schemas.storable import storable_text
from schemas.topics import Topic
from services.ingest.reply_store import ReplyStore

SOURCE = "/bitmill/ingest"
_REASON_CHARS = 2000
_ENDS: dict[str, type[JobEvent]] = {"succeeded": JobSucceeded, "failed": JobFailed, "cancelled": JobCancelled}


@dataclass(frozen=True)
class Replies:
    """`allowed` are names of topics, or beginnings of names followed by `*`."""

    store: ReplyStore
    allowed: tuple[str, ...] = ()
    added: WakeSignal = field(default_factory=WakeSignal)
    """Notified after the commit of a transaction that added replies."""

    def check(self, submission: Submission) -> None:
        """Raises RecordRejected where the submission names a topic that is not allowed."""
        if submission.reply is None or topic_matches(submission.reply.topic, self.allowed):
            return
        shown = render_value(submission.reply.topic)
        raise RecordRejected(
            f"the header {REPLY_TOPIC} must name a topic of REPLY_TOPICS, not {shown}", "invalid_input"
        )

    async def accepted(
        self, conn: Connection, submission: Submission, kind: Literal["job", "media"], id: str, at: int
    ) -> None:
        """Replies with the id of the new job or media item, and remembers where the end of a job is to go."""
        reply = submission.reply
        if reply is None:
            return
        accepted = SubmissionAccepted(submission_id=submission.id, project=submission.project, kind=kind, id=id, at=at)
        record = _record(reply, submission.id, accepted.TYPE, accepted, submission.project, id, at, place="accepted")
        if kind == "job":
            remembered = {"submission_id": submission.id, **reply.model_dump()}
            await self.store.remember(conn, id, orjson.dumps(remembered).decode())
        await self.store.add(conn, [record])

    async def ended(
        self, conn: Connection, jobs: Sequence[Job], remembered: Mapping[str, Mapping[str, Any]], at: int
    ) -> None:
        """Replies with the ends of jobs whose submissions asked for it.

        `remembered` is what `accepted` remembered, by the ids of those jobs that have just ended.
        """
        records = []
        for job in jobs:
            reply = ReplyAddress.model_validate(remembered[job.id]) if job.id in remembered else None
            if reply is None or not topic_matches(reply.topic, self.allowed):
                continue
            event, submission_id = _ENDS[job.status](job=job), str(remembered[job.id]["submission_id"])
            place = f"run {job.run}"
            records.append(_record(reply, submission_id, event.TYPE, event, job.project, job.id, at, place=place))
        await self.store.add(conn, records)

    async def refused(self, topic: Topic, record: ConsumerRecord, reason: str, code: str) -> None:
        """Replies with the refusal of a record, if it names a topic that is allowed."""
        if not self.allowed or not topic.submitted:
            return
        reply = _address(record)
        if reply is None or not topic_matches(reply.topic, self.allowed):
            return
        origin, at = f"{record.topic}/{record.partition}/{record.offset}", now_ms()
        id, project = _text(record, "ce_id") or origin, _text(record, "ce_project")
        refused = SubmissionRefused(
            submission_id=id,
            project=project,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            code=code,
            reason=storable_text(reason, _REASON_CHARS),
            at=at,
        )
        async with self.store.transaction() as conn:
            outgoing = _record(reply, id, refused.TYPE, refused, project, origin, at, place="refused")
            await self.store.add(conn, [outgoing])
        self.added.notify()


def _record(
    reply: ReplyAddress,
    submission_id: str,
    type_: str,
    data: BaseModel,
    project: str,
    subject: str,
    at: int,
    *,
    place: str,
) -> OutgoingRecord:
    headers = {
        "ce_specversion": "1.0",
        # The same however often the reply is made.
        "ce_id": f"reply/{subject}/{place}",
        "ce_type": type_,
        "ce_source": SOURCE,
        "ce_time": codec.rfc3339(at),
        "ce_subject": subject,
        "ce_project": project,
        SUBMISSION_ID: submission_id,
        CORRELATION_ID: reply.correlation_id,
        "content-type": "application/json",
    }
    return OutgoingRecord(
        topic=reply.topic,
        key=(reply.correlation_id or submission_id).encode(),
        value=data.model_dump_json().encode(),
        headers=[(name, value.encode()) for name, value in headers.items() if value],
    )


def _address(record: ConsumerRecord) -> ReplyAddress | None:
    try:
        return reply_address(codec.header(record.headers, REPLY_TOPIC), codec.header(record.headers, CORRELATION_ID))
    except (RecordUnreadable, InvalidReplyAddress):
        return None


def _text(record: ConsumerRecord, name: str) -> str:
    try:
        return storable_text(codec.header(record.headers, name) or "", 255)
    except RecordUnreadable:
        return ""
