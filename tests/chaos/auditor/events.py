"""Kafka: each run of a job ends by one event. A record may come twice with the same id; a second end has another."""

import json

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.auditor.records import Audit, Target

RESULTS = "job.results"
TERMINAL = {f"bitmill.job.{end}.v1": end for end in ("succeeded", "failed", "cancelled")}
Ends = dict[str, dict[str, tuple[int, str]]]
"""By job: the ids of its terminal events, and what each says: the run, and how that ended."""


async def read_ends(target: Target, audit: Audit) -> Ends:
    """All terminal events. Dead letters are violations: no record of a run is one that cannot be handled."""
    ends: Ends = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=target.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = await _partitions(target)
        consumer.assign(partitions)
        last = await consumer.end_offsets(partitions)
        letters: list[str] = []
        while any([await consumer.position(partition) < last[partition] for partition in partitions]):
            for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers if value is not None}
                    if partition.topic != RESULTS:
                        letters.append(f"{partition.topic}@{record.offset}")
                        audit.counts["dead letter records"] += 1
                    elif headers["ce_type"] in TERMINAL:
                        end = TERMINAL[headers["ce_type"]]
                        run = json.loads(record.value)["job"].get("run", 1)
                        ends.setdefault(record.key.decode(), {})[headers["ce_id"]] = (run, end)
        audit.report("dead letters", letters, "records that a service could not handle")
    finally:
        await consumer.stop()
    return ends


async def _partitions(target: Target) -> list[TopicPartition]:
    """Those of the results and of all dead letters."""
    admin = AIOKafkaAdminClient(bootstrap_servers=target.bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics()
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if topic["topic"] == RESULTS or topic["topic"].endswith(".dlq")
        for partition in topic["partitions"]
    ]


def check_ends(ends: Ends, jobs: dict[str, str | None], audit: Audit) -> None:
    """`jobs` are all jobs that ingest has accepted, with the end that it knows."""
    doubled = [job for job, events in ends.items() if len({run for run, _ in events.values()}) < len(events)]
    audit.report("doubled", doubled, f"more than one terminal event of a run: {[ends[job] for job in doubled[:3]]}")
    missing = [job for job in jobs if job not in ends]
    audit.report("lost", missing, "no terminal event on job.results")
    foreign = [job for job in ends if job not in jobs]
    audit.report("doubled", foreign, "a terminal event of a job that was never accepted")
    other = [job for job, end in jobs.items() if job in ends and end != max(ends[job].values())[1]]
    audit.report("wrong end", other, f"ingest knows another end: {[(jobs[job], ends[job]) for job in other[:3]]}")
