"""The newest events of the projects that are listened to, read once for all listeners of this process.

Every replica of the catalog reads them from Postgres: at once when it has projected them itself, and otherwise at the
next look, a quarter of a second later at most. An event is rendered once; its listeners share the bytes. What a project
has in memory is bounded, whatever its listeners do: one that falls behind reads from the tables.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from chassis.core import logs
from chassis.core.concurrency import WakeSignal
from chassis.core.retry import Backoff
from services.catalog.event_log import EventLog, RecordedEvent
from services.catalog.event_text import StreamEvent
from services.catalog.listeners import Listener

POLL = timedelta(milliseconds=250)
"""Events that another replica has projected are seen so late at most."""
BUFFER_EVENTS = 512
BUFFER_BYTES = 256 * 1024
ALL_BUFFERS_BYTES = 32 * 1024 * 1024
"""Shared out among the projects."""
PROJECTS_AT_A_TIME = 50
EVENTS_AT_A_TIME = 20
"""Of each of them: so many rows are in memory at a time."""
_WITHOUT_LISTENERS = timedelta(hours=1)

Render = Callable[[str, Sequence[RecordedEvent]], Awaitable[Sequence[StreamEvent]]]

log = logs.get_logger(__name__)


class EventBuffer:
    """The newest events of one project, up to `position`, without holes."""

    def __init__(self, project: str, position: int) -> None:
        self.project = project
        self.position = position
        self.listeners: set[Listener] = set()
        self._events: dict[int, StreamEvent] = {}
        self._bytes = 0

    def after(self, position: int, most: int) -> list[StreamEvent] | None:
        """Up to `most` events after a position, in their order; None where they are not in memory (any more)."""
        if position >= self.position:
            return []
        if position + 1 not in self._events:
            return None
        return [self._events[each] for each in range(position + 1, min(self.position, position + most) + 1)]

    def add(self, events: Sequence[StreamEvent], most_bytes: int) -> None:
        """Adds events in their order, and wakes the listeners."""
        for event in events:
            if event.position != self.position + 1:
                self.restart(event.position - 1)
            self._events[event.position] = event
            self._bytes += len(event.text)
            self.position = event.position
            while self._bytes > most_bytes or len(self._events) > BUFFER_EVENTS:
                self._bytes -= len(self._events.pop(next(iter(self._events))).text)
        self._wake()

    def restart(self, position: int) -> None:
        """What was before is not there any more."""
        self._events.clear()
        self._bytes = 0
        self.position = position
        self._wake()

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.wake.set()


class EventBuffers:
    """The buffers of all projects with listeners. `run` has to run in the background.

    `confirm` returns once every revocation of a key up to a moment ago has ended its streams: before it nothing new is
    shown to anybody.
    """

    def __init__(
        self,
        event_log: EventLog,
        render: Render,
        confirm: Callable[[], Awaitable[None]],
        *,
        poll: timedelta = POLL,
        all_buffers_bytes: int = ALL_BUFFERS_BYTES,
    ) -> None:
        self._log = event_log
        self._render = render
        self._confirm = confirm
        self._poll = poll
        self._all_buffers_bytes = all_buffers_bytes
        self._buffers: dict[str, EventBuffer] = {}
        self._woken = WakeSignal()

    async def find(self, project: str) -> EventBuffer:
        """The buffer of the project, or a new one that begins now; for `listening`, without waiting in between."""
        buffer = self._buffers.get(project)
        if buffer is None:
            position = (await self._log.heads([project])).get(project, 0)
            buffer = self._buffers.get(project) or EventBuffer(project, position)
        return buffer

    @contextmanager
    def listening(self, buffer: EventBuffer, listener: Listener) -> Iterator[None]:
        """The buffer goes on, and wakes the listener, as long as the block lasts."""
        self._buffers.setdefault(buffer.project, buffer)
        buffer.listeners.add(listener)
        self._woken.notify()
        try:
            yield
        finally:
            buffer.listeners.discard(listener)
            if not buffer.listeners and self._buffers.get(buffer.project) is buffer:
                del self._buffers[buffer.project]

    def wake(self, projects: Collection[str]) -> None:
        """There are new events of these projects."""
        if not self._buffers.keys().isdisjoint(projects):
            self._woken.notify()

    async def run(self) -> None:
        """Reads until cancelled, through any outage of Postgres."""
        backoff = Backoff(log, "follow_job_events", longest_s=2.0)
        while True:
            woken = self._woken.subscribe()
            try:
                await self._advance()
            except Exception as error:  # noqa: BLE001 - Postgres may fail with any exception
                await backoff.sleep(error)
                continue
            backoff.reset()
            await woken.wait(self._poll if self._buffers else _WITHOUT_LISTENERS)

    async def _advance(self) -> None:
        heads = await self._log.heads(list(self._buffers)) if self._buffers else {}
        behind = [buffer for buffer in self._buffers.values() if heads.get(buffer.project, 0) > buffer.position]
        if behind:
            await self._confirm()
        while behind:
            some = behind[:PROJECTS_AT_A_TIME]
            await self._read(some, heads)
            behind = [buffer for buffer in some if heads[buffer.project] > buffer.position] + behind[
                PROJECTS_AT_A_TIME:
            ]

    async def _read(self, buffers: Sequence[EventBuffer], heads: dict[str, int]) -> None:
        found: dict[str, list[RecordedEvent]] = {buffer.project: [] for buffer in buffers}
        for event in await self._log.after({buffer.project: buffer.position for buffer in buffers}, EVENTS_AT_A_TIME):
            found[event.project].append(event)
        most_bytes = min(BUFFER_BYTES, self._all_buffers_bytes // max(len(self._buffers), 1))
        for buffer in buffers:
            if events := found[buffer.project]:
                buffer.add(await self._render(buffer.project, events), most_bytes)
                await asyncio.sleep(0)  # the listeners' turn
            else:
                buffer.restart(heads[buffer.project])
