"""Who asks: from the `Authorization` header to a project."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.auth.keys import hash_key, well_formed
from chassis.auth.store import KeyStore
from chassis.http.errors import token_invalid, token_missing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Caller:
    """The project that a request acts for, and the key it came with."""

    project: str
    key_id: str


def authenticated(keys: KeyStore, handler: Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]) -> Handler:
    """`handler`, called with the caller of each request; refusals 401 `token_missing` and `token_invalid`."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        caller = await identify(keys, request.headers.get("Authorization"))
        bind_contextvars(project=caller.project)
        return await handler(request, caller)

    return guarded


async def identify(keys: KeyStore, header: str | None) -> Caller:
    """The caller named by an `Authorization` header, or a Refusal 401.

    The checksum is looked at before the store is: made-up keys cost no query.
    """
    scheme, _, token = (header or "").strip().partition(" ")
    token = token.strip()
    if not scheme or (scheme.lower() == "bearer" and not token):
        raise token_missing()
    if scheme.lower() != "bearer" or not well_formed(token):
        raise token_invalid()
    key = await keys.find(hash_key(token))
    if key is None or key.revoked_at is not None:
        raise token_invalid()
    return Caller(project=key.project, key_id=key.id)
