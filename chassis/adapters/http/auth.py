"""Authentication: the `Authorization` header names a project, and a short cache in front of the table of keys."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.errors import token_invalid, token_missing
from chassis.adapters.http.rate_limit import RATE_HEADERS
from chassis.core.caches import TtlCache
from schemas.keys import ApiKey, hash_key, well_formed

TTL_SECONDS = 0.5
"""How long a cached result is used. A revoked key has to be refused within a second."""
MAX_CACHED_KEYS = 10_000
"""Bound of the cache, so that requests with many different unknown keys cannot fill the memory."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyStore(Protocol):
    """Finds a key by the hash of its text; None where there is none. Revoked keys may be returned as such.

    `count` counts a request of a caller and gives header fields for its response; it raises ApiError 429.
    """

    async def find(self, hash: str) -> ApiKey | None: ...

    async def count(self, caller: "Caller") -> Mapping[str, str]: ...


class CachedKeys:
    """A KeyStore that calls `find` at most once per key and `ttl` seconds; it keeps the last `size` results.

    The age of a result counts from before the call, so that no result is older than `ttl`. `count` is as in KeyStore;
    without it no request is counted.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[ApiKey | None]],
        count: "Callable[[Caller], Awaitable[Mapping[str, str]]] | None" = None,
        *,
        ttl: float = TTL_SECONDS,
        size: int = MAX_CACHED_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._count = count
        self._results = TtlCache[str, ApiKey | None](ttl=ttl, size=size, clock=clock)

    async def find(self, hash: str) -> ApiKey | None:
        return await self._results.get(hash, lambda: self._find(hash))

    async def count(self, caller: "Caller") -> Mapping[str, str]:
        return {} if self._count is None else await self._count(caller)


@dataclass(frozen=True)
class Caller:
    """The project that a request acts for, and the key it came with."""

    project: str
    key_id: str


CALLER = web.RequestKey("caller", Caller)
"""Key under which an authenticated request carries its caller: `request.get(CALLER)` is None before authentication."""


def authenticated(keys: KeyStore, handler: Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]) -> Handler:
    """`handler`, called with the caller of each request, which also carries it under `CALLER`.

    Raises ApiError 401 `token_missing` or `token_invalid`, and 429.
    """

    async def authenticate(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER] = await identify(keys, request.headers.get("Authorization"))
        bind_contextvars(project=caller.project)
        request[RATE_HEADERS] = {**await keys.count(caller)}
        return await handler(request, caller)

    return authenticate


async def identify(keys: KeyStore, header: str | None) -> Caller:
    """The caller named by an `Authorization` header, or ApiError 401.

    The checksum of the key is verified first, so that a mistyped key costs no query.
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
