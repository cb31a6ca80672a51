"""The head of a request to a customer's server: it says what was asked for, and nothing can be added to it."""

import h11
import pytest

from chassis.adapters.egress.exchange import request_head

HEADERS = [("Host", "example.com"), ("Range", "bytes=0-9"), ("webhook-signature", "v1,a v1,b"), ("Empty", "")]


def test_a_server_reads_what_was_written() -> None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(request_head("POST", "/hook?a=%20b", HEADERS))
    event = parser.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (b"POST", b"/hook?a=%20b")
    assert event.headers.raw_items() == [(name.encode(), value.encode()) for name, value in HEADERS]


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("POST", "/", "X-A", "a\r\nX-B: b"),
        ("POST", "/", "X-A", "a\nX-B: b"),
        ("POST", "/", "X-A", "a\0"),
        ("POST", "/", "X-A", " a"),
        ("POST", "/", "X-A", "a "),
        ("POST", "/", "X-A", "ä"),
        ("POST", "/", "X-A: a\r\nX-B", "b"),
        ("POST", "/", "X A", "a"),
        ("POST", "/", "", "a"),
        ("POST", "/ HTTP/1.1\r\nX-A:", "X-B", "b"),
        ("POST", "/a b", "X-A", "a"),
        ("POST", "/ä", "X-A", "a"),
        ("POST", "", "X-A", "a"),
        ("POST / HTTP/1.1\r\nX:", "/", "X-A", "a"),
    ],
)
def test_what_would_be_another_request_is_refused(method: str, target: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match="not a well-formed request"):
        request_head(method, target, [(name, value)])
