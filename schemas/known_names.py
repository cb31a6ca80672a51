"""Which fields an object of a request may have, and which of them an unknown name was probably meant to be (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

Model = type[BaseModel] | TypeAdapter[Any]
_MAX_CHARS = 120


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known one that looks most like it, or nothing."""
    names = {each.lower(): each for each in known}
    found = get_close_matches(name[:_MAX_CHARS].lower(), names, n=1, cutoff=0.65)
    return f"; did you mean {names[found[0]]}?" if found else ""


def names_beside(model: Model, location: Sequence[Any]) -> list[str]:
    """The known fields of the object that the last part of `location` is in, by the schema of the model.

    `location` is that of one of pydantic's errors, with the tags of discriminated unions.
    """
    schema = _schema(model)
    nodes: list[Mapping[str, Any]] = [schema]
    for part in location[:-1]:
        nodes = [inner for node in nodes for inner in _inner(schema, node, part)]
    return list(dict.fromkeys(name for node in nodes for each in _all(schema, node) for name in _properties(each)))


@lru_cache(maxsize=64)
def _schema(model: Model) -> Mapping[str, Any]:
    return model.json_schema() if isinstance(model, TypeAdapter) else model.model_json_schema()


def _inner(schema: Mapping[str, Any], node: Mapping[str, Any], part: Any) -> Iterator[Mapping[str, Any]]:
    for each in _all(schema, node):
        if isinstance(part, int):
            yield from [each["items"]] if "items" in each else []
        elif part in _properties(each):
            yield each["properties"][part]
        elif part in (tags := each.get("discriminator", {}).get("mapping", {})):
            yield {"$ref": tags[part]}


def _all(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The node, and what it refers to or is one of; not the members of a union that a tag chooses from."""
    if "$ref" in node:
        yield from _all(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
        return
    yield node
    if "discriminator" not in node:
        for each in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
            yield from _all(schema, each)


def _properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = node.get("properties", {})
    return properties
