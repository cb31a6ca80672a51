"""Named queries from `.sql` files: `-- name: claim` starts one, the comment lines after it describe it."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^--\s*name:\s*(\w+)\s*$")


@cache
def load(package: str) -> Mapping[str, str]:
    """The queries of all `*.sql` files directly in `package`, by name.

    Raises `ValueError` if a name is used twice, a query is empty, or SQL comes before the first name.
    """
    queries: dict[str, str] = {}
    files = (entry for entry in resources.files(package).iterdir() if entry.name.endswith(".sql"))
    for file in sorted(files, key=lambda entry: entry.name):
        for name, query in parse(file.read_text(encoding="utf-8")):
            if name in queries:
                raise ValueError(f"{package}: the query {name} is defined twice")
            queries[name] = query
    return MappingProxyType(queries)


def parse(text: str) -> Iterator[tuple[str, str]]:
    """The (name, query) pairs of one file's text; the comments that describe a query are left out."""
    name: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        match = _NAME.match(line)
        if match:
            if name is not None:
                yield name, _query(name, lines)
            name, lines = match[1], []
        elif name is not None:
            lines.append(line)
        elif line.strip() and not line.lstrip().startswith("--"):
            raise ValueError(f"SQL before the first name: {line.strip()[:60]}")
    if name is not None:
        yield name, _query(name, lines)


def _query(name: str, lines: list[str]) -> str:
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].lstrip().startswith("--")):
        start += 1
    query = "\n".join(lines[start:]).strip().removesuffix(";").rstrip()
    if not query:
        raise ValueError(f"the query {name} is empty")
    return query
