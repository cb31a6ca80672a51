"""How the files of a project are delivered: to whoever knows the address, or only with a signature in it."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from chassis.core.caches import TtlCache
from schemas.delivery import DeliverySigner, DeliveryUrls
from services.catalog.errors import signature_refused

TTL_SECONDS = 1.0
"""How long a project's delivery mode is used without asking again."""
MAX_CACHED_PROJECTS = 10_000


class Delivery:
    """`is_signed` asks the tables whether a project's files need a signature; `signer` makes and checks signatures."""

    def __init__(
        self,
        is_signed: Callable[[str], Awaitable[bool]],
        signer: DeliverySigner,
        *,
        ttl: float = TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_signed = is_signed
        self._signer = signer
        self._modes = TtlCache[str, bool](ttl=ttl, size=MAX_CACHED_PROJECTS, clock=clock)

    async def urls(self, project: str) -> DeliveryUrls:
        """The addresses of the project's files, as its customers get them."""
        return self._signer.urls(project, await self._signed(project, nullcontext()))

    async def check(
        self, project: str, path: str, query: Mapping[str, str], turn: AbstractAsyncContextManager[None]
    ) -> bool:
        """Whether the file was requested with a signature that it needs. Raises ApiError 403 where it needs another.

        The tables are asked in the client's `turn`: it can invent projects.
        """
        if not await self._signed(project, turn):
            return False
        fault = self._signer.fault(project, path, query)
        if fault is not None:
            raise signature_refused(fault)
        return True

    async def _signed(self, project: str, turn: AbstractAsyncContextManager[None]) -> bool:
        async def ask() -> bool:
            async with turn:
                return await self._is_signed(project)

        return await self._modes.get(project, ask)
