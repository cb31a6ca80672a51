"""Ranges and conditions of RFC 9110, as players and caches send them."""

from datetime import UTC, datetime, timedelta

import pytest

from services.catalog.files_api import disposition
from services.catalog.ranges import Decision, FullContent, NotModified, PartialContent, Unsatisfiable, decide, http_date

SIZE = 1000
ETAG = '"abc"'
MODIFIED = datetime(2026, 11, 22, 17, 6, 36, 123456, UTC)
DATE = "Sun, 22 Nov 2026 17:06:36 GMT"
LATER = http_date(MODIFIED + timedelta(seconds=1))
EARLIER = http_date(MODIFIED - timedelta(seconds=1))


def decision(headers: dict[str, str] | None = None, method: str = "GET", size: int = SIZE) -> Decision:
    return decide(method, headers or {}, size=size, etag=ETAG, modified=MODIFIED)


def test_a_date_is_written_as_http_wants_it() -> None:
    assert http_date(MODIFIED) == DATE


@pytest.mark.parametrize(
    ("range_", "answer"),
    [
        ("bytes=0-", PartialContent(0, 999)),
        ("bytes=0-0", PartialContent(0, 0)),
        ("bytes=0-999", PartialContent(0, 999)),
        ("bytes=500-9999", PartialContent(500, 999)),
        ("bytes=999-", PartialContent(999, 999)),
        ("bytes=-1", PartialContent(999, 999)),
        ("bytes=-5000", PartialContent(0, 999)),
        ("Bytes=1-2", PartialContent(1, 2)),
        ("bytes=1000-", Unsatisfiable()),
        ("bytes=1000-2000", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=5-4", FullContent()),
        ("bytes=-", FullContent()),
        ("bytes=a-b", FullContent()),
        ("bytes=0-1,5-6", FullContent()),
        ("bytes=0-1, 999999-", FullContent()),
        ("items=0-1", FullContent()),
        ("bytes=" + "9" * 400 + "-", FullContent()),
        ("bytes=٠-١", FullContent()),
        ("", FullContent()),
    ],
)
def test_a_range_is_partial_full_or_unsatisfiable(range_: str, answer: Decision) -> None:
    assert decision({"Range": range_}) == answer


def test_head_tells_of_the_whole_file() -> None:
    assert decision({"Range": "bytes=0-1"}, "HEAD") == FullContent()


def test_an_empty_file_has_no_ranges() -> None:
    assert decision({"Range": "bytes=0-"}, size=0) == Unsatisfiable()
    assert decision(size=0) == FullContent()


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"If-None-Match": ETAG}, NotModified()),
        ({"If-None-Match": f'W/{ETAG}, "other"'}, NotModified()),
        ({"If-None-Match": "*"}, NotModified()),
        ({"If-None-Match": '"other"'}, FullContent()),
        ({"If-None-Match": "abc"}, FullContent()),
        ({"If-Modified-Since": DATE}, NotModified()),
        ({"If-Modified-Since": LATER}, NotModified()),
        ({"If-Modified-Since": EARLIER}, FullContent()),
        ({"If-Modified-Since": "yesterday"}, FullContent()),
        ({"If-None-Match": '"other"', "If-Modified-Since": LATER}, FullContent()),
        ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, NotModified()),
        ({"If-Range": ETAG, "Range": "bytes=0-1"}, PartialContent(0, 1)),
        ({"If-Range": f"W/{ETAG}", "Range": "bytes=0-1"}, FullContent()),
        ({"If-Range": '"other"', "Range": "bytes=0-1"}, FullContent()),
        ({"If-Range": DATE, "Range": "bytes=0-1"}, PartialContent(0, 1)),
        ({"If-Range": LATER, "Range": "bytes=0-1"}, FullContent()),
        ({"If-Range": "nonsense", "Range": "bytes=0-1"}, FullContent()),
        ({"If-Range": '"other"', "Range": "bytes=5000-"}, FullContent()),
    ],
)
def test_conditions_decide_before_the_range(headers: dict[str, str], answer: Decision) -> None:
    assert decision(headers) == answer


@pytest.mark.parametrize(
    ("content_type", "path", "header"),
    [
        ("video/mp4", "job_1/video.mp4", 'inline; filename="video.mp4"'),
        ("image/webp", "a/b/c.webp", 'inline; filename="c.webp"'),
        ("image/svg+xml", "logo.svg", 'attachment; filename="logo.svg"'),
        ("text/html", "page.html", 'attachment; filename="page.html"'),
        ("video/mp4", 'a/x"; filename="y\r\n', 'inline; filename="xfilenamey"'),
        ("video/mp4", "a/é", 'inline; filename="file"'),
    ],
)
def test_only_what_cannot_run_is_shown_inline(content_type: str, path: str, header: str) -> None:
    assert disposition(content_type, path) == header
