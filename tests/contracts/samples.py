"""Instances of a JSON Schema of ours: with every field and without the optional ones, and once for each enum value."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.base import EXTENSIBLE

Schema = Mapping[str, Any]


def instances(schema: Schema) -> Iterator[Any]:
    """The least instance, the fullest one, and the fullest one with each further value of each enum."""
    yield _build(schema, schema, full=False)
    full = _build(schema, schema, full=True)
    yield full
    for path, values in dict(_enums(schema, schema, ())).items():
        for value in values:
            yield _with(full, path, value)


def _build(schema: Schema, root: Schema, *, full: bool) -> Any:
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        # `T | None`: null is the least, T the fullest.
        chosen = schema["anyOf"][0] if full else schema["anyOf"][-1]
        return _build(chosen, root, full=full)
    if "const" in schema:
        return schema["const"]
    if values := _values(schema):
        return values[0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            built = {
                name: _build(each, root, full=full)
                for name, each in properties.items()
                if full or name in schema.get("required", [])
            }
            return built if properties else ({"a": "b"} if full else {})
        case "array":
            return [_build(schema["items"], root, full=full)] if full else []
        case "string":
            return "text"
        case "integer":
            return 7
        case "number":
            return 0.5
        case "boolean":
            return True
        case "null":
            return None
        case other:
            raise AssertionError(f"no instance for the type {other!r}")


def _enums(schema: Schema, root: Schema, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    schema = _resolved(schema, root)
    if values := _values(schema):
        yield path, values
    for name, each in schema.get("properties", {}).items():
        yield from _enums(each, root, (*path, name))
    if "items" in schema:
        yield from _enums(schema["items"], root, (*path, 0))
    if "anyOf" in schema:
        yield from _enums(schema["anyOf"][0], root, path)


def _values(schema: Schema) -> list[Any]:
    return [*(schema.get("enum") or schema.get(EXTENSIBLE) or [])]


def _with(instance: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(instance, list):
        return [_with(each, rest, value) if index == first else each for index, each in enumerate(instance)]
    return {name: _with(each, rest, value) if name == first else each for name, each in instance.items()}


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema
