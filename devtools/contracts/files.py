"""Which contract stands in which file, and how it is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import schemas
from devtools.contracts import asyncapi, events, openapi
from schemas.topics import SERVICES

FOLDER = Path(schemas.__file__).parent / "published"
EXAMPLES = FOLDER / "examples"
"""Kept by hand: what was once published stays readable, so nothing here is ever made anew."""


def event_schema(type_: str) -> str:
    """The name of the file that holds the JSON Schema of an event type."""
    return f"events/{type_}.schema.json"


def wanted() -> dict[str, bytes]:
    """Every generated file's content by its name below `FOLDER`."""
    documents = {event_schema(type_): events.schema(type_) for type_ in events.TYPES}
    documents |= {f"asyncapi/{service}.json": asyncapi.document(service) for service in SERVICES}
    documents["openapi.json"] = openapi.document()
    return {name: rendered(document) for name, document in documents.items()}


def found() -> dict[str, bytes]:
    """Every generated file that is there."""
    kept = (path for path in FOLDER.rglob("*.json") if EXAMPLES not in path.parents)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in kept}


def differing(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Names of files that are missing, left over, or of another content."""
    return sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))


def write(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Makes the folder say what is wanted; returns the names of what changed."""
    names = differing(wanted, found)
    for name in names:
        path = FOLDER / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[name])
        else:
            path.unlink()
    return names


def rendered(document: Mapping[str, Any]) -> bytes:
    """Indented, in the order in which it was made, so that a difference can be read."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def parsed(content: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(content)
    return document
