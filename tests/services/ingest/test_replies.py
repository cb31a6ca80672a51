"""Replies to producers that name a topic for them, on real Kafka."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.core.ids import new_id, now_ms
from schemas.events import JobCreated, JobSucceeded
from services.ingest.reply_topics import topic_patterns
from tests.services.catalog import factories
from tests.services.ingest.conftest import REPLY_PREFIX
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_jobs_http import GOOD
from tests.support.waiting import until


@dataclass
class ReplyTopic:
    """A topic of a producer's own, and what has come there."""

    name: str
    consumer: AIOKafkaConsumer
    replies: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    async def until(self, type_: str, correlation: str) -> tuple[dict[str, str], Any]:
        """The reply of this type."""

        async def found() -> tuple[dict[str, str], Any] | None:
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    self.replies.append((headers, json.loads(record.value)))
            return next(iter(self.of(type_, correlation)), None)

        reply: tuple[dict[str, str], Any] = await until(found, within=60)
        return reply

    def of(self, type_: str, correlation: str) -> list[tuple[dict[str, str], Any]]:
        return [
            (headers, data)
            for headers, data in self.replies
            if headers["ce_type"] == type_ and headers.get("ce_correlationid") == correlation
        ]


@pytest.fixture(scope="module")
async def topic(ingest: RunningIngest) -> AsyncIterator[ReplyTopic]:
    name = f"{REPLY_PREFIX}{new_id('evt')}"
    admin = AIOKafkaAdminClient(bootstrap_servers=ingest.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(name, bootstrap_servers=ingest.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    yield ReplyTopic(name, consumer)
    await consumer.stop()


async def submit(ingest: RunningIngest, body: Any, topic: str, correlation: str, **headers: str) -> None:
    value = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {"ce_project": ingest.project, "ce_replytopic": topic, "ce_correlationid": correlation}
    await ingest.submit(headers.pop("to", "job.submitted"), value, **named | headers)


async def test_a_producer_gets_the_id_of_its_job_and_its_end(
    ingest: RunningIngest, events: EventLog, topic: ReplyTopic
) -> None:
    await submit(ingest, GOOD, topic.name, "c-1", ce_id="order-1")
    headers, accepted = await topic.until("bitmill.submission.accepted.v1", "c-1")
    assert (headers["ce_submissionid"], headers["ce_project"]) == ("order-1", ingest.project)
    assert (accepted["submission_id"], accepted["kind"]) == ("order-1", "job")
    created = (await events.first(JobCreated, accepted["id"])).job
    ended = created.start(now_ms()).succeed(factories.output(created), now_ms() + 1)
    for _ in range(2):
        await ingest.publish(JobSucceeded(job=ended))
    headers, end = await topic.until("bitmill.job.succeeded.v1", "c-1")
    assert end == json.loads(JobSucceeded(job=ended).model_dump_json()), "as on job.results"
    assert (headers["ce_submissionid"], headers["ce_subject"]) == ("order-1", created.id)
    # What is replied to later comes later: the end that was read twice was replied once.
    await submit(ingest, GOOD, topic.name, "c-2")
    await topic.until("bitmill.submission.accepted.v1", "c-2")
    assert len(topic.of("bitmill.job.succeeded.v1", "c-1")) == 1


async def test_a_media_item_is_replied_with_its_id(ingest: RunningIngest, topic: ReplyTopic) -> None:
    body = {"url": "https://example.com/a.mov"}
    await submit(ingest, body, topic.name, "c-media", to="media.submitted")
    _, accepted = await topic.until("bitmill.submission.accepted.v1", "c-media")
    assert accepted["kind"] == "media"
    assert await ingest.pool.fetchval("SELECT count(*) FROM media WHERE id = $1", accepted["id"]) == 1


@pytest.mark.parametrize(
    ("to", "body", "code", "reason"),
    [
        ("job.submitted", b"\xff\x00", "unreadable", "not JSON"),
        ("job.submitted", {"kind": "video", "input": "ftp://example.com/a"}, "unreadable", "http"),
        ("job.submitted", {"kind": "video", "input": "http://10.0.0.1/a"}, "invalid_input", "input is refused"),
        ("media.submitted", {"url": 7}, "unreadable", "url"),
        ("job.control", {"action": "cancel", "job_id": "job_1"}, "job_not_found", "job_1"),
    ],
)
async def test_a_refusal_is_replied_and_is_a_dead_letter_as_well(
    ingest: RunningIngest, events: EventLog, topic: ReplyTopic, to: str, body: Any, code: str, reason: str
) -> None:
    mark = f"refused {to} {reason}"
    await submit(ingest, body, topic.name, mark, to=to, mark=mark, ce_id=mark)
    letter = await events.dead_letter(mark)
    _, refused = await topic.until("bitmill.submission.refused.v1", mark)
    assert (refused["code"], refused["submission_id"], refused["project"]) == (code, mark, ingest.project)
    assert reason in refused["reason"]
    assert (letter["reason"], letter["reason_code"]) == (refused["reason"], code)
    position = (letter["source_topic"], letter["source_partition"], letter["source_offset"])
    assert position == (refused["topic"], str(refused["partition"]), str(refused["offset"]))


@pytest.mark.parametrize("name", ["job.results", "elsewhere", "no topic"])
async def test_a_topic_that_is_not_allowed_is_refused_and_gets_nothing(
    ingest: RunningIngest, events: EventLog, name: str
) -> None:
    mark = f"not allowed {name}"
    before = await ingest.count("jobs")
    await submit(ingest, GOOD, name, "c", mark=mark)
    letter = await events.dead_letter(mark)
    assert "ce_replytopic" in letter["reason"]
    assert name in letter["reason"]
    assert (await ingest.count("jobs"), await ingest.count("replies")) == (before, 0)


async def test_a_topic_that_does_not_exist_delays_neither_jobs_nor_the_replies_of_others(
    ingest: RunningIngest, events: EventLog, topic: ReplyTopic
) -> None:
    missing = f"{REPLY_PREFIX}missing"
    await submit(ingest, GOOD, missing, "c-missing", ce_id="order-missing")

    async def kept() -> int:
        return int(await ingest.pool.fetchval("SELECT attempts FROM replies WHERE topic = $1", missing) or 0)

    await until(kept, within=60)
    await submit(ingest, GOOD, topic.name, "c-after")
    _, accepted = await topic.until("bitmill.submission.accepted.v1", "c-after")
    await events.first(JobCreated, accepted["id"])
    await ingest.pool.execute("DELETE FROM replies")


@pytest.mark.parametrize(
    ("text", "patterns"), [("", ()), ("a, b.* ", ("a", "b.*")), ("shop.job.results", ("shop.job.results",))]
)
def test_the_setting_is_a_list_of_names(text: str, patterns: tuple[str, ...]) -> None:
    assert topic_patterns(text) == patterns


@pytest.mark.parametrize("text", ["*", "job.*", "a,job.submitted", "media.created.dlq", "a b", "a*b", "ä"])
def test_the_setting_stands_for_no_topic_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        topic_patterns(text)
