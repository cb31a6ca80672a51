"""docs/api.md has every operation, parameter and option, each with an example: test_api_examples.py runs them."""

import copy
import json
import re
from typing import Any

import pytest

from devtools.api_reference.document import document
from devtools.api_reference.examples import NONE, Schemas
from devtools.api_reference.operations import curl, missing_examples, operations
from devtools.contracts import documents, openapi

DOCUMENT = openapi.document()
TEXT = (documents.DOCS / "api.md").read_text()


def test_the_document_is_that_of_the_code() -> None:
    assert document(DOCUMENT) == TEXT, "run `make contracts`"


def test_every_operation_has_a_section_with_its_request() -> None:
    for operation in operations(DOCUMENT):
        section = TEXT.split(f"\n## {operation.method} {operation.path}\n")[1].split("\n## ")[0]
        assert curl(operation) in section
        for each in operation.parameters:
            assert f"| `{each.name}` |" in section
        for status in operation.responses:
            assert f"| `{status}` |" in section


@pytest.mark.parametrize("operation", operations(DOCUMENT), ids=lambda operation: operation.id)
def test_every_parameter_and_option_has_an_example(operation: Any) -> None:
    assert [*missing_examples(operation)] == [], "give the field `examples`, or the parameter an `example`"


def test_an_option_without_an_example_is_named() -> None:
    changed = copy.deepcopy(DOCUMENT)
    changed["components"]["schemas"]["VideoOptions"]["properties"]["watermark"] = {"type": "string"}
    changed["paths"]["/jobs"]["get"]["parameters"].append({"name": "q", "in": "query", "schema": {"type": "string"}})
    named = [line for operation in operations(changed) for line in missing_examples(operation)]
    assert "create_job: VideoJobRequest.options.watermark" in named
    assert "list_jobs: parameter q" in named


def test_every_option_of_every_kind_is_in_the_document() -> None:
    for name in ("VideoOptions", "ImageOptions"):
        for option in DOCUMENT["components"]["schemas"][name]["properties"]:
            assert f"| `options.{option}` |" in TEXT


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"type": "string", "examples": ["a"]}, "a"),
        ({"enum": ["a", "b"], "default": "b"}, "a"),
        ({"anyOf": [{"type": "null"}, {"type": "integer", "examples": [7]}], "default": None}, 7),
        ({"type": "boolean", "default": True}, False),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "array", "items": {"const": "x"}}, ["x"]),
        ({"type": "object", "required": ["a"], "properties": {"a": {"const": 1}, "b": {"const": 2}}}, {"a": 1}),
        ({"$ref": "#/components/x"}, "referred"),
        ({"type": "string"}, NONE),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, NONE),
    ],
)
def test_an_example_follows_from_the_schema(schema: dict[str, Any], example: Any) -> None:
    found = Schemas({"components": {"x": {"const": "referred"}}}).example(schema)
    assert found is NONE if example is NONE else found == example


def test_the_bodies_of_the_commands_are_json_that_a_shell_gives_on() -> None:
    bodies = re.findall(r"-d '(.*?)'$", TEXT, re.MULTILINE | re.DOTALL)
    assert bodies
    for body in bodies:
        json.loads(body.replace("'\\''", "'"))
