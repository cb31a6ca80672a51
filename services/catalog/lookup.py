"""Looks up single resources, and decides the response if one is missing: not found, or not yet known.

The response to a missing id is 404 only once it is certain that the catalog has read everything that was accepted
before the request; until then the request waits, and gets 503 in the end. See `services.catalog.publication`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from chassis.core.concurrency import SharedCall
from chassis.core.fair_slots import FairSlots
from schemas.ids import is_id, minted_at_ms
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.topics import JOB_CREATED, JOB_RESULTS, KEY_CHANGED, MEDIA_CHANGED, MEDIA_CREATED, Topic
from services.catalog.errors import not_yet_known
from services.catalog.projection import file_name
from services.catalog.publication import Evidence, Watermark, all_published, required_evidence
from services.catalog.queries import Hidden, Queries, StoredFile
from services.catalog.waiting import TooManyWaiting, WaitingRequests

GRACE_SECONDS = 1.0
"""How long a file name is waited for at least: ingest may have responded before it published the event."""
NAME_WAIT_SECONDS = 2.5
"""How long a file name is waited for at most."""
POLL_SECONDS = 0.1
"""Interval of repeated look-ups: another replica may project what a request waits for, and cannot wake it. It doubles
with each look, because a name that somebody invented is looked up as often as a real one."""
ANONYMOUS_QUERIES = 5
"""Queries at the same time for requests whose project is not known: half of the connections by default."""
CAUGHT_UP_SECONDS = 1.0
"""How long one call waits for the projection; then the next one begins, with new offsets."""

T = TypeVar("T")


class Watermarks(Protocol):
    """The part of `services.catalog.watermarks.OutboxWatermarks` that is used here."""

    @property
    def recent(self) -> Sequence[Watermark]: ...

    async def wait_until(self, holds: Callable[[Sequence[Watermark]], bool]) -> None: ...

    async def end_offset(self) -> int | None: ...


WaitCaughtUp = Callable[[Sequence[Topic], float], Awaitable[bool]]
"""Waits, at most so many seconds, until the projection has committed all that is in the topics now; whether it did."""


class Lookup:
    """`wait` is how many seconds a request waits for an id at most.

    `party` names whose waiting requests are counted together: `client:<address>`, or a project's id. So a request
    without a known key never uses up what a project may have waiting, nor what another client may. Neither do their
    queries use up the connections: at most `anonymous_queries` run at a time, shared out fairly among the clients.
    """

    def __init__(
        self,
        queries: Queries,
        waiting: WaitingRequests,
        watermarks: Watermarks,
        wait_caught_up: WaitCaughtUp,
        *,
        wait: float,
        grace: float = GRACE_SECONDS,
        name_wait: float = NAME_WAIT_SECONDS,
        poll: float = POLL_SECONDS,
        anonymous_queries: int = ANONYMOUS_QUERIES,
    ) -> None:
        self._queries = queries
        self._waiting = waiting
        self._watermarks = watermarks
        self._wait = wait
        self._grace = grace
        self._name_wait = name_wait
        self._poll = poll
        self._anonymous = FairSlots(anonymous_queries)
        self._end_offset = SharedCall(watermarks.end_offset)

        def caught_up(*topics: Topic) -> SharedCall[bool]:
            return SharedCall(lambda: wait_caught_up(topics, CAUGHT_UP_SECONDS))

        self._jobs_caught_up = caught_up(JOB_CREATED, MEDIA_CREATED)
        self._media_caught_up = caught_up(MEDIA_CREATED, MEDIA_CHANGED)
        self._files_caught_up = caught_up(JOB_RESULTS, MEDIA_CREATED, MEDIA_CHANGED)
        self._keys_caught_up = caught_up(KEY_CHANGED)

    async def job(self, id: str, project: str) -> Job | None:
        """The job; None if it does not exist in this project. Raises ApiError 503 while that is not certain."""
        if not is_id(id, "job", "task"):
            return None
        return await self._by_id(id, project, lambda: self._queries.job(id, project), self._jobs_caught_up)

    async def job_of_task(self, id: str, project: str) -> Job | None:
        """As `job`, for the id of a job or of one of its steps."""
        if not is_id(id, "job", "task"):
            return None

        async def look() -> Job | None:
            job = await self._queries.job(id, project)
            return job if job is not None or is_id(id, "job") else await self._queries.job_of_step(id, project)

        return await self._by_id(id, project, look, self._jobs_caught_up)

    async def media_item(self, id: str, project: str) -> MediaItem | None:
        """As `job`; None also for a deleted item."""
        if not is_id(id, "med"):
            return None

        async def look() -> MediaItem | Hidden | None:
            return await self._queries.media_item(id, project)

        found: MediaItem | Hidden | None = await self._by_id(id, project, look, self._media_caught_up)
        return None if isinstance(found, Hidden) else found

    @asynccontextmanager
    async def anonymous(self, party: str) -> AsyncIterator[None]:
        """The party's turn to query for a request whose project is not known."""
        await self._anonymous.acquire(party)
        try:
            yield
        finally:
            self._anonymous.release(party)

    async def key(self, hash: str, party: str) -> ApiKey | None:
        """The key with this hash; it may have been made a moment ago. Raises ApiError 503 as `job` does."""

        async def certain() -> None:
            # The `keys` command writes it from a process of its own: only the watermark says when it is published.
            await self._published()
            await self._repeat_until(self._keys_caught_up)

        return await self._by_name(hash, party, lambda: self._queries.key(hash), certain, self._wait)

    async def file(self, project: str, path: str, party: str) -> StoredFile | None:
        """The object behind a name at the delivery address. Raises ApiError 503 as `job` does."""

        async def certain() -> None:
            await asyncio.sleep(self._grace)
            await self._repeat_until(self._files_caught_up)

        name = file_name(project, path)
        return await self._by_name(name, party, lambda: self._queries.file(project, path), certain, self._name_wait)

    async def had_file(self, project: str, path: str, party: str) -> bool:
        """Whether a deleted media item had the name: for names that `file` does not find."""
        async with self.anonymous(party):
            return await self._queries.had_file(project, path)

    async def _by_name(
        self,
        name: str,
        party: str,
        look: Callable[[], Awaitable[T | None]],
        certain: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> T | None:
        async def take_turn() -> T | None:
            async with self.anonymous(party):
                return await look()

        found = await take_turn()
        return found if found is not None else await self._wait_for(name, party, take_turn, certain, seconds)

    async def _by_id(
        self, id: str, project: str, look: Callable[[], Awaitable[T | None]], caught_up: SharedCall[bool]
    ) -> T | None:
        found = await look()
        if found is not None:
            return found
        evidence = required_evidence(minted_at_ms(id), self._watermarks.recent)

        async def certain() -> None:
            if evidence is Evidence.PUBLISHED:
                await self._published()
            await self._repeat_until(caught_up)

        return await self._wait_for(id, project, look, certain, self._wait)

    async def _wait_for(
        self,
        name: str,
        party: str,
        look: Callable[[], Awaitable[T | None]],
        certain: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> T | None:
        """What `look` finds; None once `certain` has returned and it still finds nothing."""
        try:
            with self._waiting.admit(party, name) as changed:
                return await self._look_until(look, changed, certain, seconds)
        except TooManyWaiting:
            raise not_yet_known() from None

    async def _look_until(
        self,
        look: Callable[[], Awaitable[T | None]],
        changed: asyncio.Event,
        certain: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> T | None:
        loop = asyncio.get_running_loop()
        deadline, poll = loop.time() + seconds, self._poll
        task = asyncio.ensure_future(certain())
        task.add_done_callback(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                # Before the look: what became certain during it may have been projected after it.
                complete = task.done()
                if (found := await look()) is not None:
                    return found
                if complete:
                    task.result()
                    return None
                left = deadline - loop.time()
                if left <= 0:
                    raise not_yet_known()
                await _wait(changed, min(left, poll))
                poll *= 2
        finally:
            task.cancel()

    async def _published(self) -> None:
        """Returns once everything that ingest has committed by now is in Kafka."""
        while (end_offset := await self._end_offset()) is None:  # noqa: ASYNC110 - Kafka does not notify when it is back
            await asyncio.sleep(self._poll)
        end = end_offset
        await self._watermarks.wait_until(lambda recent: all_published(recent, end))

    async def _repeat_until(self, caught_up: SharedCall[bool]) -> None:
        while not await caught_up():  # noqa: ASYNC110 - the call itself waits; it fails at once where Kafka is away
            await asyncio.sleep(self._poll)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
