"""Server-sent events as bytes (pure): https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from schemas.delivery import DeliveryUrls
from schemas.job_resource import job_resource
from schemas.jobs import Job
from services.catalog.event_log import RecordedEvent

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = b": heartbeat\n"
"""A comment without an empty line: some clients would take the empty line for an event."""
ENDS = frozenset({"succeeded", "failed", "cancelled"})
"""The events after which no other of the same run follows."""
RESET = {
    "message": "The events since Last-Event-ID are not kept any more: list the jobs again. What follows is complete."
}


class StreamEvent(NamedTuple):
    """An event as it is sent to every listener of its project."""

    position: int
    job_id: str
    kind: str
    status: str
    name: str
    text: bytes


def stream_event(event: RecordedEvent, urls: DeliveryUrls) -> StreamEvent:
    """The event as bytes. `urls` gives the addresses of its project's files."""
    if event.name == "progress":
        data = event.data.encode()
    else:
        data = orjson.dumps(job_resource(Job.model_validate_json(event.data), urls))
    text = event_text(f"job.{event.name}", data, event.position)
    return StreamEvent(event.position, event.job_id, event.kind, event.status, event.name, text)


def event_text(name: str, data: bytes | Mapping[str, Any], position: int) -> bytes:
    """`data` is JSON without line breaks."""
    json = data if isinstance(data, bytes) else orjson.dumps(data)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, name.encode(), json)


def position_text(position: int) -> bytes:
    """Tells the client how far it has got, without an event."""
    return b"id: %d\n\n" % position


def retry_text(milliseconds: int, comment: str) -> bytes:
    """When the client is to connect again after the stream has ended."""
    return b": %s\nretry: %d\n\n" % (comment.encode(), milliseconds)
