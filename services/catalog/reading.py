"""Questions with patience: what was made a moment ago is waited for, because its event is still on its way."""

import re
from collections.abc import Callable, Sequence

from chassis.adapters.http.errors import unavailable
from chassis.adapters.storage import Storage
from schemas.ids import is_id
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from services.catalog.arrivals import Arrivals, file_name, is_young
from services.catalog.feed import Feed
from services.catalog.filters import JobsQuery, MediaFilter
from services.catalog.paging import JobsPage
from services.catalog.queries import Hidden, MediaList, Queries
from services.catalog.rows import Deliverable

KEY_WAIT_SECONDS = 1.0
"""How long an unknown key with a good checksum is waited for: it may have been made a moment ago."""
NAME_WAIT_SECONDS = 1.0
"""How long a file is waited for whose name holds no id: its media item may have been stored a moment ago."""
RETRY_AFTER_SECONDS = 5
_ID = re.compile(r"(?:job|task|med)_[0-9a-z]{26}")


class Reading:
    """What requests ask for. `wait` is how many seconds a young id is waited for; `now_ms` is the clock.

    An id that is not here while no events reach us is refused as unavailable: it may be good.
    """

    def __init__(
        self,
        queries: Queries,
        storage: Storage,
        arrivals: Arrivals,
        feed: Feed,
        *,
        wait: float,
        now_ms: Callable[[], int],
    ) -> None:
        self.storage = storage
        self._queries = queries
        self._arrivals = arrivals
        self._feed = feed
        self._wait = wait
        self._now_ms = now_ms

    async def job(self, id: str, project: str) -> Job | None:
        if not is_id(id, "job", "task"):
            return None
        found = await self._arrivals.until(id, lambda: self._queries.job(id, project), self._patience(id))
        if found is None:
            await self._refuse_if_late(id)
        return found

    async def jobs(self, project: str, query: JobsQuery) -> tuple[JobsPage, Sequence[Job]]:
        return await self._queries.jobs(project, query)

    async def media_item(self, id: str, project: str) -> MediaItem | None:
        if not is_id(id, "med"):
            return None

        async def look() -> MediaItem | Hidden | None:
            return await self._queries.media_item(id, project)

        found: MediaItem | Hidden | None = await self._arrivals.until(id, look, self._patience(id))
        if found is None:
            await self._refuse_if_late(id)
        return None if isinstance(found, Hidden) else found

    async def media(self, project: str, filter: MediaFilter) -> MediaList:
        return await self._queries.media(project, filter)

    async def key(self, hash: str) -> ApiKey | None:
        return await self._arrivals.until(hash, lambda: self._queries.key(hash), KEY_WAIT_SECONDS)

    async def file(self, project: str, path: str) -> Deliverable | None:
        """The object behind a name.

        A webhook, or the answer to a POST, may bring the address of a file before our own projection of the same event
        has it: what can still come is waited for.
        """
        found = await self._queries.file(project, path)
        if found is not None:
            return found
        wait = await self._file_patience(project, path)
        # At least one more look, also when there is nothing to wait for: the owner may have ended since the first.
        return await self._arrivals.until(file_name(project, path), lambda: self._queries.file(project, path), wait)

    async def _file_patience(self, project: str, path: str) -> float:
        """How long a file is waited for: not at all once the job or item in its path has ended."""
        match = _ID.search(path)
        if match is None or not is_id(match[0], "job", "task", "med"):
            return NAME_WAIT_SECONDS
        id = match[0]
        if id.startswith("med_"):
            deleted = isinstance(await self._queries.media_item(id, project), Hidden)
            return 0.0 if deleted else self._patience(id)
        job = await self._queries.job(id, project)
        if job is None:
            return self._patience(id)
        return 0.0 if job.finished else self._wait

    async def _refuse_if_late(self, id: str) -> None:
        if await self._feed.late(id):
            raise unavailable(RETRY_AFTER_SECONDS, "This cannot be looked up just now; try again soon.")

    def _patience(self, id: str) -> float:
        return self._wait if is_young(id, self._now_ms()) else 0.0
