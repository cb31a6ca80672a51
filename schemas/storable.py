"""Types of the fields of events: a value that passes can be stored by Postgres, indexed, and shown in a response.

A record that no service can store would be delivered again and again, or end as a dead letter after several attempts;
with these types its writer fails instead, and a reader refuses it at once. What bounds a type is in its docstring.
`schemas.reading` also checks the form of ids.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

MAX_INT4 = 2**31 - 1
MAX_INT8 = 2**63 - 1
MAX_TIMESTAMP_MS = 253_402_300_799_999
"""The end of the year 9999 in Unix milliseconds: responses show times in ISO 8601, which has four digits for years."""
MAX_SECONDS = 1e9
"""About 30 years: longer than any file, and sums of a million such durations are still exact to the second."""
MAX_RATE = 1e6
MAX_ID_CHARS = 64
MAX_PATH_CHARS = 1000
"""Longer than any folder, id, label and filename together."""
MAX_JSON_DEPTH = 32

_NO_NUL = r"^[^\x00]*$"
_ASCII = r"^[ -~]*$"

StoredText = Annotated[str, StringConstraints(pattern=_NO_NUL)]
"""Text for a column without an index. Postgres refuses U+0000 in text, and pydantic lone surrogates."""
IdText = Annotated[str, StringConstraints(max_length=MAX_ID_CHARS, pattern=_ASCII)]
"""An id, a hash or a label: it may be a part of a btree entry, which holds 2704 bytes."""
PathText = Annotated[str, StringConstraints(max_length=MAX_PATH_CHARS, pattern=_ASCII)]
"""A name at the delivery address, or a part of one; a part of a btree entry as well. Customers' names are ASCII."""
TimestampMs = Annotated[int, Field(ge=0, le=MAX_TIMESTAMP_MS)]
"""Unix milliseconds."""
Version = Annotated[int, Field(ge=0, le=MAX_INT4)]
"""A number of changes: Postgres' `integer`."""
Count = Annotated[int, Field(ge=0, le=MAX_INT4)]
"""A bound of a number of things, or of seconds: Postgres' `integer`."""
Pixels = Annotated[int, Field(ge=0, le=MAX_INT4)]
"""One side of a picture: Postgres' `integer`."""
ByteCount = Annotated[int, Field(ge=0, le=MAX_INT8)]
"""A size in bytes: Postgres' `bigint`."""
Offset = Annotated[int, Field(ge=0, le=MAX_INT8)]
"""A position in a Kafka partition: Postgres' `bigint`."""
DurationSeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
"""A length of time in a media file."""
Rate = Annotated[float, Field(ge=0, le=MAX_RATE, allow_inf_nan=False)]
"""Frames a second."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""From nothing (0) to all (1)."""


def _storable_keys(metadata: dict[str, str]) -> dict[str, str]:
    for key in metadata:
        if not (key.isascii() and "\0" not in key):
            _check_text(key)
    return metadata


StoredMetadata = Annotated[dict[str, StoredText], AfterValidator(_storable_keys)]
"""The customer's own pairs of text."""


def _storable_json(value: dict[str, Any]) -> dict[str, Any]:
    for name, inner in value.items():
        # Nearly every value is plain: no call for each of them, because every reader of events does this.
        plain = type(inner) is str and inner.isascii() and "\0" not in inner
        if not (plain or (type(inner) is int and -MAX_INT8 <= inner <= MAX_INT8)) or not name.isascii() or "\0" in name:
            _check_json(value, MAX_JSON_DEPTH)
            break
    return value


StoredObject = Annotated[dict[str, Any], AfterValidator(_storable_json)]
"""A JSON object of any content: integers of 64 bits, finite numbers, text without U+0000, 32 levels of nesting."""


def storable_text(text: str, max_chars: int) -> str:
    """`text` as `StoredText`, shortened: what it must not hold is shown as an escape sequence."""
    return text[:max_chars].replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def _check_json(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        _check_depth(depth)
        for name, inner in value.items():
            _check_text(name)
            _check_json(inner, depth - 1)
    elif isinstance(value, list | tuple):
        _check_depth(depth)
        for inner in value:
            _check_json(inner, depth - 1)
    elif isinstance(value, int):
        if abs(value) > MAX_INT8:
            raise ValueError("must have integers of at most 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("must have finite numbers")
    elif value is not None:
        raise ValueError("must be JSON")


def _check_depth(depth: int) -> None:
    if depth == 0:
        raise ValueError(f"must be nested at most {MAX_JSON_DEPTH} levels deep")


def _check_text(text: Any) -> None:
    if not isinstance(text, str) or "\x00" in text:
        raise ValueError("must have text without the character U+0000")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode, without lone surrogates") from None
