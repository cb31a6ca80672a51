"""From a handler to the function that FastStream calls: which events it wants, and what the documents say of it."""

from collections.abc import Awaitable, Callable
from functools import reduce
from inspect import signature
from operator import or_
from typing import Any, get_args, get_type_hints

from chassis.adapters.kafka.codec import Submission
from chassis.core import logs
from schemas.api import ImageJobRequest, MediaRequest, VideoJobRequest
from schemas.events import EVENTS, JOB_SUBMITTED, MEDIA_SUBMITTED, Event, JobEvent, MediaEvent
from schemas.topics import Topic

_BODIES: dict[str, Any] = {JOB_SUBMITTED: VideoJobRequest | ImageJobRequest, MEDIA_SUBMITTED: MediaRequest}


def receiver(handler: Callable[[Any], Awaitable[None]], topic: Topic) -> Callable[[Any], Awaitable[None]]:
    """The function to register for `handler`. Raises `TypeError` where it asks for events that the topic never has."""
    wanted = wanted_types(handler)
    promised = tuple(EVENTS[type_] for type_ in topic.types if type_ in EVENTS) or (Submission,)
    strangers = [type_.__name__ for type_ in wanted if type_ not in promised]
    if strangers:
        raise TypeError(f"{topic.name} has no {', '.join(strangers)}")

    async def receive(event: Any) -> None:
        if isinstance(event, wanted):
            with logs.bind_context(**log_fields(event)):
                await handler(event)

    receive.__name__ = handler.__name__
    receive.__doc__ = handler.__doc__ or topic.description
    # What the generated documents show as the payload.
    shown = wanted if wanted != (Submission,) else tuple(_BODIES[type_] for type_ in topic.types)
    receive.__annotations__ = {"event": reduce(or_, shown), "return": None}
    return receive


def wanted_types(handler: Callable[..., Any]) -> tuple[type[Any], ...]:
    """The types in the annotation of the handler's first parameter."""
    name = next(iter(signature(handler).parameters))
    annotation = get_type_hints(handler)[name]
    return get_args(annotation) or (annotation,)


def log_fields(event: Event | Submission) -> dict[str, Any]:
    """What every line says that is logged while this event is handled (pure)."""
    if isinstance(event, Submission):
        return {"project": event.project, "submission": event.id}
    fields: dict[str, Any] = {"project": event.project_id(), "event_type": event.TYPE}
    if isinstance(event, JobEvent):
        fields |= {"job_id": event.job.id, "media_id": event.job.media_id}
    elif isinstance(event, MediaEvent):
        fields["media_id"] = event.media.id
    return fields
