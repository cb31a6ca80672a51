"""Example values, by the schemas of the OpenAPI document (pure).

A schema's own example comes first. Without one, a value follows from an enum, a default or bounds; a free text has
none, and whoever adds such a field gives it an example: a test names those that have none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
NONE = object()
"""There is no example, and none can be made."""


class Schemas:
    """The schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resolved(self, node: Mapping[str, Any]) -> Schema:
        """The node that a reference leads to, or the node itself."""
        while "$ref" in node:
            found: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def alternatives(self, schema: Schema) -> Iterator[Schema]:
        """The schema itself, or each of those that it offers; not null."""
        schema = self.resolved(schema)
        offered = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
        if not offered:
            yield from () if schema.get("type") == "null" else (schema,)
        for each in offered:
            yield from self.alternatives(each)

    def example(self, schema: Schema) -> Any:
        """A value that the schema allows and that differs from the default, or `NONE`."""
        schema = self.resolved(schema)
        if schema.get("examples"):
            return schema["examples"][0]
        found = [value for each in self.alternatives(schema) if (value := self._of_one(each)) is not NONE]
        differing = [value for value in found if value != schema.get("default")]
        return (differing or found or [schema.get("default") or NONE])[0]

    def minimal(self, schema: Schema) -> dict[str, Any]:
        """An object with the required fields only."""
        required = schema.get("required", ())
        return {name: self.example(each) for name, each in schema.get("properties", {}).items() if name in required}

    def _first_field(self, schema: Schema) -> dict[str, Any]:
        return {name: self.example(each) for name, each in [*schema["properties"].items()][:1]}

    def _of_one(self, schema: Schema) -> Any:
        if schema.get("examples"):
            return schema["examples"][0]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            others = [value for value in schema["enum"] if value != schema.get("default")]
            return (others or schema["enum"])[-1]
        match schema.get("type"):
            case "boolean":
                return not schema.get("default", False)
            case "integer" | "number":
                return schema.get("default", schema.get("minimum", 1))
            case "object" if "properties" in schema:
                given = self.minimal(schema) or self._first_field(schema)
                return given if NONE not in given.values() else NONE
            case "array" if "items" in schema:
                item = self.example(schema["items"])
                return NONE if item is NONE else [item]
            case _:
                return NONE
