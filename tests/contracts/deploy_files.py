"""The files in `deploy`, read for tests."""

import re
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.core.settings import load
from cli.service_commands import settings_class

DEPLOY = Path(__file__).parents[2] / "deploy"
HTTP_PORT = 8080
"""Where the images and nginx listen; a test compares it with their files."""
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?+])([^}]*))?\}")
"""A variable of compose: `${A}`, `${A:-default}`, `${A:?message}` or `${A:+replacement}`."""


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file, for the caller to keep. Each file is parsed once."""
    return deepcopy(_parsed(path))


@cache
def _parsed(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def named(kind: str) -> dict[str, dict[str, Any]]:
    """The manifests of a kind, by name."""
    found = [document for path in MANIFESTS for document in documents(path) if document["kind"] == kind]
    return {document["metadata"]["name"]: document for document in found}


def containers(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All containers of a deployment, those that run first included."""
    pod = deployment["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def compose(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """compose.yaml; with `variables` (those of `.env`) as compose reads it, otherwise as it is written."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document if variables is None else _substituted(document, variables)


def _substituted(value: Any, variables: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {key: _substituted(each, variables) for key, each in value.items()}
        case list():
            return [_substituted(each, variables) for each in value]
        case str():
            return _VARIABLE.sub(lambda found: _value(found, variables), value)
    return value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(found[1], "")
    match found[2]:
        case "-":
            return value or found[3]
        case "+":
            return found[3] if value else ""
        case "?":
            assert value, f"{found[1]}: {found[3]}"
    return value


def required_variables() -> set[str]:
    """The variables without which compose does not start."""
    return {name for name, sign, _ in _VARIABLE.findall((DEPLOY / "compose.yaml").read_text()) if sign == "?"}


VARIABLES = {
    **{name: f"secret-of-{name.lower()}" for name in required_variables() if name.endswith("_PASSWORD")},
    "WEBHOOK_SECRET": "whsec_" + b64encode(bytes(32)).decode(),
    "ENCRYPTION_KEYS": b64encode(bytes(32)).decode(),
}
"""The `.env` of compose."""


def load_settings(service: Any, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of a service that has this environment and nothing else of ours."""
    for field in settings_class(service).model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load(settings_class(service))
