"""The limits of a project: its own where it has some, else those of the settings."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chassis.adapters.http.auth import Caller
from chassis.adapters.http.rate_limit import Quota, caller_quotas
from chassis.core.caches import TtlCache
from schemas.projects import Project
from services.ingest.settings import Settings

TTL_SECONDS = 1.0
"""How long limits are used without asking again."""
MAX_CACHED_PROJECTS = 10_000


@dataclass(frozen=True)
class Limits:
    """Requests a minute of the project and of each of its keys (0: no limit), and the bounds of its unfinished work."""

    rate: int
    key_rate: int
    unfinished_jobs: int
    unfinished_imports: int


class ProjectLimits:
    """Limits by project, kept for a second. `find_project` gives the project with an id."""

    def __init__(
        self,
        find_project: Callable[[str], Awaitable[Project | None]],
        settings: Settings,
        *,
        ttl: float = TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_project = find_project
        self._settings = settings
        self._known = TtlCache[str, Limits](ttl=ttl, size=MAX_CACHED_PROJECTS, clock=clock)

    async def of(self, project: str) -> Limits:
        return await self._known.get(project, lambda: self._find(project))

    async def quotas(self, caller: Caller) -> list[Quota]:
        """What the requests of a caller are counted by."""
        limits = await self.of(caller.project)
        return caller_quotas(caller.project, limits.rate, caller.key_id, limits.key_rate)

    async def unfinished_jobs(self, project: str) -> int:
        return (await self.of(project)).unfinished_jobs

    async def unfinished_imports(self, project: str) -> int:
        return (await self.of(project)).unfinished_imports

    async def _find(self, id: str) -> Limits:
        return resolved(await self._find_project(id), self._settings)


def resolved(project: Project | None, settings: Settings) -> Limits:
    """The limits of the project (pure)."""

    def own(field: str, default: int) -> int:
        value: int | None = getattr(project, field, None)
        return default if value is None else value

    return Limits(
        rate=own("rate_limit", settings.rate_limit),
        key_rate=own("key_rate_limit", settings.key_rate_limit),
        unfinished_jobs=own("max_unfinished_jobs", settings.max_unfinished_jobs),
        unfinished_imports=own("max_unfinished_imports", settings.max_unfinished_imports),
    )
