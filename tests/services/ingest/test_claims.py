"""Idempotency keys: how they are read, and what makes two bodies the same."""

import pytest

from services.ingest.claims import BadKey, by_key, by_submission, fingerprint, key_of


def test_no_header_is_no_key() -> None:
    assert key_of([]) is None


@pytest.mark.parametrize("header", ["abc", '"abc"', "  abc "])
def test_a_key_may_be_bare_or_quoted(header: str) -> None:
    assert key_of([header]) == "abc"


@pytest.mark.parametrize("headers", [[""], ['""'], ["a" * 256], ["a\x01b"], ["é"], ["a", "b"]])
def test_unusable_keys_are_named(headers: list[str]) -> None:
    with pytest.raises(BadKey) as caught:
        key_of(headers)
    assert caught.value.fault.field == "Idempotency-Key"


def test_a_key_of_255_characters_is_fine() -> None:
    assert key_of(["a" * 255]) == "a" * 255


def test_the_order_of_fields_does_not_make_another_body() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_keys_live_a_day_and_submissions_longer_than_their_topic() -> None:
    assert by_key("/jobs", "k", {}, 0).expires_at == 24 * 3600 * 1000
    assert by_submission("job.submitted", "1", 0).expires_at == 14 * 24 * 3600 * 1000
