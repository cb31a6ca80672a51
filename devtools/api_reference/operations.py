"""The operations of the OpenAPI document: what each takes, and a request that is its example (pure)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from devtools.api_reference.examples import NONE, Schema, Schemas

ADDRESS, KEY = "ITTYBIT_API_URL", "ITTYBIT_API_KEY"
"""The variables of the shell that the examples use."""
_METHODS = ("get", "post", "put", "patch", "delete", "options")


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of a body: where it is, what may be in it, and an example, or `NONE`."""

    name: str
    where: str
    schema: Schema
    description: str
    required: bool
    example: Any


@dataclass(frozen=True)
class Body:
    """One form that the body of an operation may have. `options` are the fields of the objects in it, by their name."""

    title: str
    description: str
    fields: list[Field]
    options: Mapping[str, list[Field]]
    example: Any
    minimal: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method of one path. `needs_key`: it has to be sent with an API key."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    tag: str
    needs_key: bool
    streams: bool
    parameters: list[Field] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    binary_body: bool = False
    responses: Mapping[str, str] = field(default_factory=dict)

    def of(self, where: str) -> list[Field]:
        return [each for each in self.parameters if each.where == where]

    @property
    def address(self) -> str:
        """The path with the examples of its parameters in place of their names, and what the query needs."""
        path = self.path
        for each in self.of("path"):
            if each.example is not NONE:
                path = path.replace(f"{{{each.name}}}", quote(str(each.example), safe="/"))
        needed = [f"{each.name}={quote(str(each.example))}" for each in self.of("query") if each.required]
        return path + (f"?{'&'.join(needed)}" if needed else "")


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All operations, in the order of the document."""
    schemas = Schemas(document)
    return [
        _operation(schemas, method, path, item)
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]


def missing_examples(operation: Operation) -> Iterator[str]:
    """What of the operation has no example."""
    for each in operation.parameters:
        if each.example is NONE:
            yield f"{operation.id}: parameter {each.name}"
    for body in operation.bodies:
        if body.example is NONE:
            yield f"{operation.id}: {body.title}"
        for each in body.fields:
            if each.example is NONE and each.name not in body.options:
                yield f"{operation.id}: {body.title}.{each.name}"
        for name, fields in body.options.items():
            for each in fields:
                if each.example is NONE:
                    yield f"{operation.id}: {body.title}.{name}.{each.name}"


def _operation(schemas: Schemas, method: str, path: str, item: Mapping[str, Any]) -> Operation:
    given = item[method]
    parameters = [schemas.resolved(each) for each in (*item.get("parameters", ()), *given.get("parameters", ()))]
    content = given.get("requestBody", {}).get("content", {})
    responses = {status: schemas.resolved(each) for status, each in given["responses"].items()}
    return Operation(
        id=given["operationId"],
        method=method.upper(),
        path=path,
        summary=given["summary"],
        description=given.get("description", ""),
        tag=given["tags"][0],
        needs_key=given.get("security") != [],
        streams=any("text/event-stream" in each.get("content", {}) for each in responses.values()),
        parameters=[_parameter(schemas, each) for each in parameters],
        bodies=[_body(schemas, each) for each in _forms(schemas, content.get("application/json", {}).get("schema"))],
        binary_body=bool(content) and "application/json" not in content,
        responses={status: each["description"] for status, each in responses.items()},
    )


def _forms(schemas: Schemas, schema: Schema | None) -> Iterator[Schema]:
    """Each form of the body; of a list of bodies, the list."""
    if schema is not None:
        yield from schemas.alternatives(schema)


def _parameter(schemas: Schemas, given: Mapping[str, Any]) -> Field:
    own = given.get("example", NONE)
    example = own if own is not NONE else schemas.example(given["schema"])
    required = given.get("required", False)
    return Field(given["name"], given["in"], given["schema"], given.get("description", ""), required, example)


def _body(schemas: Schemas, schema: Schema) -> Body:
    fields = _fields(schemas, schema)
    options = {
        each.name: inner
        for each in fields
        for found in schemas.alternatives(each.schema)
        if (inner := _fields(schemas, found))
    }
    return Body(
        title=schema.get("title", "A list of these"),
        description=schema.get("description", ""),
        fields=fields,
        options=options,
        example=schemas.example(schema),
        minimal=schemas.minimal(schema),
    )


def _fields(schemas: Schemas, schema: Schema) -> list[Field]:
    required = schema.get("required", ())
    return [
        Field(name, "body", each, each.get("description", ""), name in required, schemas.example(each))
        for name, each in schema.get("properties", {}).items()
    ]


def curl(operation: Operation) -> str:
    """The request of the operation as a command of a shell."""
    words = ["curl -sS"]
    if operation.method != "GET":
        words.append(f"-X {operation.method}")
    if operation.streams:
        words.append("-N --max-time 5")
    first = " ".join([*words, f'"${ADDRESS}{operation.address}"'])
    lines = [first]
    if operation.needs_key:
        lines.append(f'-H "Authorization: Bearer ${KEY}"')
    if operation.bodies and operation.bodies[0].example is not NONE:
        lines.append('-H "Content-Type: application/json"')
        body = json.dumps(operation.bodies[0].example, ensure_ascii=False, indent=2)
        lines.append("-d '" + body.replace("'", "'\\''") + "'")
    if operation.binary_body:
        lines.append("--data-binary @clip.mov")
    return " \\\n  ".join(lines)
