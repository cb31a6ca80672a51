"""The generated documents for people in docs/: which there are, and which differ from the code."""

from collections.abc import Mapping
from pathlib import Path

from devtools import errors
from devtools.api_reference.document import document
from devtools.contracts import openapi

DOCS = Path(__file__).parents[2] / "docs"


def generated() -> dict[str, bytes]:
    """The content of each document, by its name in docs/."""
    texts = {"errors.md": errors.document(), "api.md": document(openapi.document())}
    return {name: text.encode() for name, text in texts.items()}


def existing(folder: Path = DOCS) -> dict[str, bytes]:
    """The content of those documents that are there."""
    return {name: (folder / name).read_bytes() for name in generated() if (folder / name).is_file()}


def write(wanted: Mapping[str, bytes], folder: Path = DOCS) -> list[str]:
    """Makes the documents what is wanted; returns the names of those that changed."""
    found = existing(folder)
    changed = sorted(name for name, content in wanted.items() if found.get(name) != content)
    for name in changed:
        (folder / name).write_bytes(wanted[name])
    return changed
