"""Following links visits every job once, in either direction."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.filters import jobs_query
from services.catalog.paging import headers, numbered_headers, page_of, scan_of
from tests.services.catalog.factories import old_id

URL = "https://api.example.com/tasks"
IDS = sorted((old_id("job", number) for number in range(23)), key=lambda id: id[-26:])


def fetch(parameters: list[tuple[str, str]]) -> tuple[list[str], dict[str, str]]:
    """One page of IDS, as the database would read it."""
    query = jobs_query(parameters)
    scan = scan_of(query)
    found = [id for id in IDS if (scan.above is None or id > scan.above) and (scan.below is None or id < scan.below)]
    page = page_of((found[::-1] if scan.newest_first else found)[: query.limit + 1], query)
    return list(page.ids), headers(page, query, parameters, "https://api.example.com/jobs")


def link(fields: dict[str, str], rel: str) -> list[tuple[str, str]] | None:
    found = re.search(rf'<([^>]*)>; rel="{rel}"', fields.get("Link", ""))
    return parse_qsl(urlsplit(found[1]).query) if found else None


@given(limit=st.integers(1, 30), order=st.sampled_from(["asc", "desc"]))
def test_next_leads_through_all_and_prev_leads_back(limit: int, order: str) -> None:
    everything = IDS if order == "asc" else IDS[::-1]
    parameters: list[tuple[str, str]] | None = [("limit", str(limit)), ("order", order), ("kind", "video")]
    forth: list[list[str]] = []
    while parameters is not None:
        ids, fields = fetch(parameters)
        forth.append(ids)
        parameters = link(fields, "next")
        assert fields["Has-More"] == ("true" if parameters else "false")
        assert fields["Limit"] == str(limit)
        if parameters:
            assert ("kind", "video") in parameters
    assert [id for page in forth for id in page] == everything
    back = [forth[-1]]
    parameters = link(fields, "prev")
    while parameters is not None:
        ids, fields = fetch(parameters)
        back.insert(0, ids)
        assert fields["Has-More"] == "true"
        parameters = link(fields, "prev")
    assert [id for page in back for id in page] == everything


def test_between_two_cursors_is_what_lies_between() -> None:
    ids, fields = fetch([("after", IDS[9]), ("before", IDS[5])])
    assert ids == [IDS[8], IDS[7], IDS[6]]
    assert fields["Has-More"] == "true"


@pytest.mark.parametrize("parameters", [[("after", IDS[0])], [("before", IDS[-1])]])
def test_beyond_the_end_there_is_nothing_and_no_link(parameters: list[tuple[str, str]]) -> None:
    ids, fields = fetch(parameters)
    assert ids == []
    assert fields == {"Limit": "20", "Has-More": "false"}


@pytest.mark.parametrize(
    ("number", "more", "relations"),
    [(1, False, {}), (1, True, {"next": 2}), (3, True, {"next": 4, "prev": 2}), (3, False, {"prev": 2})],
)
def test_numbered_pages_link_their_neighbours(number: int, more: bool, relations: dict[str, int]) -> None:
    fields = numbered_headers(number, 20, more, URL)
    links = [f'<{URL}?page={page}&limit=20>; rel="{relation}"' for relation, page in relations.items()]
    assert fields.get("Link", "") == fields.get("Links", "") == ", ".join(links)
    assert (fields["Limit"], fields["Has-More"]) == ("20", "true" if more else "false")
