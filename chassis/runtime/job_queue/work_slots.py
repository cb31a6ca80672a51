"""Work slots: how much a worker does at a time with processor and memory, shared fairly by the projects.

An attempt first waits, for its input and for a slot; then it works. Only the second part holds a slot, so that slow
servers of one project hold none, and only the second part can crash the worker, in all likelihood: an item that only
waited when its worker disappeared is not suspected of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.fair_slots import FairSlots
from chassis.runtime.job_queue.item import QueueItem
from chassis.runtime.job_queue.queue import JobQueue

SHORT_WORK_S = 10.0
"""Estimated seconds up to which work is short."""
SHORT_LIMIT_S = 30.0
"""After so many seconds work counts as long, whatever its estimate was."""
RECORD_AFTER_S = 1.0
"""Waiting is recorded in the row once it has lasted so long: most attempts never write it."""
_WRITE_SECONDS = 2.0

log = logs.get_logger(__name__)


class WorkSlots:
    """`slots` slots for the attempts at items of a queue, one more for a project that has none of them, and one that is
    kept for short work:

        async with work_slots.attempt(item) as attempt:
            ...  # waits for the input
            async with attempt.work():
                ...  # works on it, in a slot
                await attempt.expect(seconds)  # as soon as that can be told
            ...  # stores the output

    Work is short until `expect` says otherwise: a look at the input is. Then long work moves to a slot that is not
    kept, or waits for one, so that short work never waits for the end of long work. Work that takes longer than
    `short_limit_s` counts as long from then on, and the next short work begins beside it: estimates may be wrong.

    A suspect item gets a slot when no other is taken, and while it works no other is: if the worker crashes
    then, it was the item. Its waiting is alone as well where the crashes happened while it waited.
    """

    def __init__(
        self,
        queue: JobQueue,
        slots: int,
        *,
        record_after_s: float = RECORD_AFTER_S,
        short_limit_s: float = SHORT_LIMIT_S,
    ) -> None:
        self._queue = queue
        self.short_limit_s = short_limit_s
        self._size = slots
        self._slots = FairSlots(slots, extra=1, kept=1)
        self._record_after_s = record_after_s
        self._attempts: dict[str, AttemptSlot] = {}
        self._full: set[str] = set()
        """Projects of which a claim has got nothing, because they were full."""

    def has_begun(self, item_id: str) -> bool:
        """Whether the attempt at an item has got a slot, so that work would be lost if it was stopped."""
        attempt = self._attempts.get(item_id)
        return attempt is not None and attempt.begun

    def full_projects(self) -> list[str]:
        """The projects of which as many attempts wait for a slot as there are slots.

        A runner claims no more of theirs: another worker may have a free slot. It is woken once they have room.
        """
        full = [project for project, waiting in self._slots.waiting().items() if waiting >= self._size]
        self._full.update(full)
        return full

    async def acquire(self, item: QueueItem, *, short: bool) -> None:
        """Waits for a slot."""
        try:
            await self._slots.acquire(item.project, alone=item.suspect, short=short)
        finally:
            waiting = self._slots.waiting()
            room = {project for project in self._full if waiting[project] < self._size}
            if room:
                self._full -= room
                self._queue.wake()

    def release(self, item: QueueItem, *, short: bool) -> None:
        """Gives the slot of the attempt at the item back."""
        self._slots.release(item.project, alone=item.suspect, short=short)

    def lengthen(self, item: QueueItem) -> bool:
        """Whether long work may stay in the slot that the attempt at the item has; it counts as long then."""
        return self._slots.lengthen(item.project)

    def overdue(self) -> None:
        """The work in some slot counts as long from now on."""
        self._slots.overdue()

    @asynccontextmanager
    async def attempt(self, item: QueueItem) -> AsyncIterator["AttemptSlot"]:
        """An attempt that waits. Raises LeaseLost for a suspect item that another worker has claimed meanwhile."""
        attempt = AttemptSlot(self._queue, self, item, self._record_after_s)
        attempt.wait()
        self._attempts[item.id] = attempt
        try:
            if item.suspect_waiting:
                await attempt.take()
            yield attempt
        finally:
            self._attempts.pop(item.id, None)
            await attempt.end()


class AttemptSlot:
    """The slot of one attempt, and whether its row says that it waits."""

    def __init__(self, queue: JobQueue, slots: WorkSlots, item: QueueItem, record_after_s: float) -> None:
        self._queue = queue
        self._slots = slots
        self._item = item
        self._record_after_s = record_after_s
        self._taken = False
        self._long = False
        """Whether the work has turned out to be long, or was too long to be short."""
        self._limit: asyncio.TimerHandle | None = None
        self.begun = False
        self._recording: asyncio.Task[None] | None = None
        self._recorded_as_waiting = False
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """Waits for a slot and holds it inside the block."""
        await self.take()
        yield
        # After an exception the attempt is over, and `end` gives the slot back.
        if self._item.suspect:
            # Before others work: a crash is not this item's any more.
            await self._record(waiting=True)
        else:
            self.wait()
        self._give_back()

    async def take(self) -> None:
        """Waits for a slot, and does not wait any more from then on; does nothing if the attempt has one."""
        if self._taken:
            return
        item = self._item
        if item.suspect:
            log.warning("queue_item_isolated", item_id=item.id, crashed=item.crashed, crashed_alone=item.crashed_alone)
        short = not self._long
        await self._slots.acquire(item, short=short)
        self._taken = self.begun = True
        if short:
            self._limit = asyncio.get_running_loop().call_later(self._slots.short_limit_s, self._overdue)
        # Before `start_alone`, which a record of waiting would undo.
        await self._stop_recording()
        if self._recorded_as_waiting:
            await self._record(waiting=False)
        if item.suspect:
            await self._queue.start_alone(item)

    async def expect(self, seconds: float) -> None:
        """The work in the slot will take about so many seconds: long work may have to wait for another slot."""
        if seconds <= SHORT_WORK_S or self._long or self._item.suspect:
            return
        if self._slots.lengthen(self._item):
            self._set_long()
            return
        self._give_back()
        self._set_long()
        self.begun = False  # nothing would be lost but a look at the input
        self.wait()
        await self.take()

    def wait(self) -> None:
        """The attempt waits from now on."""
        self._recording = asyncio.create_task(self._record_waiting())

    async def end(self) -> None:
        """The attempt is over."""
        self._give_back()
        await self._stop_recording()

    def _give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._slots.release(self._item, short=not self._long)
            self._stop_limit()

    def _overdue(self) -> None:
        self._set_long()
        self._slots.overdue()

    def _set_long(self) -> None:
        self._long = True
        self._stop_limit()

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    async def _record_waiting(self) -> None:
        await asyncio.sleep(self._record_after_s)
        await self._record(waiting=True)

    async def _stop_recording(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            async with self._writing:  # cancelling a query closes its connection
                recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)

    async def _record(self, *, waiting: bool) -> None:
        async with self._writing:
            self._recorded_as_waiting = waiting
            # While Postgres is away the work goes on: a crash is then attributed as if nothing had changed.
            with suppress(Exception):
                await abandon_after(_WRITE_SECONDS, self._queue.set_waiting(self._item, waiting))
