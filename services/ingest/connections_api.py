"""HTTP in: connections of the caller's project. Responses never have the secret."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, conflict, invalid_input, not_found
from chassis.adapters.http.json_body import json_bytes, parse, read_json
from chassis.adapters.http.response_deadline import begin_response_deadline
from chassis.core.ids import new_id, now_ms
from schemas.connections import ConnectionPatch, ConnectionRequest, DeletedConnectionResource
from schemas.explain import format_errors
from schemas.faults import FieldFault
from schemas.ids import is_id
from services.ingest.api_parts import ApiParts, json_answer
from services.ingest.connections import (
    CheckFailed,
    ConnectionNameTaken,
    NoKeyring,
    TooManyConnections,
    UnknownConnection,
)
from services.ingest.requests import address_faults

_SECRET = "secret_access_key"  # noqa: S105 - the name of the field
_MASK = "***"

Body = TypeVar("Body", ConnectionRequest, ConnectionPatch)


class ConnectionApi:
    """The handlers. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [
            web.get("/connections", authenticated(keys, self.list), allow_head=False),
            web.post("/connections", authenticated(keys, self.create)),
            web.get("/connections/{id}", authenticated(keys, self.get), allow_head=False),
            web.patch("/connections/{id}", authenticated(keys, self.change)),
            web.delete("/connections/{id}", authenticated(keys, self.delete)),
        ]

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /connections."""
        body = self._body(ConnectionRequest, await read_json(request))
        with _errors_as_responses():
            new = await self._parts().connections.create(body, id=new_id("conn"), project=caller.project, at=now_ms())
        return json_answer(json_bytes(new.resource), 201)

    async def list(self, request: web.Request, caller: Caller) -> web.Response:
        """GET /connections: all of them, oldest first."""
        begin_response_deadline(request)
        connections = self._parts().connections
        listed = await connections.list(caller.project)
        headers = {"Has-More": "false", "Limit": str(connections.max_connections)}
        return json_answer(json_bytes([each.resource for each in listed]), 200, headers)

    async def get(self, request: web.Request, caller: Caller) -> web.Response:
        """GET /connections/{id}."""
        begin_response_deadline(request)
        with _errors_as_responses():
            found = await self._parts().connections.get(_id(request), caller.project)
        return json_answer(json_bytes(found.resource), 200)

    async def change(self, request: web.Request, caller: Caller) -> web.Response:
        """PATCH /connections/{id}."""
        patch = self._body(ConnectionPatch, await read_json(request))
        with _errors_as_responses():
            changed = await self._parts().connections.change(_id(request), caller.project, patch, now_ms())
        return json_answer(json_bytes(changed.resource), 200)

    async def delete(self, request: web.Request, caller: Caller) -> web.Response:
        """DELETE /connections/{id}."""
        id = _id(request)
        begin_response_deadline(request)
        with _errors_as_responses():
            await self._parts().connections.delete(id, caller.project)
        deleted: DeletedConnectionResource = {"id": id, "object": "connection", "deleted": True}
        return json_answer(json_bytes(deleted), 200)

    def _body(self, model: type[Body], data: Any) -> Body:
        """The body, validated; the fault of a secret does not repeat it."""
        try:
            body = parse(model, data)
        except ApiError as error:
            raise (invalid_input([_masked(fault) for fault in error.faults]) if error.faults else error) from None
        if body.endpoint is not None and (faults := address_faults("endpoint", body.endpoint, self._parts().egress)):
            raise invalid_input(faults)
        return body


def _masked(fault: FieldFault) -> FieldFault:
    shown = fault.field != _SECRET or fault.value == "(absent)"
    return fault if shown else fault.model_copy(update={"value": _MASK})


def _id(request: web.Request) -> str:
    id = request.match_info["id"]
    if not is_id(id, "conn"):
        raise _unknown()
    return id


def _unknown() -> ApiError:
    return not_found("connection_not_found", "There is no connection with this id.")


@contextmanager
def _errors_as_responses() -> Iterator[None]:
    try:
        yield
    except UnknownConnection:
        raise _unknown() from None
    except ConnectionNameTaken as error:
        taken = conflict("Another connection of the project has this name.", "connection_name_taken")
        taken.faults = [FieldFault(field="name", rule="must be unique in the project", value=f'"{error}"')]
        raise taken from None
    except TooManyConnections:
        raise conflict("The project has as many connections as it may have: delete one.", "connection_limit") from None
    except CheckFailed as error:
        message = f"The store cannot be used: {format_errors(list(error.faults))}"
        raise ApiError(422, "connection_check_failed", message, error.faults) from None
    except NoKeyring:
        message = "This installation stores no credentials: its operator has to set ENCRYPTION_KEYS."
        raise ApiError(501, "connections_disabled", message) from None
