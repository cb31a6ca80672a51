"""The published documents satisfy the validators that others use."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from devtools.contracts import events
from schemas.topics import SERVICES
from tests.contracts.node_tools import SOURCES, run

ASYNCAPI = events.PUBLISHED / "asyncapi"


def validate_asyncapi(node_modules: Path, *documents: Path) -> str:
    """Beside the packages that it imports: that is where Node looks for them."""
    script = shutil.copy(SOURCES / "validate_asyncapi.js", node_modules.parent)
    return run("node", script, *documents)


def test_the_asyncapi_documents_pass_the_official_validator(node_modules: Path) -> None:
    assert validate_asyncapi(node_modules, *(ASYNCAPI / f"{service}.json" for service in SERVICES)) == ""


def test_the_validator_finds_a_payload_that_is_no_schema_object(node_modules: Path, tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads((ASYNCAPI / "notifier.json").read_bytes())
    document["components"]["messages"]["DeadLetter"]["payload"] = True
    broken = tmp_path / "notifier.json"
    broken.write_text(json.dumps(document))
    with pytest.raises(AssertionError, match="payload"):
        validate_asyncapi(node_modules, broken)


def test_the_openapi_document_passes_a_linter_without_warnings(node_modules: Path) -> None:
    document = events.PUBLISHED / "openapi.json"
    output = run(node_modules / ".bin" / "redocly", "lint", "--format=json", "--max-problems=1000", document)
    report = json.loads(output[output.index('{\n  "totals"') :].rpartition("}")[0] + "}")
    assert report["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


def test_every_operation_has_an_id_of_its_own_and_says_how_it_is_refused() -> None:
    document = json.loads((events.PUBLISHED / "openapi.json").read_bytes())
    paths = {**document["paths"], **document["webhooks"]}
    operations = [
        operation
        for path in paths.values()
        for method, operation in path.items()
        if method in ("get", "post", "put", "patch", "delete", "options")
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert any(status.startswith("4") for status in operation["responses"]), operation["operationId"]
