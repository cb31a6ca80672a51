"""The envelope of `/media` (version 2024-08-21): `meta`, `data`, `links`, and `error` where something was refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from schemas.faults import FieldFault
from schemas.ids import InvalidId, derived
from schemas.resources import API_VERSION

Links = dict[str, str | None]


@dataclass(frozen=True)
class RequestInfo:
    """The request as `meta` tells it.

    `id` is the request id (`req_…`), `host` the public address of the API with its scheme, `path` starts with a
    slash and has no query. `project` is None where the caller is not known.
    """

    id: str
    method: str
    host: str
    path: str
    project: str | None

    @property
    def base(self) -> str:
        return self.host.rstrip("/")

    @property
    def collection(self) -> str:
        """The address of the collection that the path lies in: `https://…/media`."""
        return f"{self.base}/{self.path.strip('/').partition('/')[0]}"


@dataclass(frozen=True)
class Page:
    """One page of a list: `number` from 1, `limit` items a page, `total` items in all, `query` the filters.

    `parameters` are the query parameters as they were sent, in their order, without `page`: links repeat them.
    """

    number: int
    limit: int
    total: int
    query: Mapping[str, str]
    parameters: Sequence[tuple[str, str]] = ()

    @property
    def pages(self) -> int:
        return -(-self.total // self.limit)


def envelope(asked: RequestInfo, data: Mapping[str, Any] | None, *, status: int = 200) -> dict[str, Any]:
    """One media item (`data` has its `id`), or nothing (`DELETE`: no `data`, no type, no link to itself)."""
    if data is None:
        return {"meta": _meta(asked, status, None), "data": None, "links": {"parent": asked.collection}}
    links = {"self": f"{asked.collection}/{data['id']}", "parent": asked.collection}
    return {"meta": _meta(asked, status, "object"), "data": data, "links": links}


def list_envelope(
    asked: RequestInfo, data: Sequence[Mapping[str, Any]], page: Page, *, status: int = 200
) -> dict[str, Any]:
    """One page of media items."""
    meta = _meta(asked, status, "list") | {
        "query": dict(page.query),
        "total": page.total,
        "limit": page.limit,
        "page": page.number,
        "pages": page.pages,
    }
    return {"meta": meta, "data": list(data), "links": _page_links(asked, page)}


def error_envelope(
    asked: RequestInfo, *, status: int, kind: str, message: str, errors: Sequence[FieldFault] = ()
) -> dict[str, Any]:
    """A refusal: `data` is null, `error` says why, field by field where `errors` are given."""
    error: dict[str, Any] = {"kind": kind, "message": message}
    if errors:
        error["errors"] = [fault.model_dump() for fault in errors]
    links = {"parent": asked.collection}
    return {"meta": _meta(asked, status, None), "data": None, "error": error, "links": links}


def org_id(project: str) -> str | None:
    """The organisation of a project: there is one for each, so its id follows from the project's."""
    try:
        return derived("org", project, "org")
    except InvalidId:
        return None


def _meta(asked: RequestInfo, status: int, type_: Literal["object", "list"] | None) -> dict[str, Any]:
    return {
        "id": asked.id,
        "org_id": org_id(asked.project) if asked.project else None,
        "project_id": asked.project,
        "method": asked.method,
        "host": asked.base,
        "path": asked.path,
        "version": API_VERSION,
        "status": status,
        "type": type_,
    }


def _page_links(asked: RequestInfo, page: Page) -> Links:
    def address(number: int) -> str:
        parameters = [*page.parameters, *([("page", str(number))] if number > 1 else [])]
        return asked.base + asked.path + (f"?{urlencode(parameters)}" if parameters else "")

    # A page beyond the end leads back to the last one that has items.
    before = min(page.number - 1, page.pages)
    return {
        "self": address(page.number),
        "next": address(page.number + 1) if page.number < page.pages else None,
        "prev": address(before) if before >= 1 else None,
    }
