"""The generated contracts: which document is in which file, how it is written, and what differs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devtools.contracts import asyncapi, events, openapi
from schemas import acls
from schemas.topics import SERVICES


def event_schema(type_: str) -> str:
    """The name of the file that holds the JSON Schema of an event type."""
    return f"events/{type_}.schema.json"


def generated() -> dict[str, bytes]:
    """The content of every generated file, by its name below the folder of the published contracts."""
    documents = {event_schema(type_): events.schema(type_) for type_ in events.TYPES}
    documents |= {f"asyncapi/{service}.json": asyncapi.document(service) for service in SERVICES}
    documents["openapi.json"] = openapi.document()
    documents["kafka-acls.json"] = acls.document()
    return {name: rendered(document) for name, document in documents.items()}


def existing(folder: Path) -> dict[str, bytes]:
    """The content of every generated file that is in `folder`; the examples are not generated."""
    names = [path.relative_to(folder) for path in folder.rglob("*.json")]
    return {name.as_posix(): (folder / name).read_bytes() for name in names if name.parts[0] != "examples"}


def differing(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Names of files that are missing, left over, or of another content."""
    return sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))


def write(folder: Path, wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Makes `folder` hold what is wanted; returns the names of the files that changed."""
    names = differing(wanted, found)
    for name in names:
        path = folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[name])
        else:
            path.unlink()
    return names


def rendered(document: Mapping[str, Any]) -> bytes:
    """Indented and in the order in which it was made, so that differences can be read."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def parsed(content: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(content)
    return document
