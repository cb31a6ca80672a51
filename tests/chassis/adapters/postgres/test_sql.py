"""Named queries from .sql files."""

import pytest

from chassis.adapters.postgres import sql


def test_a_file_is_cut_at_its_names_and_descriptions_are_left_out() -> None:
    text = "-- About.\n\n-- name: one\n-- What it does.\nSELECT 1;\n\n-- name: two\nSELECT 2 -- inside\n FROM t;\n"
    assert dict(sql.parse(text)) == {"one": "SELECT 1", "two": "SELECT 2 -- inside\n FROM t"}


@pytest.mark.parametrize("text", ["SELECT 1;", "-- name: empty\n-- only words\n", "-- name: a\n\n-- name: b\nSELECT 1"])
def test_a_file_that_is_not_a_list_of_named_queries_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        list(sql.parse(text))


def test_the_queries_of_a_package_are_found_by_name() -> None:
    assert sql.load("chassis.adapters.postgres")["check"] == "SELECT 1"
