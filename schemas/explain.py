"""From pydantic's errors to the customer's words: the field, the rule, the value seen."""

import json
from typing import Any

from pydantic import ValidationError

from schemas.faults import FieldFault

_SHOWN_CHARS = 120
MAX_FAULTS = 50
"""Named in one answer: a body may hold a hundred thousand unknown fields."""
_ABSENT = "(absent)"


def shown(value: Any) -> str:
    """A value as JSON, shortened: an error must not echo a megabyte."""
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _rule(error: Any) -> str:
    context = error.get("ctx") or {}
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a known field"
        case "literal_error":
            return f"must be one of {context['expected'].replace(' or ', ', ')}"
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
        case "union_tag_invalid":
            return f"must be one of {context['expected_tags']}"
        case "union_tag_not_found":
            return "is required"
        case "string_too_short" | "too_short":
            return f"must have at least {context['min_length']} characters"
        case "string_too_long" | "too_long":
            return f"must have at most {context['max_length']} characters"
        case "value_error":
            return str(context["error"])
        case _:
            return str(error["msg"])


def _seen(error: Any, location: tuple[Any, ...]) -> str:
    if error["type"] in ("missing", "union_tag_not_found"):
        return _ABSENT
    value = error["input"]
    if error["type"] == "union_tag_invalid" and isinstance(value, dict):
        value = value.get(location[0])
    return shown(value)


def explain(error: ValidationError, *, tagged: bool = False) -> list[FieldFault]:
    """Each refused field once, in the order in which pydantic met them; of very many the first ones.

    `tagged` says that the model is a union told apart by a field: pydantic then puts the tag before each location.
    """
    faults = []
    for item in error.errors(include_url=False)[:MAX_FAULTS]:
        location = item["loc"]
        if item["type"].startswith("union_tag"):
            location = (item["ctx"]["discriminator"].strip("'"),)
        elif tagged and location:
            location = location[1:]
        # "[key]" is pydantic's mark for a bad dictionary key: the field is then the object that holds it.
        parts = [str(part) for part in location if part != "[key]"]
        faults.append(
            FieldFault(field=_printable(".".join(parts)) or "body", rule=_rule(item), value=_seen(item, location))
        )
    return faults


def sentence(faults: list[FieldFault]) -> str:
    """The faults as one sentence, for the `message` of an answer."""
    return "; ".join(
        f"{fault.field} {fault.rule}" + ("" if fault.value == _ABSENT else f" (got {fault.value})") for fault in faults
    )


def _printable(name: str) -> str:
    # Names come from the customer, too: as long as they like, and with characters that no encoding has.
    text = name.encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
