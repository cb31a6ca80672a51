"""Every published code has a cause and a cure, in docs/errors.md and in the OpenAPI document; one code, one cause."""

import json
import re
from collections.abc import Mapping
from typing import get_args

import pytest

from devtools import errors
from devtools.contracts import events
from schemas.fault_help import CURES, REFUSALS, WARNING_CURES
from schemas.faults import FAULTS, WARNINGS, FaultKind, RequestFault, WarningKind


@pytest.mark.parametrize(
    ("published", "listed"),
    [
        (FaultKind, FAULTS),
        (FaultKind, CURES),
        (WarningKind, WARNINGS),
        (WarningKind, WARNING_CURES),
        (RequestFault, REFUSALS),
    ],
    ids=["faults", "cures", "warnings", "cures of warnings", "refusals"],
)
def test_every_published_code_is_explained(published: object, listed: Mapping[str, object]) -> None:
    assert set(listed) == set(get_args(published))


def test_the_document_is_that_of_the_code() -> None:
    assert errors.DOCUMENT.read_text(encoding="utf-8") == errors.document(), "run `make contracts`"


def test_no_two_codes_have_the_same_cause() -> None:
    causes = [*FAULTS.values(), *WARNINGS.values(), *(refusal.cause for refusal in REFUSALS.values())]
    assert len(set(causes)) == len(causes)


@pytest.mark.parametrize("model", ["FaultResource", "WarningResource", "ErrorResource"])
def test_the_api_document_has_the_cause_and_the_cure_of_each_code(model: str) -> None:
    schemas = json.loads((events.PUBLISHED / "openapi.json").read_bytes())["components"]["schemas"]
    kind = schemas[model]["properties"]["kind"]
    described = re.findall(r"^- `(\w+)`: .+\. .+\.$", kind["description"], re.MULTILINE)
    assert set(described) == set(kind["enum"]) - {"unknown"}
