"""Base models: strict for what customers write, tolerant for what services publish to each other.

`OpenEnum` is the enum of the tolerant side. A consumer may be older than the producer, so a value that it does not know
is read as `"unknown"` instead of being refused; `schemas.reading.read_event` says which values those were.
"""

import re
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

_SURROGATE = re.compile("[\ud800-\udfff]")


def _storable(text: str) -> str:
    # Postgres refuses U+0000 in text and jsonb, and UTF-8 has no lone surrogates: say so here, not as a 500 later.
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    if _SURROGATE.search(text):
        raise ValueError("must be valid Unicode, without lone surrogates")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A string that can be stored: valid Unicode without U+0000."""


class RequestModel(BaseModel):
    """What a customer sends. Unknown fields and values of another type are refused, so that a typo is reported.

    The text below a field is its description in the published documents.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class EventModel(BaseModel):
    """What services publish and store. A reader ignores fields that it does not know, so that events can grow."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


UNKNOWN: Literal["unknown"] = "unknown"
Unknown = Literal["unknown"]
EXTENSIBLE = "x-extensible-enum"
"""The JSON Schema keyword for the values known today, of an enum that may grow."""

Value = TypeVar("Value", bound=str)


class UnknownValues(list[str]):
    """The validation context that collects each value which was read as `"unknown"`."""


class _OpenEnum:
    """Validates in Rust what is known; only an unknown value costs a call of a Python function."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        known, unknown = get_args(source)
        return core_schema.union_schema(
            [
                core_schema.literal_schema([*get_args(known), *get_args(unknown)]),
                core_schema.with_info_after_validator_function(_read_as_unknown, core_schema.str_schema()),
            ],
            mode="left_to_right",
            custom_error_type="string_type",
            serialization=core_schema.simple_ser_schema("str"),
            metadata={"pydantic_js_functions": [_json_schema([*get_args(known)])]},
        )


def _json_schema(known: list[str]) -> Any:
    def describe(_: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # What is read may have any value; a response has a known one or "unknown".
        if handler.mode == "validation":
            return {"type": "string", EXTENSIBLE: known}
        return {"type": "string", "enum": [*known, UNKNOWN]}

    return describe


def _read_as_unknown(value: str, info: ValidationInfo) -> Unknown:
    if "\x00" in value:
        # The event is stored as it came, and Postgres refuses U+0000.
        raise ValueError("must not contain the character U+0000")
    if isinstance(info.context, UnknownValues):
        info.context.append(value)
    return UNKNOWN


OpenEnum = Annotated[Value | Unknown, _OpenEnum()]
"""`OpenEnum[Status]`: one of the values of the literal `Status`, or `"unknown"` in place of any other string."""
