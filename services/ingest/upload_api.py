"""HTTP in: POST /uploads gives an address, PUT to that address stores the file."""

from collections.abc import Callable

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.json_body import json_bytes, parse, read_json
from schemas.uploads import UploadRequest
from services.ingest.api_parts import ApiParts, json_answer


class UploadApi:
    """The handlers. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.post("/uploads", authenticated(keys, self.create)),
            # The token in the address is the permission: browsers that upload have no key.
            web.put("/uploads/{id}", self.receive),
        ]

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /uploads."""
        parts = self._parts()
        body = parse(UploadRequest, await read_json(request) if request.body_exists else {})
        await parts.admit(parts.upload_bound, caller.project, None)
        return json_answer(json_bytes(await parts.uploads.begin(caller.project, body)), 201)

    async def receive(self, request: web.Request) -> web.Response:
        """PUT /uploads/{id}?token=…"""
        id = request.match_info["id"]
        bind_contextvars(upload_id=id)
        stored = await self._parts().uploads.receive(id, request.query.get("token", ""), request)
        return json_answer(json_bytes(stored), 201)
