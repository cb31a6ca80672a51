"""Accepted work of which no end is known after a while is announced again: Kafka may have lost the records.

An event leaves the outbox once Kafka has acknowledged it, and a Kafka may lose what it has acknowledged: a power cut
that all of its replicas share, a lost disk. Readers are idempotent. A job that is only slow is not queued again, and a
snapshot that is not newer changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.adapters.postgres import Connection
from chassis.core import logs
from chassis.core.metrics import counter
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.events import (
    JobCreated,
    MediaAccepted,
    MediaDeleted,
    MediaEvent,
    MediaFailed,
    MediaUpdated,
)
from schemas.jobs import Job
from schemas.media import MediaItem
from services.ingest.connection_rows import with_connections
from services.ingest.inputs import Inputs
from services.ingest.store import Store

BATCH = 200
"""Short transactions: requests use the same database."""
BATCHES = 10
"""In one pass. More work without an end waits for the next pass."""
MAX_UNPUBLISHED = 2000
"""Events in the outbox. With more, Kafka is away or slow: what was not announced a first time needs no second."""
LONGEST_PAUSE = timedelta(days=1)
ANNOUNCED_FOR = timedelta(days=28)
"""At most."""
FORGOTTEN_AFTER = timedelta(days=2)
"""The announcements end so long before workers forget their ended jobs: one of those would run a second time."""
PASSES_PER_PAUSE = 5
SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(minutes=1)

log = logs.get_logger(__name__)
announced_total = counter(
    "bitmill_announced_again", "Jobs and media items that were announced again, by kind.", ("service", "kind")
)


def pauses(
    first: timedelta, *, longest: timedelta = LONGEST_PAUSE, total: timedelta = ANNOUNCED_FOR
) -> tuple[timedelta, ...]:
    """The pauses after the announcements of a job, each twice as long as the one before, up to `longest` (pure).

    Their sum is at most `total`, except that there is always one.
    """
    found = [first]
    while True:
        following = max(first, min(found[-1] * 2, longest))
        if sum(found, following) > total:
            return tuple(found)
        found.append(following)


def announced_for(retention: timedelta) -> timedelta:
    """How long a job without an end is announced again where workers keep ended jobs for `retention` (pure)."""
    return min(ANNOUNCED_FOR, retention - FORGOTTEN_AFTER)


def interval(first: timedelta) -> timedelta:
    """How often to look for what is due after `first` (pure)."""
    return min(max(first / PASSES_PER_PAUSE, SHORTEST_INTERVAL), LONGEST_INTERVAL)


def state_event(item: MediaItem) -> MediaEvent:
    """The event that tells a reader of media items the present state (pure)."""
    match item.status:
        case "processing":
            return MediaAccepted(media=item)
        case "failed":
            return MediaFailed(media=item)
        case "deleted":
            return MediaDeleted(media=item)
        case _:
            return MediaUpdated(media=item)


@dataclass(frozen=True)
class Announced:
    """What a batch or a pass has announced again."""

    jobs: int = 0
    media: int = 0

    def __add__(self, other: "Announced") -> "Announced":
        return Announced(self.jobs + other.jobs, self.media + other.media)


@dataclass(frozen=True)
class Announcements:
    """`pauses` are those after the first announcement of a job, the second, and so on.

    A media item is announced once more after the first pause: nobody reports that its state was read.
    """

    store: Store
    queue: JobQueue
    outbox: Outbox
    inputs: Inputs
    pauses: Sequence[timedelta]
    batch: int = BATCH
    batches: int = BATCHES
    max_unpublished: int = MAX_UNPUBLISHED

    async def repeat(self) -> Announced:
        """One pass; nothing where another replica makes one at this moment."""
        announced = Announced()
        for _ in range(self.batches):
            found = await self._batch()
            announced += found
            if found.jobs < self.batch and found.media < self.batch:
                break
        if announced != Announced():
            log.warning("work_announced_again", jobs=announced.jobs, media_items=announced.media)
            announced_total.labels("ingest", "job").inc(announced.jobs)
            announced_total.labels("ingest", "media").inc(announced.media)
        return announced

    async def _batch(self) -> Announced:
        async with self.store.transaction() as conn:
            if not await self.store.try_announcing(conn, self.max_unpublished):
                return Announced()
            jobs = await with_connections(conn, await self.store.announce_jobs(conn, self.pauses, self.batch))
            await self.outbox.put(conn, *[JobCreated(job=job, repeated=True) for job in jobs])
            await self._cancellations(conn, jobs)
            # What they wait for may have ended in a process of the previous release.
            await self.inputs.release(conn, [job.waits_for for job in jobs if job.waits_for is not None])
            media = await self._media(conn)
        if jobs or media:
            self.outbox.wake()
        return Announced(len(jobs), media)

    async def _cancellations(self, conn: Connection, jobs: Sequence[Job]) -> None:
        """Cancels again what is announced again, in the same transaction."""
        await self.outbox.put(conn, *await self.store.cancellations_of(conn, jobs))

    async def _media(self, conn: Connection) -> int:
        items = await self.store.announce_media(conn, self.pauses[0], self.batch)
        # The creation as it was, for readers of media.created, then what has become of the item since.
        await self.queue.repeat_final_events(conn, [item.id for item in items if item.status == "active"])
        await self.outbox.put(conn, *[state_event(item) for item in items])
        return len(items)
