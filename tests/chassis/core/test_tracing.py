"""The trace that code belongs to, without a tracer: it is passed on, and nothing is measured."""

import json
from io import StringIO

from chassis.core import logs, tracing
from chassis.core.trace_context import TraceContext

ONE = TraceContext("1" * 32, "a" * 16)
TWO = TraceContext("2" * 32, "b" * 16)


def test_without_a_trace_there_is_no_header() -> None:
    assert not tracing.enabled()
    with tracing.span("step") as span:
        span.set("size", 3)
        span.fail("broken")
        assert tracing.traceparent() is None


def test_a_block_belongs_to_the_trace_of_its_caller_and_only_the_block() -> None:
    with tracing.continued(ONE):
        with tracing.span("step"):
            assert tracing.traceparent() == ONE.traceparent
        with tracing.continued(None):
            assert tracing.traceparent() is None
        assert tracing.current() == ONE
    assert tracing.current() is None


def test_subjects_of_a_batch_have_their_own_traces_and_others_the_current_one() -> None:
    with tracing.continued(ONE), tracing.subjects({"x": TWO.traceparent}):
        assert tracing.traceparent("x") == TWO.traceparent
        assert tracing.traceparent("y") == ONE.traceparent
    assert tracing.traceparent("x") is None


def test_log_lines_name_the_trace() -> None:
    out = StringIO()
    logs.configure("json", "info", stream=out)
    log = logs.get_logger("test")
    with tracing.continued(ONE):
        log.info("inside_trace")
    log.info("outside_trace")
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert inside["trace_id"] == ONE.trace_id
    assert "trace_id" not in outside
