"""Events that are not in memory, for listeners that go on after `Last-Event-ID` or have fallen behind.

They are read from the tables in parts, by a few listeners at a time, fairly among the projects: however many connect
again at once, most of the connections for queries are left to other requests.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chassis.core.fair_slots import FairSlots
from services.catalog.event_buffers import Render
from services.catalog.event_log import EventLog
from services.catalog.event_text import StreamEvent

EVENTS_AT_A_TIME = 32


class PastEvents(NamedTuple):
    """Events in their order, complete up to the position `through`; `lost`: some before them are not kept any more."""

    events: Sequence[StreamEvent]
    through: int
    lost: bool


@dataclass(frozen=True)
class History:
    """`turns` bounds how many listeners read at a time; `confirm` is that of `EventBuffers`."""

    event_log: EventLog
    render: Render
    confirm: Callable[[], Awaitable[None]]
    turns: FairSlots

    async def after(self, project: str, job_id: str | None, position: int) -> PastEvents:
        """The next events of the project, or of one of its jobs, after a position."""
        await self.turns.acquire(project)
        try:
            return await self._read(project, job_id, position)
        finally:
            self.turns.release(project)

    async def _read(self, project: str, job_id: str | None, position: int) -> PastEvents:
        await self.confirm()
        kept = await self.event_log.kept(project)
        lost = not kept.has_all_after(position)
        if lost:
            position = kept.last if kept.oldest is None else kept.oldest - 1
        if job_id is None:
            recorded = await self.event_log.after({project: position}, EVENTS_AT_A_TIME)
        else:
            recorded = await self.event_log.of_job(project, job_id, position, EVENTS_AT_A_TIME)
        # What was read is complete up to the last of it; with fewer than could be, also up to the end of before.
        through = max(position, recorded[-1].position if recorded else 0)
        if len(recorded) < EVENTS_AT_A_TIME:
            through = max(through, kept.last)
        return PastEvents(await self.render(project, recorded), through, lost)
