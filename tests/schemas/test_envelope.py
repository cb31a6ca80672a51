"""The envelope says what the published examples say, key by key."""

from typing import Any

from schemas.envelope import Page, RequestInfo, empty_envelope, envelope, error_envelope, list_envelope, org_id
from schemas.faults import FieldFault
from schemas.ids import is_id

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
HOST = "https://api.example.com"

ITEM: Any = {"id": "med_1"}
"""The envelope looks at nothing but the id."""


def request(method: str = "GET", path: str = "/media", project: str | None = PROJECT) -> RequestInfo:
    return RequestInfo(id="req_1", method=method, host=HOST, path=path, project=project)


def test_an_item_has_meta_data_and_links_to_itself_and_its_parent() -> None:
    body = envelope(request(path="/media/med_1"), ITEM)
    assert body == {
        "meta": {
            "id": "req_1",
            "org_id": org_id(PROJECT),
            "project_id": PROJECT,
            "method": "GET",
            "host": HOST,
            "path": "/media/med_1",
            "version": "2024-08-21",
            "status": 200,
            "type": "object",
        },
        "data": {"id": "med_1"},
        "links": {"self": f"{HOST}/media/med_1", "parent": f"{HOST}/media"},
    }


def test_a_created_item_links_to_where_it_can_be_read() -> None:
    body = envelope(request("POST"), ITEM)
    assert body["meta"]["path"] == "/media"
    assert body["links"] == {"self": f"{HOST}/media/med_1", "parent": f"{HOST}/media"}


def test_nothing_left_after_delete_is_null_with_a_parent_only() -> None:
    body = empty_envelope(request("DELETE", "/media/med_1"))
    assert (body["meta"]["type"], body["data"], body["links"]) == (None, None, {"parent": f"{HOST}/media"})


def test_a_list_has_its_total_and_its_pages() -> None:
    body = list_envelope(request(), [ITEM], Page(1, 12, 120, {"user_id": "1"}, [("metadata.user_id", "1")]))
    meta = body["meta"]
    assert (meta["type"], meta["query"], meta["total"], meta["limit"], meta["page"], meta["pages"]) == (
        "list",
        {"user_id": "1"},
        120,
        12,
        1,
        10,
    )
    assert body["links"] == {
        "self": f"{HOST}/media?metadata.user_id=1",
        "next": f"{HOST}/media?metadata.user_id=1&page=2",
        "prev": None,
    }


def test_an_unfiltered_first_page_links_as_the_published_example_does() -> None:
    links = list_envelope(request(), [], Page(1, 12, 120, {}))["links"]
    assert links == {"self": f"{HOST}/media", "next": f"{HOST}/media?page=2", "prev": None}


def test_links_encode_what_the_query_decoded() -> None:
    links = list_envelope(request(), [], Page(2, 1, 2, {}, [("metadata.a b", "x&y=/+")]))["links"]
    assert links == {
        "self": f"{HOST}/media?metadata.a+b=x%26y%3D%2F%2B&page=2",
        "next": None,
        "prev": f"{HOST}/media?metadata.a+b=x%26y%3D%2F%2B",
    }


def test_a_page_beyond_the_end_leads_back_to_the_last_one() -> None:
    links = list_envelope(request(), [], Page(9, 12, 13, {}))["links"]
    assert (links["next"], links["prev"]) == (None, f"{HOST}/media?page=2")


def test_an_empty_list_has_no_pages_and_no_neighbours() -> None:
    body = list_envelope(request(), [], Page(1, 12, 0, {}))
    assert body["meta"]["pages"] == 0
    assert body["links"] == {"self": f"{HOST}/media", "next": None, "prev": None}


def test_a_refusal_has_null_data_and_names_each_field() -> None:
    fault = FieldFault(field="limit", rule="must be at most 100", value='"101"')
    body = error_envelope(request(), status=400, kind="invalid_input", message="m", errors=[fault])
    assert body["meta"]["status"] == 400
    assert body["meta"]["type"] is None
    assert body["data"] is None
    assert body["error"] == {
        "kind": "invalid_input",
        "message": "m",
        "errors": [fault.model_dump()],
        "request_id": body["meta"]["id"],
    }


def test_a_refusal_without_a_known_caller_names_no_project() -> None:
    body = error_envelope(request(project=None), status=401, kind="token_missing", message="m")
    assert (body["meta"]["org_id"], body["meta"]["project_id"]) == (None, None)
    assert "errors" not in body["error"]


def test_the_organisation_follows_from_the_project() -> None:
    organisation = org_id(PROJECT)
    assert organisation == org_id(PROJECT)
    assert organisation is not None
    assert is_id(organisation, "org")


def test_a_project_that_is_no_id_has_no_organisation() -> None:
    assert org_id("nonsense") is None
