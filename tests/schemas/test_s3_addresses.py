"""Addresses of S3, and the templates of outputs."""

import pytest

from schemas.s3_addresses import (
    OutputFacts,
    S3Address,
    check_rendered,
    input_address,
    input_stem,
    output_address,
    rendered,
)

FACTS = OutputFacts(
    input="s3://uploads/2026/clip.one.mov",
    job_id="job_1",
    kind="video",
    metadata={"user_id": "usr_{date}", "tier": "gold"},
    at_ms=1_775_226_301_000,  # 2026-04-03T14:25:01Z
    format="jpeg",
    ext="jpg",
    width=1280,
    height=720,
)


def test_an_address_is_a_bucket_and_a_key_as_it_is_written() -> None:
    assert input_address("s3://uploads/a b/%20?x#y.mov") == S3Address("uploads", "a b/%20?x#y.mov")
    assert str(input_address("S3://uploads/clip.mov")) == "s3://uploads/clip.mov"


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("s3://Up_loads/a", "bucket of 3 to 63"),
        ("s3:///a", "bucket of 3 to 63"),
        ("s3://uploads", "must have a key"),
        ("s3://uploads/", "not a folder"),
        ("s3://uploads/folder/", "not a folder"),
        ("s3://uploads/a/../b", "without the parts"),
        ("s3://uploads/a\nb", "control characters"),
        ("s3://uploads/" + "é" * 513, "at most 1024 bytes, not 1026"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/x/a", "bucket of 3 to 63"),
    ],
)
def test_an_address_that_is_none_is_refused_with_its_rule(address: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        input_address(address)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{date}/{time}/{filename}.{ext}", "2026-04-03/142501/clip.one.jpg"),
        ("{job_id}-{kind}-{format}-{width}x{height}", "job_1-video-jpeg-1280x720"),
        ("{metadata.tier}/{metadata.user_id}/out", "gold/usr_{date}/out"),
        ("folder/", "folder/clip.one-video.jpg"),
        ("", "clip.one-video.jpg"),
    ],
)
def test_templates_are_replaced_once(template: str, key: str) -> None:
    assert rendered(output_address(f"s3://processed/{template}"), FACTS) == S3Address("processed", key)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("{filname}.mp4", r"unknown template \{filname\}; did you mean filename"),
        ("{metadata.}", r"unknown template \{metadata\.\}"),
        ("{}", r"unknown template \{\}"),
        ("{Date}", r"did you mean date"),
        ("{date", "belongs to no template"),
        ("date}", "belongs to no template"),
    ],
)
def test_an_unknown_template_is_refused_with_the_nearest_known_one(key: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        output_address(f"s3://processed/{key}")


def test_a_key_that_could_not_be_made_is_found_before_the_job_runs() -> None:
    known = {"input": FACTS.input, "job_id": "job_1", "kind": "video"}
    with pytest.raises(ValueError, match="no value"):
        check_rendered(output_address("s3://processed/{metadata.user}/a"), **known, metadata={"user_id": "1"})
    with pytest.raises(ValueError, match="without the parts"):
        check_rendered(output_address("s3://processed/{metadata.user}/a"), **known, metadata={"user": ".."})
    with pytest.raises(ValueError, match="at most 1024"):
        check_rendered(output_address("s3://processed/{metadata.user}/a"), **known, metadata={"user": "x" * 1023})
    check_rendered(output_address("s3://processed/{metadata.user}/a"), **known, metadata={"user": "x/y"})


@pytest.mark.parametrize(
    ("input", "stem"),
    [
        ("https://example.com/a/My%20clip.v2.mov?sig=***", "My clip.v2"),
        ("https://example.com/", "file"),
        ("https://example.com/a%2F..%2Fb.mov", "b"),
        ("https://example.com/...", "file"),
        ("s3://uploads/.hidden", "hidden"),
        ("s3://uploads/" + "x" * 300 + ".mov", "x" * 200),
    ],
)
def test_the_name_of_an_input(input: str, stem: str) -> None:
    assert input_stem(input) == stem
