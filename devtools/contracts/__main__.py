"""`python -m devtools.contracts [--check] [--break-readers]`: writes the published contracts, or compares them.

So it does with docs/api.md and docs/errors.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from devtools.contracts import documents, events, files
from devtools.contracts.compat import breaks
from schemas.events import SUBMISSIONS

_SUBMITTED = {files.event_schema(type_) for type_ in SUBMISSIONS}


def main(argv: Sequence[str] | None = None, *, folder: Path = events.PUBLISHED, docs: Path = documents.DOCS) -> int:
    """Returns the exit status: 0 if all is as the code says, 1 if files differ or a change would break readers."""
    parser = argparse.ArgumentParser(prog="python -m devtools.contracts", description="Generate the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that differ")
    parser.add_argument("--break-readers", action="store_true", help="write events that old readers cannot read")
    arguments = parser.parse_args(argv)
    wanted, found = files.generated(), files.existing(folder)
    texts = documents.generated()
    if arguments.check:
        return _check({**wanted, **texts}, {**found, **documents.existing(docs)})
    broken = [] if arguments.break_readers else _broken(wanted, found)
    for line in broken:
        print(line, file=sys.stderr)
    if broken:
        print("Nothing was written. Publish such a change as a new version of the event (…v2).", file=sys.stderr)
        return 1
    for name in [*files.write(folder, wanted, found), *documents.write(texts, docs)]:
        print(name)
    return 0


def _check(wanted: dict[str, bytes], found: dict[str, bytes]) -> int:
    differing = files.differing(wanted, found)
    for name in differing:
        print(f"{name} differs from the code", file=sys.stderr)
    if differing:
        print("Run `make contracts`, read the difference, and commit it.", file=sys.stderr)
    return 1 if differing else 0


def _broken(wanted: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    return [
        f"{name}: {change}"
        for name, content in sorted(found.items())
        if name.startswith("events/")
        for change in breaks(files.parsed(content), files.parsed(wanted.get(name, b"{}")), submitted=name in _SUBMITTED)
    ]


if __name__ == "__main__":
    sys.exit(main())
