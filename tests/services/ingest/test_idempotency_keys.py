"""Idempotency keys: how they are read, and what makes two bodies the same."""

import pytest

from services.ingest.idempotency import (
    InvalidIdempotencyKey,
    fingerprint,
    key_from_headers,
    request_key,
    submission_key,
)


def test_no_header_is_no_key() -> None:
    assert key_from_headers([]) is None


@pytest.mark.parametrize("header", ["abc", '"abc"', "  abc "])
def test_a_key_may_be_bare_or_quoted(header: str) -> None:
    assert key_from_headers([header]) == "abc"


@pytest.mark.parametrize("headers", [[""], ['""'], ["a" * 256], ["a\x01b"], ["é"], ["a", "b"]])
def test_invalid_keys_are_named(headers: list[str]) -> None:
    with pytest.raises(InvalidIdempotencyKey) as caught:
        key_from_headers(headers)
    assert caught.value.fault.field == "Idempotency-Key"


def test_a_key_of_255_characters_is_fine() -> None:
    assert key_from_headers(["a" * 255]) == "a" * 255


def test_the_order_of_fields_does_not_make_another_body() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_keys_live_a_day_and_submissions_longer_than_their_topic() -> None:
    assert request_key("/jobs", "k", {}, 0).expires_at == 24 * 3600 * 1000
    assert submission_key("job.submitted", "1", 0).expires_at == 14 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    "value", ["\ud800", 2**70, -(2**70), {"\udfff": 1}], ids=["surrogate", "large", "small", "key"]
)
def test_a_body_that_will_be_refused_has_a_fingerprint_as_well(value: object) -> None:
    assert fingerprint({"a": value, "b": 1}) == fingerprint({"b": 1, "a": value})
    assert fingerprint({"a": value}) != fingerprint({"a": 1})
