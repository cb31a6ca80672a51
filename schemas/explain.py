"""Turns pydantic's errors into faults that a customer understands: the field, the rule, the value (pure)."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from schemas.faults import FieldFault

MAX_FAULTS = 50
"""Reported in one response: a body may have a hundred thousand unknown fields."""
_MAX_CHARS = 120
_ABSENT = "(absent)"


def explain(error: ValidationError, *, tagged: bool = False) -> list[FieldFault]:
    """One fault for each refused field, in pydantic's order, at most `MAX_FAULTS`.

    `tagged` says that the model is a union discriminated by a field: pydantic then puts the tag before each location.
    """
    faults = []
    for item in error.errors(include_url=False)[:MAX_FAULTS]:
        location = item["loc"]
        if item["type"].startswith("union_tag"):
            location = (item["ctx"]["discriminator"].strip("'"),)
        elif tagged and location:
            location = location[1:]
        # pydantic marks a bad dictionary key by "[key]": the field is then the object that holds it.
        field = ".".join(str(part) for part in location if part != "[key]")
        faults.append(
            FieldFault(field=_printable(field) or "body", rule=_rule(item), value=input_value(item, location))
        )
    return faults


def format_errors(faults: list[FieldFault]) -> str:
    """The faults as one sentence, for the `message` of a response and the `reason` of a dead letter."""
    return "; ".join(
        f"{fault.field} {fault.rule}" + ("" if fault.value == _ABSENT else f" (got {fault.value})") for fault in faults
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known one that looks most like it, or nothing."""
    names = {each.lower(): each for each in known}
    found = get_close_matches(name[:_MAX_CHARS].lower(), names, n=1, cutoff=0.65)
    return f"; did you mean {names[found[0]]}?" if found else ""


def render_value(value: Any) -> str:
    """A value as JSON, cut to 120 characters: an error must not echo a megabyte."""
    if isinstance(value, bytes):
        value = value[: 4 * _MAX_CHARS].decode(errors="replace")
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return _shortened(text)


def input_value(error: Any, location: tuple[Any, ...]) -> str:
    """The value that one of pydantic's errors is about, rendered; `(absent)` where a field is missing."""
    if error["type"] in ("missing", "union_tag_not_found"):
        return _ABSENT
    value = error["input"]
    if error["type"] == "union_tag_invalid" and isinstance(value, dict):
        value = value.get(location[0])
    return render_value(value)


def _rule(error: Any) -> str:
    context = error.get("ctx") or {}
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return "is required"
        case "extra_forbidden":
            return "is not a known field"
        case "literal_error":
            return f"must be one of {context['expected'].replace(' or ', ', ')}"
        case "union_tag_invalid":
            return f"must be one of {context['expected_tags']}"
        case "json_invalid":
            return f"must be JSON: {context['error']}"
        case "string_type":
            return "must be a string"
        case "string_unicode":
            return "must be valid Unicode, without lone surrogates"
        case "int_type" | "int_from_float":
            return "must be a whole number"
        case "float_type":
            return "must be a number"
        case "finite_number":
            return "must be a finite number"
        case "bool_type":
            return "must be true or false"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be an object"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "string_too_short" | "too_short":
            return f"must have at least {context['min_length']} characters"
        case "string_too_long" | "too_long":
            return f"must have at most {context['max_length']} characters"
        case "value_error":
            return str(context["error"])
        case _:
            return str(error["msg"])


def _printable(name: str) -> str:
    # Customers choose the names of metadata keys: of any length, and with characters that UTF-8 cannot encode.
    return _shortened(name.encode(errors="backslashreplace").decode())


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"
