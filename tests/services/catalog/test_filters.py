"""Query strings become validated queries, or errors that name each parameter."""

from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.filters import (
    MAX_TASKS,
    MediaFilter,
    QueryError,
    jobs_query,
    media_filter,
    media_page,
    no_parameters,
    pair_id,
    parse_query_string,
    tasks_page,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
JOB = "job_01h455vb4pex5vsknk084sn02q"


def media(query_string: str) -> MediaFilter:
    return media_filter(parse_query_string(query_string))


def refused(query_string: str, kind: str = "media") -> dict[str, str]:
    with pytest.raises(QueryError) as refusal:
        (media_filter if kind == "media" else jobs_query)(parse_query_string(query_string))
    return {fault.field: fault.rule for fault in refusal.value.faults}


def test_nothing_asked_is_the_first_page_of_everything_newest_first() -> None:
    filter = media("").query
    assert (filter.page, filter.limit, filter.sort, filter.order, filter.kind) == (1, 12, "created", "desc", None)
    query = jobs_query([])
    assert (query.limit, query.order, query.after, query.before) == (20, "desc", None, None)


def test_the_published_example_of_two_filters_is_read() -> None:
    filter = media("metadata.user_id=123&metadata.source=YourApp/iOS")
    assert filter.metadata == (("user_id", "123"), ("source", "YourApp/iOS"))
    assert filter.described == {"user_id": "123", "source": "YourApp/iOS"}


def test_a_key_may_have_dots() -> None:
    assert media("metadata.a.b=c").metadata == (("a.b", "c"),)


def test_a_plus_is_a_space_as_in_forms_and_percent_2b_is_a_plus() -> None:
    assert media("metadata.name=a+b%20c%2Bd").metadata == (("name", "a b c+d"),)


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=5))
def test_whatever_was_encoded_comes_out_as_it_was(metadata: dict[str, str]) -> None:
    for how in (quote, quote_plus):
        encoded = urlencode({f"metadata.{key}": value for key, value in metadata.items()}, quote_via=how)
        assert dict(media(encoded).metadata) == metadata


def test_the_same_pair_twice_is_one_and_two_values_of_a_key_are_both_asked_for() -> None:
    assert media("metadata.a=1&metadata.a=1").metadata == (("a", "1"),)
    assert media("metadata.a=1&metadata.a=2").metadata == (("a", "1"), ("a", "2"))


def test_a_metadata_key_named_kind_does_not_hide_the_filter_by_kind() -> None:
    assert media("kind=video&metadata.kind=x").described == {"kind": "video", "metadata.kind": "x"}
    assert media("metadata.kind=x").described == {"kind": "x"}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", {"limit": "must be at least 1"}),
        ("limit=-1", {"limit": "must be at least 1"}),
        ("limit=101", {"limit": "must be at most 100"}),
        ("limit=1000000000", {"limit": "must be at most 100"}),
        ("limit=x", {"limit": "must be a whole number"}),
        ("limit=", {"limit": "must be a whole number"}),
        ("limit=1.0", {"limit": "must be a whole number"}),
        ("limit=%D9%A1", {"limit": "must be a whole number"}),
        ("limit=" + "9" * 5000, {"limit": "must be a whole number"}),
        ("page=0", {"page": "must be at least 1"}),
        ("limit=1&limit=2", {"limit": "must be given once"}),
        ("sort=name", {"sort": None}),
        ("sort=created_at;DROP TABLE media", {"sort": None}),
        ("order=up", {"order": None}),
        ("kind=Video", {"kind": None}),
        ("metadata=1", {"metadata": "is not a known parameter; did you mean metadata.KEY?"}),
        ("metadata.=1", {"metadata.": "is not a known parameter; did you mean metadata.KEY?"}),
        (
            "Limit=1&cursor=2",
            {"Limit": "is not a known parameter; did you mean limit?", "cursor": "is not a known parameter"},
        ),
        ("metadata.a=%ff", {"query": "must be percent-encoded UTF-8"}),
    ],
)
def test_a_bad_parameter_is_named_with_its_rule(query: str, fields: dict[str, str | None]) -> None:
    found = refused(query)
    assert found.keys() == fields.keys()
    for field, rule in fields.items():
        assert rule is None or found[field] == rule


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=nonsense", "after"),
        ("before=med_01h455vb4pex5vsknk084sn02q", "before"),
        (f"after={JOB}x", "after"),
        (f"after={JOB.upper()}", "after"),
        ("status=done", "status"),
        ("kind=audio", "kind"),
        ("input=%00", "input"),
        ("page=1", "page"),
        ("metadata=1", "metadata"),
        ("created_after=yesterday", "created_after"),
        ("created_before=-1", "created_before"),
        ("created_before=2026-11-27", "created_before"),
    ],
)
def test_lists_of_jobs_refuse_likewise(query: str, field: str) -> None:
    assert list(refused(query, "jobs")) == [field]


def test_lists_of_jobs_take_metadata_and_times() -> None:
    query = jobs_query(parse_query_string("metadata.a=1&created_after=1700000000000&metadata.b.c=&metadata.a=1"))
    assert query.metadata == (("a", "1"), ("b.c", ""))
    assert (query.created_after, query.created_before) == (1_700_000_000_000, None)


@pytest.mark.parametrize(
    ("unknown", "known"),
    [
        ("states", "status"),
        ("create_after", "created_after"),
        ("created_until", "created_after"),
        ("meta.user_id", None),
        ("metadata_user", "metadata.KEY"),
        ("x" * 5000, None),
    ],
)
def test_an_unknown_parameter_is_answered_with_the_nearest_known_one(unknown: str, known: str | None) -> None:
    (rule,) = refused(f"{unknown}=1", "jobs").values()
    assert rule == "is not a known parameter" + (f"; did you mean {known}?" if known else "")


def test_more_filters_than_an_item_can_have_keys_are_refused() -> None:
    for kind in ("media", "jobs"):
        assert list(refused("&".join(f"metadata.k{n}=v" for n in range(65)), kind)) == ["metadata"]
    assert list(refused("&".join(f"metadata.k{n}=v" for n in range(10_000)))) == ["query"]


def test_addresses_without_parameters_name_those_they_get() -> None:
    no_parameters(parse_query_string(""))
    with pytest.raises(QueryError) as refusal:
        no_parameters(parse_query_string("a=1"))
    assert refusal.value.faults[0].field == "a"


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_different_pairs_have_different_hashes(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (pair_id(*one) == pair_id(*other)) == (one == other)


@pytest.mark.parametrize("parse", [tasks_page, media_page])
def test_pages_of_version_2025_08_20_have_their_defaults(parse: Any) -> None:
    assert (parse([]).page, parse([]).limit) == (1, 20)
    query = parse([("page", "3"), ("limit", "100")])
    assert (query.page, query.limit) == (3, 100)


@pytest.mark.parametrize("parse", [tasks_page, media_page])
@pytest.mark.parametrize(
    ("parameters", "field", "rule"),
    [
        ([("page", "0")], "page", "must be at least 1"),
        ([("limit", "101")], "limit", "must be at most 100"),
        ([("pgae", "1")], "pgae", "is not a known parameter; did you mean page?"),
        ([("metadata.a", "b")], "metadata.a", "is not a known parameter"),
        ([("page", "1"), ("page", "2")], "page", "must be given once"),
    ],
)
def test_pages_of_version_2025_08_20_take_two_parameters_and_no_other(
    parse: Any, parameters: Any, field: str, rule: str
) -> None:
    with pytest.raises(QueryError) as refusal:
        parse(parameters)
    assert [(fault.field, fault.rule) for fault in refusal.value.faults] == [(field, rule)]


def test_numbered_pages_of_tasks_reach_no_further_than_is_counted() -> None:
    assert tasks_page([("page", "10001"), ("limit", "100")]).before == MAX_TASKS
    with pytest.raises(QueryError):
        tasks_page([("page", "10002"), ("limit", "100")])
