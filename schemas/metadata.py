"""The customer's own metadata: flat, string to string, bounded."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from schemas.base import Text

MAX_KEYS = 64
MAX_KEY_CHARS = 128
MAX_VALUE_CHARS = 1024
MAX_BYTES = 16 * 1024
"""All keys and values of one object together, as UTF-8: an event has to stay well below 64 KiB."""


def _within_bounds(metadata: Mapping[str, str]) -> Mapping[str, str]:
    if len(metadata) > MAX_KEYS:
        raise ValueError(f"must have at most {MAX_KEYS} keys, has {len(metadata)}")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes in all, is {size}")
    return metadata


Key = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_KEY_CHARS)]
Value = Annotated[Text, StringConstraints(max_length=MAX_VALUE_CHARS)]
Metadata = Annotated[dict[Key, Value], AfterValidator(_within_bounds)]
