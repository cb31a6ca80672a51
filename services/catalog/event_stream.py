"""One open stream of server-sent events: from memory while its listener keeps up, from the tables while it does not.

A listener costs no memory but its connection: it has a position, not a queue. One that does not read what it was sent
within `write_s` is cut off, and goes on with `Last-Event-ID` when it connects again.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from chassis.adapters.failure_policy import describe, is_outage
from chassis.core import logs
from chassis.core.metrics import counter
from services.catalog import event_text
from services.catalog.event_buffers import EventBuffer
from services.catalog.event_history import EVENTS_AT_A_TIME, History
from services.catalog.event_text import StreamEvent
from services.catalog.listeners import Listener

BUFFER_BYTES = 16 * 1024
"""Of a connection; above it the stream waits for its client."""
RETRY_MS = 2_000
"""When a client whose connection broke connects again."""
OUTAGE_SECONDS = 1.0

log = logs.get_logger(__name__)
_cut_off = counter("bitmill_event_listeners_cut_off", "Streams of events whose clients did not read them.", ())


@dataclass(frozen=True)
class Wanted:
    """Which events of the project the listener wants: those of one job, kind, status; None is any."""

    job_id: str | None = None
    kind: str | None = None
    status: str | None = None

    def __contains__(self, event: StreamEvent) -> bool:
        return (
            self.job_id in (None, event.job_id)
            and self.kind in (None, event.kind)
            and self.status in (None, event.status)
        )


@dataclass(frozen=True)
class StreamTimes:
    """Seconds: between two signs of life, and for a client to read what it was sent."""

    heartbeat_s: float = 15.0
    write_s: float = 10.0


class EventStream:
    """The wanted events of `buffer` after `position`, until the listener has to end or its client is gone."""

    def __init__(
        self,
        request: web.Request,
        listener: Listener,
        buffer: EventBuffer,
        history: History,
        wanted: Wanted,
        position: int,
        times: StreamTimes,
    ) -> None:
        self._request = request
        self._listener = listener
        self._buffer = buffer
        self._history = history
        self._wanted = wanted
        self._position = position
        self._shown = position
        """What the client has as its last id."""
        self._times = times
        self._sent_at = time.monotonic()
        self._ended = False
        headers = {"Content-Type": event_text.CONTENT_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        self._response = web.StreamResponse(headers=headers)

    async def run(self, first: bytes) -> web.StreamResponse:
        """Sends `first`, then events. Returns when the stream has ended."""
        transport = self._request.transport
        if transport is not None:
            transport.set_write_buffer_limits(high=BUFFER_BYTES)
        try:
            await self._response.prepare(self._request)
            await self._send(event_text.retry_text(RETRY_MS, "events") + first)
            while not self._ended and self._listener.ended is None:
                await self._step()
            if self._listener.ended is not None:
                self._response.force_close()
            await self._send(self._goodbye())
            await self._response.write_eof()
        except TimeoutError:
            _cut_off.inc()
            log.info("event_listener_cut_off", seconds=self._times.write_s)
            if self._request.transport is not None:
                self._request.transport.abort()
        except ConnectionError:
            pass  # the client is gone
        return self._response

    def end(self) -> None:
        """The stream ends after what `run` sends first."""
        self._ended = True

    async def _step(self) -> None:
        self._listener.wake.clear()
        left = self._sent_at + self._times.heartbeat_s - time.monotonic()
        if left <= 0:
            await self._send(event_text.HEARTBEAT + self._unshown_position())
            return
        events = self._buffer.after(self._position, EVENTS_AT_A_TIME)
        if events is None:
            await self._catch_up()
        elif events:
            await self._show(events, events[-1].position)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._listener.wake.wait()

    async def _catch_up(self) -> None:
        project, job_id = self._listener.project, self._wanted.job_id
        try:
            events, through, lost = await self._history.after(project, job_id, self._position)
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("event_history_unavailable", error=describe(error))
            await asyncio.sleep(OUTAGE_SECONDS)
            await self._send(event_text.HEARTBEAT)
            return
        if lost and job_id is not None:
            self._ended = True  # the client connects again, and is shown the job as it is then
            return
        if lost:
            # The client learns of it with the first id from which on nothing is missing.
            before = events[0].position - 1 if events else through
            await self._send(event_text.event_text("stream.reset", event_text.RESET, before))
        await self._show(events, through)

    async def _show(self, events: Sequence[StreamEvent], through: int) -> None:
        """Sends what is wanted of the events, which are complete up to the position `through`."""
        wanted = [event for event in events if event in self._wanted]
        self._position = through
        if self._wanted.job_id is not None:
            end = next((number for number, event in enumerate(wanted, 1) if event.name in event_text.ENDS), None)
            self._ended, wanted = end is not None, wanted[:end]
        if wanted and self._listener.ended != "revoked":
            self._shown = wanted[-1].position
            await self._send(b"".join(event.text for event in wanted))

    def _unshown_position(self) -> bytes:
        # So that a client that wants few events can go on after a long time.
        if self._shown == self._position:
            return b""
        self._shown = self._position
        return event_text.position_text(self._position)

    def _goodbye(self) -> bytes:
        if self._listener.ended is None:
            return b": end\n\n"
        # At different times, so that not all listeners of a process that stops connect again at once.
        milliseconds = random.randint(RETRY_MS // 4, RETRY_MS * 2)  # noqa: S311
        why = {"stopping": "the server stops", "revoked": "the key was revoked"}[self._listener.ended]
        return event_text.retry_text(milliseconds, why)

    async def _send(self, data: bytes) -> None:
        self._sent_at = time.monotonic()
        async with asyncio.timeout(self._times.write_s):
            await self._response.write(data)
            await self._request.writer.drain()
