"""One job is one trace, from the POST to the webhook, through all services; no secret of a customer is in it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.file_server import FileServer
from tests.support.otlp_collector import CollectedSpan, Collector, otlp_collector
from tests.support.processes import DEADLINE_SECONDS, clean_environment
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until
from tests.support.webhook_receiver import webhook_receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
JOB_SPANS = {
    ("ingest", "POST /jobs"),
    ("ingest", "publish job.created"),
    ("catalog", "process job.created"),
    ("thumbnailer", "process job.created"),
    ("thumbnailer", "queue image"),
    ("thumbnailer", "claim image"),
    ("thumbnailer", "attempt image"),
    ("thumbnailer", "fetch"),
    ("thumbnailer", "probe"),
    ("thumbnailer", "encode"),
    ("thumbnailer", "store"),
    ("thumbnailer", "publish job.results"),
    ("catalog", "process job.results"),
    ("ingest", "process job.results"),
    ("notifier", "process job.results"),
    ("notifier", "queue webhook"),
    ("notifier", "claim webhook"),
    ("notifier", "attempt webhook"),
    ("notifier", "POST webhook"),
}


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with otlp_collector() as running:
        yield running


@pytest.fixture(scope="module")
async def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BitmillUp]:
    environment = {
        **clean_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with bitmill_up(tmp_path_factory.mktemp("traced") / "data", environment) as system:
        yield system


async def test_a_job_is_one_trace_through_all_services(
    traced: BitmillUp, collector: Collector, uploads: FileServer
) -> None:
    async with webhook_receiver(secret=traced.api.secret) as hooks:
        image = {
            "input": uploads.url("photo.png") + "?signature=SECRET-OF-A-CUSTOMER",
            "kind": "image",
            "options": {"width": 64},
            "webhook_url": hooks.url("/done") + "?token=SECRET-OF-A-CUSTOMER",
        }
        async with traced.api.session.post(
            f"{traced.api.address}/jobs", json=image, headers={"traceparent": CALLER}
        ) as response:
            assert response.status == 201
            job = (await response.json())["id"]
        await until(lambda: collector.names(TRACE) >= JOB_SPANS, within=DEADLINE_SECONDS)
        received = hooks.received[0]
        assert received.headers["traceparent"].split("-")[1] == TRACE

    def without_parent() -> list[CollectedSpan]:
        """A span is exported when it ends, and so before the one that it is in."""
        spans = collector.trace(TRACE)
        ids = {CALLER.split("-")[2], *(span.span_id for span in spans)}
        return [span for span in spans if span.parent_id not in ids]

    await until(lambda: without_parent() == [], within=DEADLINE_SECONDS)
    spans = collector.trace(TRACE)
    (first,) = [span for span in spans if span.name == "POST /jobs"]
    assert [span for span in spans if span.parent_id == CALLER.split("-")[2]] == [first]
    assert {span.attributes["queue.item_id"] for span in spans if span.name == "attempt image"} == {job}
    assert [span for span in spans if span.failed] == []
    assert b"SECRET-OF-A-CUSTOMER" not in collector.raw


async def test_a_video_and_a_request_without_a_trace_have_new_ones(
    traced: BitmillUp, collector: Collector, uploads: FileServer
) -> None:
    body = {"input": uploads.url("clip.mov"), "kind": "video", "options": {"width": 64}}
    jobs = [(await traced.api.post("/jobs", body))["id"] for _ in range(2)]

    def attempts() -> dict[str, str]:
        found = [span for span in collector.spans if span.name == "attempt video"]
        return {span.attributes["queue.item_id"]: span.trace_id for span in found}

    await until(lambda: attempts().keys() >= set(jobs), within=DEADLINE_SECONDS)
    traces = {attempts()[job] for job in jobs}
    assert len(traces) == 2
    assert TRACE not in traces
    for trace in traces:
        wanted = {("ingest", "POST /jobs"), ("catalog", "process job.results")}
        await until(lambda trace=trace, wanted=wanted: collector.names(trace) >= wanted)  # type: ignore[misc]


async def test_log_lines_of_the_job_name_the_trace(traced: BitmillUp) -> None:
    def events() -> set[str]:
        return {json.loads(line)["event"] for line in traced.log.splitlines() if TRACE in line and line.endswith("}")}

    await until(lambda: events() >= {"job_succeeded", "http_request", "webhook_delivered"})


async def test_a_collector_that_goes_silent_costs_requests_nothing_and_the_end_no_time(
    tmp_path: Path, uploads: FileServer
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    environment = {
        **clean_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
    }
    async with bitmill_up(tmp_path / "data", environment) as system:
        body = {"input": uploads.url("photo.png"), "kind": "image", "options": {"width": 64}}
        jobs = [(await system.api.post("/jobs", body))["id"] for _ in range(20)]
        assert {(await system.api.finished(job))["status"] for job in jobs} == {"succeeded"}
        await system.stop()
        assert system.process.returncode == os.EX_OK, "and not by the hard deadline"
        assert "shutdown_deadline_exceeded" not in system.log
    server.close()
