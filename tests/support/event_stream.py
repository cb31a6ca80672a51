"""A client of server-sent events, as the specification says it: https://html.spec.whatwg.org/#event-stream-interpretation"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class ReceivedEvent:
    """`id` is the last id that the stream has given, as an integer."""

    id: int
    name: str
    data: Any


@dataclass
class EventStreamClient:
    """The events of one response; `comments` and `retry_ms` as they came."""

    response: aiohttp.ClientResponse
    last_id: int | None = None
    retry_ms: int | None = None
    comments: list[str] = field(default_factory=list)
    ended: bool = False

    async def next(self) -> ReceivedEvent | None:
        """The next event; None at the end of the stream. Fails after `DEADLINE_SECONDS`."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._next()

    async def take(self, count: int) -> list[ReceivedEvent]:
        """So many events."""
        found: list[ReceivedEvent] = []
        for _ in range(count):
            event = await self.next()
            assert event is not None, f"the stream ended after {found}"
            found.append(event)
        return found

    async def rest(self) -> list[ReceivedEvent]:
        """All events until the end of the stream."""
        found: list[ReceivedEvent] = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found

    async def until_comment(self, text: str) -> None:
        """Reads on until a comment comes; there must be no event before it."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while text not in self.comments:
                line = await self.response.content.readline()
                assert line.startswith((b":", b"id:", b"retry:")) or line == b"\n", line
                self._field(line.decode().rstrip("\n"), {})

    async def _next(self) -> ReceivedEvent | None:
        fields: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            text = line.rstrip("\n")
            if text:
                self._field(text, fields)
            elif "data" in fields:
                assert self.last_id is not None
                return ReceivedEvent(self.last_id, fields.get("event", "message"), json.loads(fields["data"]))
        self.ended = True
        return None

    def _field(self, line: str, fields: dict[str, str]) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "id":
            self.last_id = int(value)
        elif name == "retry":
            self.retry_ms = int(value)
        elif name:
            fields[name] = value


@asynccontextmanager
async def event_stream(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], after: int | None = None
) -> AsyncIterator[EventStreamClient]:
    """An open stream; `after` is sent as `Last-Event-ID`."""
    sent = headers | ({} if after is None else {"Last-Event-ID": str(after)})
    async with session.get(url, headers=sent, timeout=aiohttp.ClientTimeout(total=None)) as response:
        assert response.status == 200, (response.status, await response.text())
        assert response.headers["Content-Type"] == "text/event-stream"
        yield EventStreamClient(response, after)
