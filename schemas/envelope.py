"""The envelope of `/media` (version 2024-08-21): `meta`, `data`, `links`, and `error` if the request was refused.

Typed dictionaries, as in `schemas.job_resource`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from typing_extensions import TypedDict

from schemas.faults import ErrorResource, FieldFault, RequestFault, error_resource
from schemas.ids import InvalidId, derived
from schemas.media_resource import MediaResource

API_VERSION = "2024-08-21"


class _Meta(TypedDict):
    id: str
    org_id: str | None
    project_id: str | None
    method: str
    host: str
    path: str
    version: str
    status: int


class Meta(_Meta):
    """About the request. `type` says what `data` is; null where there is none."""

    type: Literal["object"] | None


class ListMeta(_Meta):
    """About a request for a list: its filters (`query`), how many items and pages there are, and which page this is."""

    type: Literal["list"]
    query: dict[str, str]
    total: int
    limit: int
    page: int
    pages: int


class Links(TypedDict):
    """The addresses of the item and of the collection that it is in."""

    self: str
    parent: str


class ParentLink(TypedDict):
    """The address of the collection alone, where there is no item."""

    parent: str


class PageLinks(TypedDict):
    """The addresses of this page and its neighbours; null where there is none."""

    self: str
    next: str | None
    prev: str | None


class MediaEnvelope(TypedDict):
    """One media item."""

    meta: Meta
    data: MediaResource
    links: Links


class EmptyEnvelope(TypedDict):
    """What is left of a deleted media item."""

    meta: Meta
    data: None
    links: ParentLink


class MediaListEnvelope(TypedDict):
    """One page of media items."""

    meta: ListMeta
    data: list[MediaResource]
    links: PageLinks


class MediaErrorEnvelope(TypedDict):
    """A refused request to `/media`: `error` is what the body of any other refused request is."""

    meta: Meta
    data: None
    error: ErrorResource
    links: ParentLink


@dataclass(frozen=True)
class RequestInfo:
    """The request, as `meta` describes it.

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


def envelope(request: RequestInfo, data: MediaResource, *, status: int = 200) -> MediaEnvelope:
    """One media item."""
    meta: Meta = {**_meta(request, status), "type": "object"}
    links: Links = {"self": f"{request.collection}/{data['id']}", "parent": request.collection}
    return {"meta": meta, "data": data, "links": links}


def empty_envelope(request: RequestInfo, *, status: int = 200) -> EmptyEnvelope:
    """The response to `DELETE`: no `data`, no type, no link to itself."""
    meta: Meta = {**_meta(request, status), "type": None}
    return {"meta": meta, "data": None, "links": {"parent": request.collection}}


def list_envelope(
    request: RequestInfo, data: Sequence[MediaResource], page: Page, *, status: int = 200
) -> MediaListEnvelope:
    """One page of media items."""
    meta: ListMeta = {
        **_meta(request, status),
        "type": "list",
        "query": dict(page.query),
        "total": page.total,
        "limit": page.limit,
        "page": page.number,
        "pages": page.pages,
    }
    return {"meta": meta, "data": list(data), "links": _page_links(request, page)}


def error_envelope(
    request: RequestInfo, *, status: int, kind: RequestFault, message: str, errors: Sequence[FieldFault] = ()
) -> MediaErrorEnvelope:
    """A refused request: `data` is null, `error` says why, field by field where `errors` are given."""
    error = error_resource(kind, message, errors, request.id)
    meta: Meta = {**_meta(request, status), "type": None}
    return {"meta": meta, "data": None, "error": error, "links": {"parent": request.collection}}


def org_id(project: str) -> str | None:
    """The organisation of a project: there is one for each, so its id is derived from the project's."""
    try:
        return derived("org", project, "org")
    except InvalidId:
        return None


def _meta(request: RequestInfo, status: int) -> _Meta:
    return {
        "id": request.id,
        "org_id": org_id(request.project) if request.project else None,
        "project_id": request.project,
        "method": request.method,
        "host": request.base,
        "path": request.path,
        "version": API_VERSION,
        "status": status,
    }


def _page_links(request: RequestInfo, page: Page) -> PageLinks:
    def address(number: int) -> str:
        parameters = [*page.parameters, *([("page", str(number))] if number > 1 else [])]
        return request.base + request.path + (f"?{urlencode(parameters)}" if parameters else "")

    # A page beyond the end leads back to the last one that has items.
    before = min(page.number - 1, page.pages)
    return {
        "self": address(page.number),
        "next": address(page.number + 1) if page.number < page.pages else None,
        "prev": address(before) if before >= 1 else None,
    }
