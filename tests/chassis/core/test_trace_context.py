"""`traceparent` is read as W3C Trace Context says, and whatever a customer sends, only 55 characters are passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.trace_context import MAX_CHARS, TraceContext, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds", True),
        (f"00-{TRACE}-{SPAN}-01".encode(), True),
    ],
)
def test_a_valid_header_is_read(header: str | bytes, sampled: bool) -> None:
    assert parse(header) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        b"",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01-{'x' * MAX_CHARS}",
        f"00-{TRACE}-{SPAN}-0\xe9".encode("latin-1"),
    ],
)
def test_an_invalid_header_is_no_header(header: str | bytes | None) -> None:
    assert parse(header) is None


@given(st.text(max_size=700) | st.binary(max_size=700))
def test_whatever_is_sent_nothing_raises(header: str | bytes) -> None:
    found = parse(header)
    assert found is None or len(found.traceparent) == 55


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read_again(trace: int, span: int, sampled: bool) -> None:
    context = TraceContext(f"{trace:032x}", f"{span:016x}", sampled)
    assert parse(context.traceparent) == context
    assert parse(context.traceparent + "0") is None
