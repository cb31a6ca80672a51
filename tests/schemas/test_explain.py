"""Validation errors as customers see them."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from schemas.api import JOB_REQUEST, MediaRequest
from schemas.explain import MAX_FAULTS, explain, format_errors, render_value
from schemas.faults import FieldFault
from schemas.known_names import names_beside, nearest
from tests.schemas.json_values import values


def refused(body: Any) -> list[FieldFault]:
    with pytest.raises(ValidationError) as error:
        MediaRequest.model_validate(body)
    return explain(error.value, model=MediaRequest)


@given(values)
def test_any_value_is_rendered_short_and_printable(value: Any) -> None:
    text = render_value(value)
    assert len(text) <= 120
    assert text.encode()


def test_values_that_json_does_not_have_are_rendered_as_their_type() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert render_value(deep) == "list"
    assert render_value("x" * 10_000).endswith("…")


def test_the_message_names_each_field_and_leaves_out_values_that_are_absent() -> None:
    faults = refused({"titel": "x"})
    assert format_errors(faults) == 'url is required; titel is not a known field; did you mean title? (got "x")'


def test_an_error_never_echoes_a_megabyte() -> None:
    many = refused({"url": "http://x/", **{f"field{number}": number for number in range(100_000)}})
    assert len(many) == MAX_FAULTS
    long = refused({"url": "http://x/", "y" * 500_000: "z" * 500_000})
    assert len(json.dumps([fault.model_dump() for fault in long])) < 1000


def test_names_of_fields_can_always_be_written() -> None:
    (fault,) = refused({"url": "http://x/", "metadata": {"a\ud800": "b"}})
    assert fault.field.encode()
    assert fault.rule == "must be valid Unicode, without lone surrogates"


@pytest.mark.parametrize(
    ("location", "known"),
    [
        (("video", "metdata"), "metadata"),
        (("video", "options", "widht"), "width"),
        (("image", "options", "colour"), "background"),
        (("options",), None),
    ],
)
def test_the_known_names_are_those_of_the_object_that_the_unknown_one_is_in(
    location: tuple[str, ...], known: str | None
) -> None:
    names = names_beside(JOB_REQUEST, location)
    assert known in names if known else names == []


def test_an_option_of_the_other_kind_is_not_suggested() -> None:
    assert "end" not in names_beside(JOB_REQUEST, ("image", "options", "ende"))
    assert "end" in names_beside(JOB_REQUEST, ("video", "options", "ende"))


@pytest.mark.parametrize(("name", "end"), [("Widht", "; did you mean width?"), ("zzz", ""), ("", "")])
def test_only_a_name_that_looks_alike_is_suggested(name: str, end: str) -> None:
    assert nearest(name, ["width", "height"]) == end
