"""The events of a job as the API sends them (server-sent events): each change at once, without polling.

A connection that breaks off is opened again after the event that was seen last, so that none is missed.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import orjson

from cli.api_client import ApiClient, Refused
from cli.errors import CliError, Unreachable

RECONNECTS = 10
"""Without an event between them; then the connection counts as lost."""
_PAUSE_S = 1.0


class NoEvents(CliError):
    """This API has no events of jobs: an older release, or something between that does not pass them."""


@dataclass(frozen=True)
class JobEvent:
    """`name` such as `job.progress`; `data` is the job, or for progress a part of it."""

    name: str
    data: dict[str, object]


async def job_events(client: ApiClient, path: str) -> AsyncIterator[JobEvent]:
    """The events of the job at `path`, from what it is now to its end. Raises NoEvents before the first one."""
    last, lost = "", 0
    while lost <= RECONNECTS:
        try:
            async with client.stream(f"{path}/events", last) as response:
                if response.status == 204:
                    return
                if response.content_type != "text/event-stream":
                    raise NoEvents("no events")
                async for id, event in parsed(response.content):
                    last, lost = id or last, 0
                    yield event
                    if event.name in ("job.succeeded", "job.failed", "job.cancelled"):
                        return
        except Refused as error:
            if not last and error.kind in ("not_found", "method_not_allowed"):
                raise NoEvents(str(error)) from None
            if error.http_status not in (429, 502, 503, 504):
                raise
        except Unreachable:
            if lost == RECONNECTS:
                raise
        lost += 1
        await asyncio.sleep(_PAUSE_S)
    raise Unreachable(f"the API at {client.base} sends no events any more")


async def parsed(lines: AsyncIterator[bytes] | aiohttp.StreamReader) -> AsyncIterator[tuple[str, JobEvent]]:
    """Id and content of each event of a stream. Format: HTML, section 9.2; the API ends lines by a line feed."""
    id, name, data = "", "", ""
    async for raw in lines:
        line = raw.decode().rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield id, JobEvent(name or "message", orjson.loads(data))
            name, data = "", ""
        elif field == "id":
            id = value
        elif field == "event":
            name = value
        elif field == "data":
            data += value
