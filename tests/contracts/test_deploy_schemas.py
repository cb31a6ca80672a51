"""The files in `deploy` fit the schemas of Kubernetes, KEDA and compose: a misspelt or misplaced field is found."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import orjson
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from tests.contracts.deploy_files import MANIFESTS, compose, documents, named

KUBERNETES_VERSIONS = ("1.25", "1.37")
"""The oldest and the newest whose schemas kubernetes-validate has."""
SCHEMAS = Path(__file__).with_name("third_party")
RESOURCES = [document for path in MANIFESTS for document in documents(path)]


@cache
def keda(kind: str) -> Draft202012Validator:
    """The validator of a kind of KEDA's, from its definition as KEDA installs it in a cluster."""
    definition = yaml.safe_load((SCHEMAS / f"keda.sh_{kind.lower()}s.yaml").read_text())
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1alpha1"]
    return Draft202012Validator(closed(version["schema"]["openAPIV3Schema"]))


def closed(schema: Any) -> Any:
    """A schema that refuses fields that it does not name; a cluster drops them without a word."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    if made.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = True
    return made


def check_resource(resource: dict[str, Any], version: str) -> None:
    """Raises ValidationError."""
    if resource["apiVersion"].startswith("keda.sh/"):
        # `metadata` is the same for all kinds, and the definition says no more of it than that it is an object.
        keda(resource["kind"]).validate({**resource, "metadata": {}})
    else:
        kubernetes_validate.validate(resource, version, strict=True)


def check_compose(document: dict[str, Any]) -> None:
    """Raises ValidationError."""
    schema = orjson.loads((SCHEMAS / "compose-spec.json").read_bytes())
    Draft7Validator(schema).validate(document)


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_manifest_is_valid(resource: dict[str, Any], version: str) -> None:
    check_resource(resource, version)


def test_compose_is_valid() -> None:
    check_compose(compose())


@pytest.mark.parametrize(
    ("kind", "path", "field"),
    [
        ("Deployment", ("spec", "template", "spec"), "terminationGracePeriod"),
        ("Deployment", ("spec", "template", "spec", "containers", 0), "livenesProbe"),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet"), "ports"),
        ("Service", ("spec",), "selectors"),
        ("ScaledObject", ("spec",), "maxReplicas"),
        ("ScaledObject", ("spec", "triggers", 0), "authentication"),
        ("TriggerAuthentication", ("spec", "secretTargetRef", 0), "secret"),
    ],
)
def test_a_misspelt_field_of_a_manifest_is_found(kind: str, path: tuple[str | int, ...], field: str) -> None:
    resource = deepcopy(next(iter(named(kind).values())))
    place: Any = resource
    for step in path:
        place = place[step]
    place[field] = "x"
    with pytest.raises(ValidationError, match=field):
        check_resource(resource, KUBERNETES_VERSIONS[-1])


@pytest.mark.parametrize("field", ["enviroment", "stop_grace", "volume"])
def test_a_misspelt_field_of_compose_is_found(field: str) -> None:
    document = compose()
    document["services"]["ingest"][field] = "x"
    with pytest.raises(ValidationError, match=field):
        check_compose(document)
