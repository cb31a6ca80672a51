"""Which changes of an event's schema break its readers."""

from typing import Any

import pytest
from pydantic import BaseModel

from devtools.contracts.compat import breaks
from schemas.base import EXTENSIBLE


class Inner(BaseModel):
    name: str


class Old(BaseModel):
    id: str
    state: str | None = None
    inner: Inner
    many: list[Inner] = []


class WithOptional(Old):
    note: str | None = None


class WithRequired(Old):
    note: str


class Retyped(Old):
    id: int  # type: ignore[assignment]  # the change that must be found


class Nullable(Old):
    id: str | None  # type: ignore[assignment]  # the change that must be found


class OptionalNow(BaseModel):
    id: str = ""
    state: str | None = None
    inner: Inner
    many: list[Inner] = []


class Without(BaseModel):
    id: str
    inner: Inner
    many: list[Inner] = []


class OtherInner(BaseModel):
    title: str


class DeepChange(BaseModel):
    id: str
    state: str | None = None
    inner: Inner
    many: list[OtherInner] = []


def schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def test_no_change_is_safe() -> None:
    assert breaks(schema(Old), schema(Old)) == []


def test_an_optional_field_more_is_safe() -> None:
    assert breaks(schema(Old), schema(WithOptional)) == []


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (WithRequired, "data.note is required now"),
        (Retyped, "data.id: type was 'string', is 'integer'"),
        (Nullable, "data.id: type was 'string', is None"),
        (OptionalNow, "data.id may be absent now"),
        (Without, "data.state is gone"),
        (DeepChange, "data.many[].name is gone"),
    ],
)
def test_a_change_that_breaks_readers_is_named(new: type[BaseModel], expected: str) -> None:
    assert any(change.startswith(expected) for change in breaks(schema(Old), schema(new)))


def test_an_event_that_is_gone_is_named() -> None:
    assert breaks(schema(Old), {}) == ["is no longer there"]


def test_a_plain_enum_may_neither_grow_nor_shrink() -> None:
    small, large = {"enum": ["a"]}, {"enum": ["a", "b"]}
    assert breaks(small, large) == ["data: may be ['b'] now, and old readers refuse values that they do not know"]
    assert breaks(large, small) == ["data: no longer takes ['b'], which old events hold"]


def test_an_open_enum_may_grow_and_not_shrink() -> None:
    small, large = {EXTENSIBLE: ["a"]}, {EXTENSIBLE: ["a", "b"]}
    assert breaks(small, large) == []
    assert breaks(large, small) == ["data: no longer takes ['b'], which old events hold"]


def test_a_plain_enum_may_become_open_and_grow_a_release_later() -> None:
    assert breaks({"enum": ["a"]}, {EXTENSIBLE: ["a"]}) == []
    assert breaks({"enum": ["a"]}, {EXTENSIBLE: ["a", "b"]}) != []
    assert breaks({EXTENSIBLE: ["a"]}, {"enum": ["a"]}) == ["data: its values are listed now"]
    assert breaks({"enum": ["a"]}, {"type": "string"}) != []


def test_a_plain_enum_of_what_customers_write_may_grow_and_not_shrink() -> None:
    small, large = {"enum": ["a"]}, {"enum": ["a", "b"]}
    assert breaks(small, large, submitted=True) == []
    assert breaks(large, small, submitted=True) == ["data: no longer takes ['b'], which old events hold"]


def test_a_bound_may_be_added_and_not_be_changed() -> None:
    free, bounded, narrower = {"type": "integer"}, {"type": "integer", "maximum": 9}, {"type": "integer", "maximum": 8}
    assert breaks(free, bounded) == []
    assert breaks(bounded, narrower) == ["data: maximum was 9, is 8"]
    assert breaks(bounded, narrower, submitted=True) == []
    assert breaks(bounded, free) == ["data: maximum was 9, is None"]


def test_a_type_that_refers_to_itself_is_compared_once() -> None:
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"next": {"$ref": "#/$defs/T"}}}}}
    assert breaks(tree, tree) == []
