"""Strategies for any JSON value, lone surrogates and U+0000 included."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=()))
numbers = st.integers() | st.integers(min_value=10**300, max_value=10**400) | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
