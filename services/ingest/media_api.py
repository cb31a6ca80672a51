"""HTTP in: POST /media, and changes of media items, whose responses wait until the catalog shows them, for a moment."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.api_version import named_version, requested_version
from chassis.adapters.http.auth import CALLER, Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, ErrorStyle, conflict, default_style, invalid_input
from chassis.adapters.http.json_body import json_bytes, read_json
from chassis.adapters.http.middleware import REQUEST_ID
from chassis.adapters.http.response_deadline import begin_response_deadline
from chassis.core.ids import new_id, now_ms
from schemas.api import MetadataOutOfBounds
from schemas.envelope import RequestInfo, empty_envelope, envelope, error_envelope
from schemas.faults import FieldFault
from schemas.media import MediaItem
from schemas.media_resource import media_etag, media_resource
from schemas.v2025_08_20 import media as v2025_08_20
from schemas.versions import DEFAULT
from services.ingest import transitions
from services.ingest.api_parts import REPLAYED, ApiParts, idempotency_key, json_answer
from services.ingest.errors import NameTaken, media_not_found, name_taken, still_imported, version_mismatch
from services.ingest.media_changes import NoFile, NotDeleted, StillImported, UnknownItem, VersionMismatch
from services.ingest.media_items import media_accepted
from services.ingest.requests import empty_media_request, media_patch, media_request
from services.ingest.upload_inputs import UploadRefused


class MediaApi:
    """The handlers. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.post("/media", authenticated(keys, self.create)),
            web.patch("/media/{id}", authenticated(keys, self.edit)),
            web.delete("/media/{id}", authenticated(keys, self.delete)),
            web.post("/media/{id}/restore", authenticated(keys, self.restore)),
        ]

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /media: responds once the item can be read from the catalog, or with what is known after the wait.

        An item whose file cannot be fetched is a regular response: 200 with `status: failed` and the reason in `error`.
        """
        parts, version = self._parts(), requested_version(request)
        data = await read_json(request)
        at = now_ms()
        if version != DEFAULT and isinstance(data, dict) and "url" not in data:
            return await self._create_without_file(request, caller, data, at)
        body = media_request(data, parts.egress, at, parts.signer.base)
        key = idempotency_key(request, data, at)
        item = transitions.accepted(body, id=new_id("med"), project=caller.project, at=at)
        bind_contextvars(media_id=item.id)

        await parts.admit(parts.media_bound, caller.project, key)
        render = await self._renderer(request, caller)

        with parts.waiter.expect(caller.project, item.id):
            try:
                accepted = await parts.media.accept(item, body, key)
            except NameTaken:
                raise name_taken(body.folder, body.filename or "") from None
            except UploadRefused as refused:
                raise invalid_input([refused.fault]) from None
            if key is not None and not accepted:
                return json_answer(await parts.responses.replay_media(key, caller.project, render, at), 200, REPLAYED)
            media_accepted.labels("ingest", "http").inc()
            begin_response_deadline(request, (parts.waiter.timeout + parts.visibility.timeout).total_seconds())
            item = await parts.waiter.wait(item.id) or item
            if item.status != "processing":
                await parts.visibility.wait()
        response = render(item)
        if key is not None:
            response = await parts.responses.keep(key, caller.project, item.id, response)
        return json_answer(response, 200)

    async def _create_without_file(self, request: web.Request, caller: Caller, data: Any, at: int) -> web.Response:
        parts, body = self._parts(), empty_media_request(data)
        key = idempotency_key(request, data, at)
        item = transitions.without_file(body, id=new_id("med"), project=caller.project, at=at)
        bind_contextvars(media_id=item.id)
        render = await self._renderer(request, caller)
        if not await parts.media.accept_without_file(item, key) and key is not None:
            return json_answer(await parts.responses.replay_media(key, caller.project, render, at), 200, REPLAYED)
        media_accepted.labels("ingest", "http").inc()
        await parts.visibility.wait()
        response = render(item)
        if key is not None:
            response = await parts.responses.keep(key, caller.project, item.id, response)
        return json_answer(response, 200)

    async def edit(self, request: web.Request, caller: Caller) -> web.Response:
        """PATCH /media/{id}."""
        requested_version(request)
        parts = self._parts()
        patch = media_patch(await read_json(request))
        with _errors_as_responses(patch.folder):
            item = await parts.changes.edit(_id(request), caller.project, patch, request.headers.get("If-Match"))
        return await self._changed(request, caller, item)

    async def restore(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /media/{id}/restore: a deleted item is visible again, with its files."""
        requested_version(request)
        with _errors_as_responses(None):
            item = await self._parts().changes.restore(_id(request), caller.project)
        return await self._changed(request, caller, item)

    async def delete(self, request: web.Request, caller: Caller) -> web.Response:
        """DELETE /media/{id}."""
        parts, version = self._parts(), requested_version(request)
        with _errors_as_responses(None):
            await parts.changes.delete(_id(request), caller.project, request.headers.get("If-Match"))
        await parts.visibility.wait()
        if version != DEFAULT:
            return json_answer(json_bytes(v2025_08_20.deleted(_id(request))), 200)
        info = _request_info(request, caller.project, parts.public_base, request[REQUEST_ID])
        return json_answer(json_bytes(empty_envelope(info)), 200)

    async def _changed(self, request: web.Request, caller: Caller, item: MediaItem) -> web.Response:
        render = await self._renderer(request, caller)
        await self._parts().visibility.wait()
        return json_answer(render(item), 200, {"ETag": media_etag(item)})

    async def _renderer(self, request: web.Request, caller: Caller) -> Callable[[MediaItem], bytes]:
        parts = self._parts()
        project = await parts.find_project(caller.project)
        urls = parts.signer.urls(caller.project, signed=project is not None and project.signed)
        info = _request_info(request, caller.project, parts.public_base, request[REQUEST_ID])
        if requested_version(request) != DEFAULT:
            return lambda item: json_bytes(v2025_08_20.media(media_resource(item, urls), item.alt))
        return lambda item: json_bytes(envelope(info, media_resource(item, urls)))


def _id(request: web.Request) -> str:
    id = request.match_info["id"]
    bind_contextvars(media_id=id)
    return id


@contextmanager
def _errors_as_responses(folder: str | None) -> Iterator[None]:
    try:
        yield
    except UnknownItem:
        raise media_not_found() from None
    except VersionMismatch as error:
        raise version_mismatch(error.etag) from None
    except StillImported:
        raise still_imported() from None
    except NotDeleted:
        raise conflict("The media item is not deleted.") from None
    except NoFile:
        raise conflict("The media item has no file any more: it cannot be restored.") from None
    except NameTaken as taken:
        raise name_taken(folder, str(taken).rpartition("/")[2]) from None
    except MetadataOutOfBounds as error:
        raise invalid_input(
            [FieldFault(field="metadata", rule=str(error), value="(merged with what is there)")]
        ) from None


def media_error_style(public_base: str) -> ErrorStyle:
    """Renders the errors of /media in the envelope, where the version has one."""

    def style(request: web.Request, error: ApiError, request_id: str) -> Mapping[str, Any]:
        if named_version(request) != DEFAULT:
            return default_style(request, error, request_id)
        caller = request.get(CALLER)
        info = _request_info(request, caller.project if caller else None, public_base, request_id)
        return error_envelope(info, status=error.status, kind=error.kind, message=error.message, errors=error.faults)

    return style


def _request_info(request: web.Request, project: str | None, public_base: str, id: str) -> RequestInfo:
    return RequestInfo(id=id, method=request.method, host=public_base, path=request.path, project=project)
