"""A day of mixed work of fifty projects in seconds: real claims and real work slots, a simulated clock and no work."""

import asyncio
import heapq
import random
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from chassis.core.fair_slots import FairSlots
from chassis.runtime.job_queue import JobQueue, NewItem, QueueItem
from chassis.runtime.job_queue.item import ClaimOptions
from chassis.runtime.job_queue.work_slots import SHORT_LIMIT_S, SHORT_WORK_S
from tests.chassis.runtime.job_queue.conftest import QueueFixture

HOUR = 3600.0
SLOTS = 2
FETCH_SLOTS = 16
PER_PROJECT = 6
SMALL = [f"small_{n}" for n in range(42)]


@dataclass
class Job:
    """`seconds` of work, which are estimated as `estimate`; added at a second of the day."""

    project: str
    at: float
    seconds: float
    estimate: float
    started: float | None = None
    ended: float | None = None

    @property
    def wait(self) -> float:
        assert self.started is not None
        return self.started - self.at


def a_day(chance: random.Random) -> dict[str, Job]:
    """Small projects with a clip now and then; six with films, also many at once, of which two estimate them as clips;
    and two with piles of work."""
    jobs: list[Job] = []
    for project in SMALL:
        for _ in range(10):
            seconds = chance.uniform(1, 9)
            jobs.append(Job(project, chance.uniform(0, 24 * HOUR), seconds, seconds))
    for n in range(6):
        at = chance.uniform(0, 20 * HOUR)
        lies = n < 2
        jobs += [Job(f"films_{n}", at, 1200.0, 5.0 if lies else 1200.0) for _ in range(6)]
    jobs += [Job("pile_of_clips", 2 * HOUR, 5.0, 5.0) for _ in range(300)]
    jobs += [Job("pile_of_videos", 2 * HOUR, 25.0, 25.0) for _ in range(60)]
    return {f"job_{n:05}": job for n, job in enumerate(jobs)}


@dataclass
class Simulation:
    """One worker process. Its clock goes from event to event."""

    queue: JobQueue
    fixture: QueueFixture
    jobs: dict[str, Job]
    now: float = 0.0
    slots: FairSlots = field(default_factory=lambda: FairSlots(SLOTS, extra=1, kept=1))
    most_at_a_time: int = 0
    _events: list[tuple[float, int, asyncio.Event | str]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)
    _attempts: set[asyncio.Task[QueueItem]] = field(default_factory=set)
    _working: int = 0

    async def run(self) -> None:
        for id, job in self.jobs.items():
            self._at(job.at, id)
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            if isinstance(event, str):
                await self._add(event)
            else:
                event.set()
            await self._settle()
            await self._claim()

    def _at(self, second: float, event: asyncio.Event | str) -> None:
        heapq.heappush(self._events, (second, next(self._order), event))

    async def _add(self, id: str) -> None:
        job = self.jobs[id]
        async with self.fixture.pool.acquire() as conn:
            await self.queue.add_many(conn, [NewItem(id, job.project, "video", {}, 0, job.estimate)])

    async def _claim(self) -> None:
        while len(self._attempts) < FETCH_SLOTS + SLOTS:
            full = [project for project, waiting in self.slots.waiting().items() if waiting >= SLOTS]
            bounds = ClaimOptions(per_project=PER_PROJECT + SLOTS, full_projects=full)
            items = (await self.queue.claim_many("w1", 1, **bounds)).items
            if not items:
                return
            self._attempts.add(asyncio.create_task(self._attempt(items[0])))
            await self._settle()

    async def _settle(self) -> None:
        """Lets attempts go on until all of them wait, and ends those that are over."""
        for _ in range(6):
            await asyncio.sleep(0)
        for task in [task for task in self._attempts if task.done()]:
            self._attempts.remove(task)
            await self.queue.finish(task.result(), "done")

    async def _attempt(self, item: QueueItem) -> QueueItem:
        job, short = self.jobs[item.id], True
        await self.slots.acquire(item.project, short=True)
        if job.estimate > SHORT_WORK_S:
            short = False
            if not self.slots.lengthen(item.project):
                self.slots.release(item.project, short=True)
                await self.slots.acquire(item.project)
        job.started, ended, limit = self.now, asyncio.Event(), asyncio.Event()
        self._working += 1
        self.most_at_a_time = max(self.most_at_a_time, self._working)
        self._at(self.now + job.seconds, ended)
        if short and job.seconds > SHORT_LIMIT_S:
            self._at(self.now + SHORT_LIMIT_S, limit)
            await limit.wait()
            self.slots.overdue()
            short = False
        await ended.wait()
        self._working -= 1
        job.ended = self.now
        self.slots.release(item.project, short=short)
        return item


async def test_a_day_of_fifty_projects_starves_nobody_and_keeps_short_work_short(fixture: QueueFixture) -> None:
    jobs = a_day(random.Random(8))
    queue = JobQueue(fixture.pool, fixture.outbox, lease=timedelta(hours=1))
    simulation = Simulation(queue, fixture, jobs)
    async with asyncio.timeout(300):
        await simulation.run()
    assert all(job.ended is not None for job in jobs.values()), "nothing starves"
    waits = sorted(job.wait for job in jobs.values() if job.project in SMALL)
    print(f"waits of clips: median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s")
    assert waits[-1] <= 60, "longest wait of short work, whatever the others do"
    assert simulation.most_at_a_time <= SLOTS + 3
    clips = [job for job in jobs.values() if job.project == "pile_of_clips"]
    videos = [job for job in jobs.values() if job.project == "pile_of_videos"]
    until = min(max(job.ended or 0.0 for job in pile) for pile in (clips, videos))
    shares = [sum(job.seconds for job in pile if (job.ended or 0.0) <= until) for pile in (clips, videos)]
    print(f"seconds of work of the two piles while both wait: {shares}")
    assert 0.5 <= shares[0] / shares[1] <= 2.0, shares
