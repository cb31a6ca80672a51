"""Would a change of an event's schema break programs that read it? (pure)

Events grow by optional fields only. A reader written against the old schema must be able to read new events, and new
readers must be able to read the old events that are still in Kafka; so fields stay, keep their type, and are neither
made required nor optional.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_ANNOTATIONS = frozenset({"title", "description", "examples", "default", "$id", "$schema", "$defs"})
_SHAPE = ("properties", "required", "anyOf", "oneOf", "items", "additionalProperties", "$ref", "enum")


def breaks(old: Schema, new: Schema) -> list[str]:
    """One sentence for each change that is not safe; empty where all readers go on."""
    if not new:
        return ["is no longer there"]
    return list(dict.fromkeys(_breaks("data", old, new, old, new, frozenset())))


def _breaks(
    at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    pair = (str(old.get("$ref")), str(new.get("$ref")))
    if pair in seen:
        return
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    seen = seen | {pair} if pair != ("None", "None") else seen
    yield from _plain(at, old, new)
    yield from _fields(at, old, new)
    for name, was in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            yield from _breaks(f"{at}.{name}", was, new["properties"][name], old_root, new_root, seen)
    if "items" in old and "items" in new:
        yield from _breaks(f"{at}[]", old["items"], new["items"], old_root, new_root, seen)
    for key in ("anyOf", "oneOf"):
        yield from _choices(at, old.get(key, []), new.get(key, []), old_root, new_root, seen)


def _plain(at: str, old: Schema, new: Schema) -> Iterator[str]:
    for key in sorted({*old, *new} - _ANNOTATIONS - {*_SHAPE}):
        if old.get(key) != new.get(key):
            yield f"{at}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
    gone = [value for value in old.get("enum", []) if value not in new.get("enum", old.get("enum", []))]
    if gone:
        yield f"{at}: no longer takes {gone!r}, which old events hold"


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
