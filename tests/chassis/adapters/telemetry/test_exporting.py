"""Spans reach a collector; one that is away or silent delays neither the work nor the end of the process."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from prometheus_client import REGISTRY

from chassis.adapters.telemetry import exporting
from chassis.core import logs, tracing
from chassis.core.trace_context import TraceContext
from tests.support.otlp_collector import Collector, otlp_collector
from tests.support.system import free_port

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def _lost() -> float:
    return REGISTRY.get_sample_value("bitmill_trace_spans_lost_total") or 0.0


async def _export(collector: Collector, work: "object") -> None:
    assert callable(work)
    traces = f"{collector.endpoint}/v1/traces"

    def exported() -> None:
        with exporting(traces, flush_s=60), logs.bind_context(service="one"):
            work()

    # The flush at the end blocks: the collector is in this event loop.
    await asyncio.to_thread(exported)


async def test_a_span_has_its_service_its_parent_and_clean_values() -> None:
    def work() -> None:
        with tracing.continued(CALLER), tracing.span("outer", attributes={"url.full": "https://u:p@h/x?sig=SECRET"}):
            with tracing.span("inner", kind="client", service="two") as span:
                span.set("api_key", "itb_live_SECRET")
                span.fail("GET https://h/y?sig=SECRET failed")
            try:
                with tracing.span("raises"):
                    raise ValueError("https://h/z?sig=SECRET")
            except ValueError:
                pass

    async with otlp_collector() as collector:
        await _export(collector, work)
    spans = {span.name: span for span in collector.spans}
    outer, inner = spans["outer"], spans["inner"]
    assert {span.trace_id for span in spans.values()} == {CALLER.trace_id}
    assert outer.parent_id == CALLER.span_id
    assert inner.parent_id == spans["raises"].parent_id == outer.span_id
    assert (outer.service, inner.service) == ("one", "two")
    assert outer.attributes["url.full"] == "https://***@h/x"
    assert spans["raises"].attributes["error.type"] == "ValueError"
    assert (outer.failed, inner.failed, spans["raises"].failed) == (False, True, True)
    assert inner.message == "GET https://h/y failed"
    assert b"SECRET" not in collector.raw


async def test_a_caller_who_does_not_record_its_trace_gets_no_spans() -> None:
    unsampled = TraceContext(CALLER.trace_id, CALLER.span_id, sampled=False)
    seen: list[str | None] = []

    def work() -> None:
        with tracing.continued(unsampled), tracing.span("outer"):
            seen.append(tracing.traceparent())
        with tracing.span("other"):
            pass

    async with otlp_collector() as collector:
        await _export(collector, work)
    assert [span.name for span in collector.spans] == ["other"]
    assert seen[0] is not None
    assert seen[0].startswith(f"00-{CALLER.trace_id}-")
    assert seen[0].endswith("-00")


async def test_a_span_of_the_past_begins_where_it_is_said_to() -> None:
    began = time.time_ns() - 5_000_000_000

    def work() -> None:
        tracing.record("waited", kind="internal", parent=CALLER.traceparent, started_ns=began)

    async with otlp_collector() as collector:
        await _export(collector, work)
    (span,) = collector.spans
    assert (span.parent_id, span.started_ns) == (CALLER.span_id, began)
    assert span.ended_ns - began >= 5_000_000_000


def test_an_endpoint_that_is_away_loses_spans_and_counts_them() -> None:
    before = _lost()
    with exporting(f"http://127.0.0.1:{free_port()}/v1/traces", flush_s=60), tracing.span("lost"):
        pass
    assert _lost() == before + 1
    assert not tracing.enabled()


async def test_an_endpoint_that_never_answers_ends_no_process_late() -> None:
    """The process ends although the exporter would wait ten minutes; measured by what it does not wait for."""
    accepted = asyncio.Event()
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code = (
        "from chassis.adapters.telemetry import exporting\n"
        "from chassis.core import tracing\n"
        f"with exporting('http://127.0.0.1:{port}/v1/traces', flush_s=0.5):\n"
        "    for number in range(5000):\n"
        "        with tracing.span('step'):\n"
        "            pass\n"
        "print('ended')\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=Path(__file__).parents[4],
        env={"OTEL_EXPORTER_OTLP_TIMEOUT": "600", "OTEL_BSP_SCHEDULE_DELAY": "10"},
        stdout=subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, out.splitlines()[-1]) == (0, b"ended")
    assert accepted.is_set()
    gone.set()
    server.close()


def test_without_an_endpoint_a_process_of_all_services_imports_no_opentelemetry() -> None:
    code = (
        "import sys\n"
        "from chassis.adapters.telemetry import exporting\n"
        "from chassis.core import tracing\n"
        "from chassis.runtime import lifecycle\n"
        "from cli.service_commands import build\n"
        "from schemas.topics import SERVICES\n"
        "built = [build(service) for service in SERVICES]\n"
        "with exporting(built[0][1].traces_endpoint), tracing.span('step'):\n"
        "    assert not tracing.enabled()\n"
        "tracked = ('opentelemetry.', 'google.protobuf', 'requests')\n"
        # FastStream looks for `opentelemetry.semconv.trace`, which imports the two empty packages above it.
        "loaded = [name for name, module in sys.modules.items() if getattr(module, '__file__', None)]\n"
        "print([name for name in loaded if name.startswith(tracked) and name != 'opentelemetry.semconv'])\n"
    )
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/bitmill",
        "STORAGE_URL": "file:///nowhere",
        "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[4],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
