"""Whether everything in an event belongs to the event's project (pure).

Readers open storage by the keys in events. Each key is below its project (`prj_…/media/…`, `prj_…/jobs/…`), so a record
with a key of another project is not an event of ours: without the check, whoever can write to a topic could have any
project's file delivered, processed or deleted.
"""

from collections.abc import Iterator

from schemas.events import Event, JobEvent, MediaCreated, MediaEvent
from schemas.explain import render_value
from schemas.jobs import Job
from schemas.media import MediaItem


def foreign_part(event: Event) -> str | None:
    """What of the event does not belong to its project, as a sentence; None if everything does."""
    match event:
        case JobEvent():
            problems = _job("job", event.job)
        case MediaCreated():
            problems = _created(event)
        case MediaEvent():
            problems = _media(event.media)
        case _:
            return None
    return next(problems, None)


def is_key_of(project: str, key: str) -> bool:
    """Whether a storage key is below the project."""
    return key.startswith(f"{project}/") and not key.endswith("/") and "//" not in key and "/." not in key


def _created(event: MediaCreated) -> Iterator[str]:
    yield from _media(event.media)
    for position, job in enumerate(event.jobs):
        if job.project != event.media.project:
            expected = f"{_shown(event.media.project)}, that of the media item"
            yield f"jobs[{position}].project must be {expected}, not {_shown(job.project)}"
        yield from _job(f"jobs[{position}]", job)


def _media(media: MediaItem) -> Iterator[str]:
    if media.original is not None:
        yield from _key("media.original.key", media.project, media.original.key)
    for position, derived in enumerate(media.files):
        yield from _key(f"media.files[{position}].file.key", media.project, derived.file.key)


def _job(at: str, job: Job) -> Iterator[str]:
    if job.source is not None:
        yield from _key(f"{at}.source.key", job.project, job.source.key)
    if job.output is not None:
        yield from _key(f"{at}.output.key", job.project, job.output.key)


def _key(field: str, project: str, key: str) -> Iterator[str]:
    if not is_key_of(project, key):
        yield f"{field} must be below {_shown(project)}, the project of the event, not {_shown(key)}"


def _shown(value: str) -> str:
    return render_value(value)
