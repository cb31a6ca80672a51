"""The customer's own metadata: flat, strings, bounded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.api import (
    MAX_METADATA_BYTES,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_KEYS,
    MAX_METADATA_VALUE_CHARS,
    Metadata,
)
from tests.schemas.json_values import texts, values

METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(Metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"k" * MAX_METADATA_KEY_CHARS: "v" * MAX_METADATA_VALUE_CHARS},
        {f"{number}": "" for number in range(MAX_METADATA_KEYS)},
        {"a.b": "dots", "a b": "spaces", "'; --": "quotes", "🎬": "日本語", "__proto__": "x"},
        {f"{number:02}": "v" * 1022 for number in range(16)},
    ],
    ids=lambda metadata: f"{len(metadata)} keys",
)
def test_metadata_within_the_bounds_passes_unchanged(metadata: dict[str, str]) -> None:
    assert METADATA.validate_python(metadata) == metadata


NOT_STRINGS: list[Any] = [None, 1, 1.5, True, [], {}, {"nested": "x"}, "\x00", "\udfff"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "empty key"},
        {"k" * (MAX_METADATA_KEY_CHARS + 1): "v"},
        {"k": "v" * (MAX_METADATA_VALUE_CHARS + 1)},
        {f"{number}": "" for number in range(MAX_METADATA_KEYS + 1)},
        {f"{number:02}": "v" * 1023 for number in range(16)},
        {f"{number:02}": "ü" * 512 for number in range(16)},
        *({"k": value} for value in NOT_STRINGS),
        *([], "text", None, 5),
    ],
    ids=lambda metadata: str(metadata)[:40],
)
def test_metadata_beyond_the_bounds_is_refused(metadata: Any) -> None:
    with pytest.raises(ValidationError):
        METADATA.validate_python(metadata, strict=True)


def test_the_bound_in_bytes_counts_bytes() -> None:
    assert MAX_METADATA_BYTES == 16 * 1024
    METADATA.validate_python({f"{number:02}": "ü" * 511 for number in range(16)})


@given(st.dictionaries(texts, texts | values, max_size=5))
def test_metadata_either_passes_unchanged_or_is_refused(metadata: dict[str, Any]) -> None:
    try:
        assert METADATA.validate_python(metadata, strict=True) == metadata
    except ValidationError:
        return
    # What passed can be stored: Postgres takes neither U+0000 nor lone surrogates.
    for text in (*metadata, *metadata.values()):
        assert isinstance(text, str) and "\x00" not in text and text.encode() is not None
