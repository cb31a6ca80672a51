"""The version of the API's shapes that a request asks for by the header `Accept-Version` (pure).

Without the header, and with `2024-08-21`, responses have the shapes that the rest of `schemas` describes. What another
version writes and reads is made of those shapes by `schemas.v2025_08_20`: no other module knows of versions.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from schemas.explain import render_value
from schemas.faults import FieldFault

VERSION_HEADER = "Accept-Version"
Version = Literal["2024-08-21", "2025-08-20"]
DEFAULT: Version = "2024-08-21"
NEWEST: Version = "2025-08-20"
LATEST = "latest"
"""The word that published clients may send in place of the version that they are made for, which is `NEWEST`."""
ACCEPTED: tuple[str, ...] = (*get_args(Version), LATEST)


class UnknownVersion(ValueError):
    """The header names no version that is served, or is given twice."""

    def __init__(self, rule: str, value: str) -> None:
        super().__init__(rule)
        self.fault = FieldFault(field=VERSION_HEADER, rule=rule, value=render_value(value))


def version_of(values: Sequence[str]) -> Version:
    """The version in the values of the header; `DEFAULT` without the header. Raises UnknownVersion."""
    if not values:
        return DEFAULT
    if len(values) > 1:
        raise UnknownVersion("must be given once", ", ".join(values))
    named = values[0].strip()
    if named == LATEST:
        return NEWEST
    for version in get_args(Version):
        if named == version:
            return NEWEST if version == NEWEST else DEFAULT
    raise UnknownVersion(f"must be one of {', '.join(ACCEPTED)}, or left out for {DEFAULT}", named)
