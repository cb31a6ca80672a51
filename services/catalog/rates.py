"""How many requests that read a project and each of its keys may send in a minute."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from chassis.adapters.http.auth import Caller
from chassis.adapters.http.rate_limit import RateLimit, caller_quotas
from chassis.core.caches import TtlCache
from chassis.core.rate_settings import RateSettings

TTL_SECONDS = 1.0
"""How long the limits of a project are used without asking again."""
MAX_CACHED_PROJECTS = 10_000
OwnRates: TypeAlias = tuple[int | None, int | None]
"""Requests a minute of a project and of each of its keys; None where those of the settings count."""


class RequestRates:
    """Counts the requests of callers. `own_rates` asks the tables for the limits of a project."""

    def __init__(
        self,
        rate_limit: RateLimit,
        own_rates: Callable[[str], Awaitable[OwnRates]],
        settings: RateSettings,
        *,
        ttl: float = TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_limit = rate_limit
        self._own_rates = own_rates
        self._settings = settings
        self._known = TtlCache[str, OwnRates](ttl=ttl, size=MAX_CACHED_PROJECTS, clock=clock)

    async def count(self, caller: Caller) -> Mapping[str, str]:
        """Counts a request; the header fields that say what is left. Raises ApiError 429."""
        rate, key_rate = await self._known.get(caller.project, lambda: self._own_rates(caller.project))
        quotas = caller_quotas(
            caller.project,
            self._settings.rate_limit if rate is None else rate,
            caller.key_id,
            self._settings.key_rate_limit if key_rate is None else key_rate,
        )
        return await self._rate_limit.count(quotas)
