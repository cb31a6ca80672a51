"""Values that Postgres, JSON or a response cannot hold, put into every field of a valid document."""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


EDGE_VALUES: tuple[Any, ...] = (
    *("", "\x00", "a\x00b", "\ud800", os.urandom(2500).hex(), "\U0001f600" * 900),
    *(-1, 0, 2**31, 2**40, 2**63, 2**70, -(2**70), 10**400),
    *(-0.5, 1e-300, 1e308, float("inf"), float("nan")),
    *(True, None, [], {}, nested(50), "@deep@", "@1e400@", {"a\x00": 1}, {"\ud800": 1}, {"n": 10**30}, {"f": 1e308}),
)
_RAW = {"@deep@": "[" * 100_000 + "]" * 100_000, "@1e400@": "1e400"}
"""JSON that `json.dumps` does not write, in place of these strings."""


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value that is not an object or a list with something in it, and of those as well."""
    if path:
        yield path
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*path, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from leaves(value, (*path, number))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with another value at one place."""
    copied = copy.deepcopy(document)
    inner = copied
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copied


def variants(document: Any) -> Iterator[tuple[tuple[Any, ...], Any, bytes]]:
    """The document with each edge value at each place: place, value, and the document as JSON."""
    for path in leaves(document):
        for value in EDGE_VALUES:
            text = json.dumps(changed(document, path, value))
            if value in ("@deep@", "@1e400@"):
                text = text.replace(json.dumps(value), _RAW[value])
            yield path, value, text.encode()
