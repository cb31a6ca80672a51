"""Turns pydantic's errors into faults that a customer understands: the field, the rule, the value (pure)."""

import json
from typing import Any

from pydantic import ValidationError

from schemas.faults import FieldFault
from schemas.known_names import Model, names_beside, nearest

MAX_FAULTS = 50
"""Reported in one response: a body may have a hundred thousand unknown fields."""
_MAX_CHARS = 120
_ABSENT = "(absent)"


def explain(error: ValidationError, *, tagged: bool = False, model: Model | None = None) -> list[FieldFault]:
    """One fault for each refused field, in pydantic's order, at most `MAX_FAULTS`.

    `tagged` says that the model is a union discriminated by a field: pydantic then puts the tag before each location.
    With the `model`, the rule of an unknown field names the nearest known one.
    """
    faults = []
    for item in error.errors(include_url=False)[:MAX_FAULTS]:
        location = whole = item["loc"]
        if item["type"].startswith("union_tag"):
            location = (item["ctx"]["discriminator"].strip("'"),)
        elif tagged and location:
            location = location[1:]
        # pydantic marks a bad dictionary key by "[key]": the field is then the object that holds it.
        field = ".".join(str(part) for part in location if part != "[key]")
        rule = _rule(item)
        if model is not None and item["type"] == "extra_forbidden":
            rule += nearest(str(whole[-1]), names_beside(model, whole))
        faults.append(FieldFault(field=_printable(field) or "body", rule=rule, value=input_value(item, location)))
    return faults


def format_errors(faults: list[FieldFault]) -> str:
    """The faults as one sentence, for the `message` of a response and the `reason` of a dead letter."""
    return "; ".join(
        f"{fault.field} {fault.rule}" + ("" if fault.value == _ABSENT else f" (got {fault.value})") for fault in faults
    )


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
