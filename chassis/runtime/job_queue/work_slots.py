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

RECORD_AFTER_S = 1.0
"""Waiting is recorded in the row once it has lasted so long: most attempts never write it."""
_WRITE_SECONDS = 2.0

log = logs.get_logger(__name__)


class WorkSlots:
    """`slots` slots for the attempts at items of a queue, and one more for a project that has none of them:

        async with work_slots.attempt(item) as attempt:
            ...  # waits for the input
            async with attempt.work():
                ...  # works on it, in a slot
            ...  # stores the output

    A suspect item gets a slot when no other is taken, and while it works no other is: if the worker crashes
    then, it was the item. Its waiting is alone as well where the crashes happened while it waited.
    """

    def __init__(self, queue: JobQueue, slots: int, *, record_after_s: float = RECORD_AFTER_S) -> None:
        self._queue = queue
        self._size = slots
        self._slots = FairSlots(slots, extra=1)
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

    async def acquire(self, item: QueueItem) -> None:
        """Waits for a slot."""
        try:
            await self._slots.acquire(item.project, alone=item.suspect)
        finally:
            waiting = self._slots.waiting()
            room = {project for project in self._full if waiting[project] < self._size}
            if room:
                self._full -= room
                self._queue.wake()

    def release(self, item: QueueItem) -> None:
        """Gives the slot of the attempt at the item back."""
        self._slots.release(item.project, alone=item.suspect)

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
        await self._slots.acquire(item)
        self._taken = self.begun = True
        # Before `start_alone`, which a record of waiting would undo.
        await self._stop_recording()
        if self._recorded_as_waiting:
            await self._record(waiting=False)
        if item.suspect:
            await self._queue.start_alone(item)

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
            self._slots.release(self._item)

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
