"""Which request bodies are accepted, and the error for every kind of bad input."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.api import (
    JOB_REQUEST,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    ImageJobRequest,
    MediaRequest,
    VideoJobRequest,
)
from schemas.explain import explain
from schemas.options import MAX_SECONDS, MAX_SIDE
from tests.schemas.json_values import values

URL = "https://example.com/clip.mov"


def job(**changes: Any) -> dict[str, Any]:
    return {"input": URL, "kind": "video", **changes}


def faults(data: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as refused:
        JOB_REQUEST.validate_python(data)
    return [(fault.field, fault.rule, fault.value) for fault in explain(refused.value, tagged=True, model=JOB_REQUEST)]


def media_faults(data: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as refused:
        MediaRequest.model_validate(data)
    return [(fault.field, fault.rule, fault.value) for fault in explain(refused.value)]


ACCEPTED = [
    job(),
    job(metadata={"user_id": "usr_abc123"}, webhook_url="https://example.com/hooks"),
    job(options={"width": 1920, "height": 1080, "format": "mp4", "quality": "high"}),
    job(options={"start": 1.5, "end": 3}, input="http://127.0.0.1:8000/a%20b.mp4?X-Amz-Signature=a%2Fb"),
    job(kind="image", options={"start": 2, "width": 641, "format": "webp"}),
    job(kind="image", options={"format": "jpg"}),
    job(metadata={f"key{number}": "" for number in range(MAX_METADATA_KEYS)}),
    job(metadata={"größe": "日本語 🎬"}),
    job(webhook_url=None, options={"width": None}),
]


@pytest.mark.parametrize("body", ACCEPTED, ids=lambda body: json.dumps(body)[:60])
def test_bodies_that_customers_write_are_accepted(body: dict[str, Any]) -> None:
    accepted = JOB_REQUEST.validate_python(body)
    assert isinstance(accepted, VideoJobRequest if body["kind"] == "video" else ImageJobRequest)


@pytest.mark.parametrize("model", [VideoJobRequest, ImageJobRequest])
def test_published_examples_are_accepted(model: type[BaseModel]) -> None:
    examples = model.model_config["json_schema_extra"]
    assert isinstance(examples, dict) and isinstance(examples["examples"], list)
    for example in examples["examples"]:
        JOB_REQUEST.validate_python(example)


def test_jpg_is_a_name_for_jpeg() -> None:
    accepted = JOB_REQUEST.validate_python(job(kind="image", options={"format": "jpg"}))
    assert accepted.options.format == "jpeg"


SIDES = f"must be at most {MAX_SIDE}"
REFUSED: list[tuple[dict[str, Any] | Any, tuple[str, str, str]]] = [
    # Unknown kinds, fields and options.
    (job(kind="hologram"), ("kind", "must be one of 'video', 'image'", '"hologram"')),
    (job(kind=None), ("kind", "must be one of 'video', 'image'", "null")),
    ({"input": URL}, ("kind", "is required", "(absent)")),
    ({"kind": "video"}, ("input", "is required", "(absent)")),
    (job(inputs=[URL]), ("inputs", "is not a known field; did you mean input?", '["https://example.com/clip.mov"]')),
    (job(options={"widht": 100}), ("options.widht", "is not a known field; did you mean width?", "100")),
    (job(kind="image", options={"end": 1}), ("options.end", "is not a known field", "1")),
    # Wrong types: nothing is coerced.
    ([job()], ("body", "must be an object", '[{"input": "https://example.com/clip.mov", "kind": "video"}]')),
    ("text", ("body", "must be an object", '"text"')),
    (None, ("body", "must be an object", "null")),
    (job(input=7), ("input", "must be a string", "7")),
    (job(input={"url": URL}), ("input", "must be a string", '{"url": "https://example.com/clip.mov"}')),
    (job(options=[]), ("options", "must be an object", "[]")),
    (job(options=None), ("options", "must be an object", "null")),
    (job(options={"width": "1280"}), ("options.width", "must be a whole number", '"1280"')),
    (job(options={"width": True}), ("options.width", "must be a whole number", "true")),
    (job(options={"width": 1280.5}), ("options.width", "must be a whole number", "1280.5")),
    (job(options={"start": "1"}), ("options.start", "must be a number", '"1"')),
    (job(options={"start": float("inf")}), ("options.start", "must be a finite number", "Infinity")),
    # Out of range.
    (job(options={"width": 0}), ("options.width", "must be at least 2", "0")),
    (job(options={"width": -2}), ("options.width", "must be at least 2", "-2")),
    (job(options={"width": MAX_SIDE + 2}), ("options.width", SIDES, str(MAX_SIDE + 2))),
    (job(options={"height": 10**100}), ("options.height", SIDES, str(10**100))),
    (job(options={"width": 641}), ("options.width", "must be even for video", "641")),
    (job(options={"start": -0.1}), ("options.start", "must be at least 0", "-0.1")),
    (job(options={"start": 1e308}), ("options.start", f"must be at most {MAX_SECONDS}", "1e+308")),
    (job(options={"start": 3, "end": 3}), ("options", "end must be after start, which is 3", '{"start": 3, "end": 3}')),
    (
        job(options={"quality": "best"}),
        ("options.quality", "must be one of 'very_low', 'low', 'medium', 'high', 'very_high'", '"best"'),
    ),
    (job(options={"format": "avi"}), ("options.format", "must be one of 'mp4', 'mov', 'webm'", '"avi"')),
    (
        job(options={"format": "mp4\n-i /etc/passwd"}),
        ("options.format", "must be one of 'mp4', 'mov', 'webm'", '"mp4\\n-i /etc/passwd"'),
    ),
    # Metadata.
    (job(metadata={"user_id": 123}), ("metadata.user_id", "must be a string", "123")),
    (job(metadata={"a": None}), ("metadata.a", "must be a string", "null")),
    (job(metadata={"a": {"b": "c"}}), ("metadata.a", "must be a string", '{"b": "c"}')),
    (job(metadata=None), ("metadata", "must be an object", "null")),
    (job(metadata="a"), ("metadata", "must be an object", '"a"')),
    (job(metadata={"": "x"}), ("metadata.", "must have at least 1 characters", '""')),
    (job(metadata={"a": "x\x00"}), ("metadata.a", "must not contain the character U+0000", '"x\\u0000"')),
    (job(metadata={"a": "\ud800"}), ("metadata.a", "must be valid Unicode, without lone surrogates", '"\\ud800"')),
    # Addresses that can be seen to be wrong.
    (job(input=""), ("input", "must have at least 1 characters", '""')),
    (job(input="clip.mov"), ("input", "must start with http://, https:// or s3://", '"clip.mov"')),
    (job(input="file:///etc/passwd"), ("input", "must start with http://, https:// or s3://", '"file:///etc/passwd"')),
    (
        job(input="ftp://example.com/x"),
        ("input", "must start with http://, https:// or s3://", '"ftp://example.com/x"'),
    ),
    (
        job(input="http:///x"),
        ("input", "must name a host, and a port from 1 to 65535 where one is given", '"http:///x"'),
    ),
    (
        job(input="https://u:p@example.com/"),
        ("input", "must not carry a user name or password", '"https://u:p@example.com/"'),
    ),
    (
        job(input="http://a b/"),
        ("input", "must be a URL without spaces, control characters or backslashes", '"http://a b/"'),
    ),
    (
        job(webhook_url="mailto:x@example.com"),
        ("webhook_url", "must start with http:// or https://", '"mailto:x@example.com"'),
    ),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED, ids=lambda part: json.dumps(part, default=str)[:70])
def test_bad_input_names_the_field_the_rule_and_the_value(body: Any, expected: tuple[str, str, str]) -> None:
    assert faults(body) == [expected]


def test_every_bad_field_is_named_at_once() -> None:
    body = job(input="x", options={"width": 1, "nope": 1}, metadata={"a": 1}, extra=1)
    assert [field for field, _, _ in faults(body)] == ["input", "metadata.a", "options.width", "options.nope", "extra"]


def test_metadata_is_bounded_in_all() -> None:
    too_many = faults(job(metadata={f"key{number}": "" for number in range(MAX_METADATA_KEYS + 1)}))
    assert too_many[0][:2] == ("metadata", f"must have at most {MAX_METADATA_KEYS} keys, has {MAX_METADATA_KEYS + 1}")
    too_long = faults(job(metadata={"a": "x" * 1025}))
    assert too_long[0][:2] == ("metadata.a", "must have at most 1024 characters")
    too_much = faults(job(metadata={f"key{number}": "x" * 1000 for number in range(17)}))
    assert too_much[0][0] == "metadata" and f"at most {MAX_METADATA_BYTES} bytes" in too_much[0][1]
    assert len(too_much[0][2]) <= 120


def test_the_length_of_addresses_is_bounded_and_the_sentence_names_the_limit() -> None:
    def address(length: int) -> str:
        return "https://example.com/?t=".ljust(length, "x")

    assert JOB_REQUEST.validate_python(job(webhook_url=address(2048), input=address(8192)))
    assert faults(job(webhook_url=address(2049)))[0][:2] == ("webhook_url", "must have at most 2048 characters")
    assert faults(job(input=address(8193)))[0][:2] == ("input", "must have at most 8192 characters")
    assert media_faults({"url": address(8193)})[0][:2] == ("url", "must have at most 8192 characters")


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("option", ["width", "height", "format", "quality", "start", "end", "fit"])
@given(value=values)
def test_no_value_of_an_option_does_worse_than_be_refused(kind: str, option: str, value: Any) -> None:
    try:
        JOB_REQUEST.validate_python(job(kind=kind, options={option: value}))
    except ValidationError as refused:
        assert explain(refused, tagged=True)


@pytest.mark.parametrize("model", [JOB_REQUEST, TypeAdapter(MediaRequest)], ids=["job", "media"])
@given(
    body=values | st.dictionaries(st.sampled_from(["input", "kind", "url", "metadata", "options", "folder"]), values)
)
def test_no_body_does_worse_than_be_refused(model: TypeAdapter[Any], body: Any) -> None:
    try:
        model.validate_python(body)
    except ValidationError as refused:
        for fault in explain(refused, tagged=model is JOB_REQUEST):
            json.dumps(fault.model_dump(), ensure_ascii=False).encode()


@given(
    text=st.text(st.characters(exclude_categories=())),
    scheme=st.sampled_from(["http://", "https://", "http:", "//", ""]),
)
def test_no_address_does_worse_than_be_refused(text: str, scheme: str) -> None:
    try:
        JOB_REQUEST.validate_python(job(input=scheme + text))
    except ValidationError as refused:
        assert [fault.field for fault in explain(refused, tagged=True)] == ["input"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"url": "file:///etc/passwd"}, ("url", "must start with http:// or https://")),
        (
            {"filename": "../up.mp4"},
            ("filename", "must be letters, digits, _ and -, with at most one extension behind a dot"),
        ),
        (
            {"filename": "a.tar.gz"},
            ("filename", "must be letters, digits, _ and -, with at most one extension behind a dot"),
        ),
        ({"filename": "a\x00"}, ("filename", "must not contain the character U+0000")),
        ({"filename": ""}, ("filename", "must have at least 1 characters")),
        ({"folder": "/abs"}, ("folder", "must be names of letters, digits, _ and -, separated by single slashes")),
        ({"folder": "a//b"}, ("folder", "must be names of letters, digits, _ and -, separated by single slashes")),
        ({"folder": "a/.."}, ("folder", "must be names of letters, digits, _ and -, separated by single slashes")),
        ({"folder": "a/b/"}, ("folder", "must be names of letters, digits, _ and -, separated by single slashes")),
        ({"title": "x" * 501}, ("title", "must have at most 500 characters")),
        ({"title": 5}, ("title", "must be a string")),
        ({"metadata": {"a": 1}}, ("metadata.a", "must be a string")),
        ({"async": True}, ("async", "is not a known field")),
    ],
    ids=lambda part: str(part)[:60],
)
def test_bad_media_bodies_name_the_field_and_the_rule(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert [found[:2] for found in media_faults({"url": URL} | changes)] == [expected]


def test_a_media_body_is_accepted_with_everything() -> None:
    names = {"title": "A day", "filename": "day.mp4", "folder": "2024/summer"}
    body = {"url": URL, **names, "metadata": {"a": "b"}, "strip": True, "overwrite": True}
    assert MediaRequest.model_validate(body).model_dump() == body
    assert MediaRequest.model_validate({"url": URL}).metadata == {}
