"""The text of docs/api.md (pure)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap
from typing import Any

from devtools.api_reference.examples import NONE, Schemas
from devtools.api_reference.operations import ADDRESS, KEY, Body, Field, Operation, curl, operations
from schemas.versions import DEFAULT, NEWEST, VERSION_HEADER

WIDTH = 120
_HEAD = f"""\
# The HTTP API

Written by `make contracts` from the OpenAPI document, which is made of the code; a test runs every example.

The examples need two variables: `{ADDRESS}`, the address of your installation, and `{KEY}`, a key of it
(`bitmill up` prints both). Every response has the header `X-Request-Id`, which leads to the logs.

- **Jobs and tasks** are JSON without an envelope, with times in Unix milliseconds. **Media items** are in an envelope,
  with times in ISO 8601.
- **Lists of jobs** have cursors: `after` and `before` are ids, the headers `Link`, `Has-More` and `Limit` lead on.
  **Lists of media items** have numbered pages, with the totals in `meta`.
- **Repetitions**: a POST with the header `Idempotency-Key` takes effect once within 24 hours.
- **Refusals** have one shape, `{{"kind", "message", "errors", "request_id"}}`; below `/media` it is in `error` of the
  envelope. [errors.md](errors.md) has the cause and the cure of each `kind`. An unknown field or parameter is refused,
  and the nearest known one is named.
- **Versions**: with the header `{VERSION_HEADER}: {NEWEST}` requests and responses below `/tasks` and `/media` have
  the shapes of the published clients of that version, without an envelope; without it those described here
  ({DEFAULT}). A version that is not served is refused.

"""


def document(openapi: Mapping[str, Any]) -> str:
    """The whole document."""
    schemas = Schemas(openapi)
    found = operations(openapi)
    sections = [_HEAD]
    sections += [_contents(openapi["tags"], found)]
    for tag in openapi["tags"]:
        sections.append(f"# {tag['name'].capitalize()}\n\n{tag['description']}\n\n")
        sections += [_operation(schemas, each) for each in found if each.tag == tag["name"]]
    return "".join(sections).rstrip() + "\n"


def _contents(tags: Iterable[Mapping[str, Any]], found: Iterable[Operation]) -> str:
    rows = [(f"`{each.method} {each.path}`", each.summary) for tag in tags for each in found if each.tag == tag["name"]]
    return "\n".join(_table(("operation", "what it does"), rows)) + "\n\n"


def _operation(schemas: Schemas, operation: Operation) -> str:
    lines = [f"## {operation.method} {operation.path}", "", f"{operation.summary}.", ""]
    if operation.description:
        lines += [*wrap(operation.description, WIDTH), ""]
    lines += ["```bash", curl(operation), "```", ""]
    if operation.parameters:
        rows = [(f"`{each.name}`", each.where, *_described(schemas, each)) for each in operation.parameters]
        lines += [*_table(("parameter", "in", "type", "default", "meaning", "example"), rows), ""]
    for body in operation.bodies:
        lines += _body(schemas, body)
    lines += [*_table(("status", "meaning"), ((f"`{code}`", text) for code, text in operation.responses.items())), ""]
    return "\n".join(lines) + "\n"


def _body(schemas: Schemas, body: Body) -> Iterator[str]:
    yield from (f"### Body: {body.title}", "")
    if body.description:
        yield from (*wrap(_one_line(body.description), WIDTH), "")
    for name, fields in {"": body.fields, **body.options}.items():
        if not fields:
            continue
        rows = [(f"`{_inside(name, each)}`", *_described(schemas, each)) for each in fields]
        yield from (*_table(("field", "type", "default", "meaning", "example"), rows), "")


def _inside(object: str, field: Field) -> str:
    return f"{object}.{field.name}" if object else field.name


def _described(schemas: Schemas, field: Field) -> tuple[str, str, str, str]:
    example = "" if field.example is NONE else f"`{json.dumps(field.example, ensure_ascii=False)}`"
    return _type(schemas, field), _default(field), _one_line(field.description), example


def _default(field: Field) -> str:
    if field.required:
        return "required"
    default = field.schema.get("default")
    return "" if default is None else f"`{json.dumps(default)}`"


def _type(schemas: Schemas, field: Field) -> str:
    return " or ".join(dict.fromkeys(_type_of(each) for each in schemas.alternatives(field.schema)))


def _type_of(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{kind}, {least} to {most}"
    if least is not None:
        return f"{kind}, at least {least}"
    if (length := schema.get("maxLength")) is not None:
        return f"{kind}, at most {length} characters"
    return kind


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
