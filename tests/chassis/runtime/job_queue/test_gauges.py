"""The gauges of a service's queue and outbox, and the queries by which its workers are scaled."""

import re
from pathlib import Path

import yaml

from chassis.core.metrics import exposition
from chassis.runtime.job_queue.inspection import QueueGauges
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture, event

QUEUE_LEASE = LONG_LEASE


def gauges(service: str) -> dict[str, float]:
    """The gauges of a service, by name."""
    lines = (line.rpartition(" ") for line in exposition()[0].decode().splitlines())
    label = f'{{service="{service}"}}'
    return {name.removesuffix(label): float(value) for name, _, value in lines if name.endswith(label)}


async def test_what_waits_and_what_runs_is_measured(fixture: QueueFixture) -> None:
    await fixture.add("a", "b", estimate_s=20)
    await fixture.add("c", estimate_s=2.5)
    await fixture.queue.emit(await fixture.claim(), event("a"))
    await QueueGauges(fixture.pool, "test").measure()
    await fixture.outbox.set_gauges()
    measured = gauges("test")
    ages = ("bitmill_job_queue_oldest_seconds", "bitmill_outbox_oldest_seconds")
    assert all(measured.pop(name) > 0 for name in ages)
    assert measured == {
        "bitmill_job_queue_queued": 2.0,
        "bitmill_job_queue_running": 1.0,
        "bitmill_job_queue_queued_seconds": 22.5,
        "bitmill_job_queue_running_seconds": 20.0,
        "bitmill_job_queue_expired": 0.0,
        "bitmill_outbox_backlog": 1.0,
        "bitmill_outbox_quarantined": 0.0,
    }


async def test_a_replica_that_does_not_measure_shows_no_values(fixture: QueueFixture) -> None:
    await QueueGauges(fixture.pool, "test").measure()
    await fixture.outbox.set_gauges()
    QueueGauges(fixture.pool, "test").clear()
    fixture.outbox.clear_gauges()
    assert gauges("test") == {}


async def test_the_autoscaler_counts_queued_and_running_seconds_and_every_busy_slot(fixture: QueueFixture) -> None:
    documents = yaml.safe_load_all((Path(__file__).parents[4] / "deploy/kubernetes/scaling.yaml").read_text())
    triggers = [document["spec"]["triggers"][0]["metadata"] for document in documents if "triggers" in document["spec"]]
    assert len(triggers) == 2
    await fixture.add("a", "b", "c", estimate_s=10)
    await fixture.queue.set_waiting(await fixture.claim(), True)
    await fixture.claim()
    for trigger in triggers:
        query = re.sub(r"(transcoder|thumbnailer)\.", "", trigger["query"])
        busy = max(10, int(trigger["targetQueryValue"]) // 2)
        assert await fixture.pool.fetchval(query) == 10 + 10 + busy
