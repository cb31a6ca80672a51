"""Whether a change of an event's schema would break programs that read it (pure).

Events grow by optional fields. A reader of the old schema must be able to read new events, and a reader of the new
schema the old events that are still in Kafka; so fields stay, keep their type, and are neither made required nor
optional. A value may be added to an enum only where the old reader takes values that it does not know, which its schema
says by `x-extensible-enum` in place of `enum`. A bound may be added where there was none: what lies beyond it could not
be stored by any release. A bound may not change. What customers submit is read by ingest alone: there enums may grow
and bounds may change.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.base import EXTENSIBLE

Schema = Mapping[str, Any]
_BOUNDS = frozenset({"minimum", "maximum", "minLength", "maxLength", "pattern"})
_ANNOTATIONS = frozenset({"title", "description", "examples", "default", "$id", "$schema", "$defs"})
_COMPARED_APART = frozenset(
    {"properties", "required", "anyOf", "oneOf", "items", "additionalProperties", "$ref", "enum", EXTENSIBLE}
)
_GROWN = "and old readers refuse values that they do not know"


def breaks(old: Schema, new: Schema, *, submitted: bool = False) -> list[str]:
    """One sentence for each change that is not safe; empty where all readers can go on.

    `submitted` says that customers write it.
    """
    if not new:
        return ["is no longer there"]
    changes = dict.fromkeys(_breaks("data", old, new, old, new, frozenset()))
    return [change for change in changes if not (submitted and _is_safe_in_submissions(change))]


def _is_safe_in_submissions(change: str) -> bool:
    return change.endswith(_GROWN) or any(f": {bound} was " in change for bound in _BOUNDS)


def _breaks(
    at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    pair = (str(old.get("$ref")), str(new.get("$ref")))
    if pair in seen:
        return
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    seen = seen | {pair} if pair != ("None", "None") else seen
    for key in sorted({*old, *new} - _ANNOTATIONS - _COMPARED_APART):
        if old.get(key) != new.get(key) and not (key in _BOUNDS and key not in old):
            yield f"{at}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
    yield from _values(at, old, new)
    yield from _fields(at, old, new)
    for name, was in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            yield from _breaks(f"{at}.{name}", was, new["properties"][name], old_root, new_root, seen)
    if "items" in old and "items" in new:
        yield from _breaks(f"{at}[]", old["items"], new["items"], old_root, new_root, seen)
    for key in ("anyOf", "oneOf"):
        yield from _choices(at, old.get(key, []), new.get(key, []), old_root, new_root, seen)


def _values(at: str, old: Schema, new: Schema) -> Iterator[str]:
    """Compares enums. One that was plain may become open, so that it can grow a release later."""
    before, after = (schema.get("enum", schema.get(EXTENSIBLE, [])) for schema in (old, new))
    if bool(before) != bool(after) or (EXTENSIBLE in old and "enum" in new):
        yield f"{at}: its values are {'listed' if 'enum' in new else 'not named'} now"
        return
    gone = [value for value in before if value not in after]
    if gone:
        yield f"{at}: no longer takes {gone!r}, which old events hold"
    added = [value for value in after if value not in before]
    if added and EXTENSIBLE not in old:
        yield f"{at}: may be {added!r} now, {_GROWN}"


def _fields(at: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name not in after:
            yield f"{at}.{name} is gone"
    for name in new.get("required", []):
        if name not in old.get("required", []):
            yield f"{at}.{name} is required now, and old events need not have it"
    for name in old.get("required", []):
        if name not in new.get("required", []) and name in after:
            yield f"{at}.{name} may be absent now, and old readers count on it"


def _choices(
    at: str,
    old: list[Schema],
    new: list[Schema],
    old_root: Schema,
    new_root: Schema,
    seen: frozenset[tuple[str, str]],
) -> Iterator[str]:
    for position, was in enumerate(old):
        changes = [list(_breaks(at, was, each, old_root, new_root, seen)) for each in new]
        if not any(not change for change in changes):
            # The one in the same place is the one that was meant, if any is.
            yield from changes[position] if position < len(changes) else [f"{at}: one of its types is gone"]


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema
