"""A record with a part of another project is refused, whichever service reads it."""

import pytest

from chassis.adapters.kafka.codec import decode
from chassis.adapters.kafka.errors import RecordUnreadable
from schemas.events import Event, JobCreated, JobSucceeded, KeyChanged, MediaCreated, MediaUpdated
from schemas.files import File, Output
from schemas.media import Derived
from schemas.ownership import foreign_part, is_key_of
from schemas.topics import TOPIC_OF
from tests.chassis.adapters.kafka.examples import EXAMPLES, JOB, KEY, MEDIA, PROJECT, record

OTHER = "prj_01h455vb4pex5vsknk084sn02r"


def file(key: str) -> File:
    return File(id="file_a", key=key, kind="video", format="mp4", content_type="video/mp4", filesize=1)


def output(key: str) -> Output:
    return Output(**file(key).model_dump(), path="video.mp4")


OWN, FOREIGN = file(f"{PROJECT}/media/med_a/file_a.mp4"), file(f"{OTHER}/media/med_b/file_b.mp4")
FOREIGN_EVENTS = {
    "job.output.key": JobSucceeded(job=JOB.model_copy(update={"output": output(f"{OTHER}/jobs/job_b/file_b.mp4")})),
    "job.source.key": JobCreated(job=JOB.model_copy(update={"source": FOREIGN})),
    "media.original.key": MediaUpdated(media=MEDIA.model_copy(update={"original": FOREIGN})),
    "media.files[0].file.key": MediaUpdated(
        media=MEDIA.model_copy(update={"original": OWN, "files": [Derived(ref="poster", path="p", file=FOREIGN)]})
    ),
    "jobs[0].source.key": MediaCreated(media=MEDIA, jobs=[JOB.model_copy(update={"source": FOREIGN})]),
    "jobs[0].project": MediaCreated(media=MEDIA, jobs=[JOB.model_copy(update={"project": OTHER})]),
}


@pytest.mark.parametrize("field", FOREIGN_EVENTS)
def test_a_record_with_a_part_of_another_project_becomes_a_dead_letter(field: str) -> None:
    """Every reader of a topic decodes with this function; what it refuses becomes a dead letter."""
    sent = record(FOREIGN_EVENTS[field])
    with pytest.raises(RecordUnreadable) as raised:
        decode(TOPIC_OF[FOREIGN_EVENTS[field].TYPE], sent.headers, sent.value)
    assert raised.value.reason.startswith(f"{field} must be ")
    assert PROJECT in raised.value.reason and OTHER in raised.value.reason


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_our_own_events_are_read(event: Event) -> None:
    sent = record(event)
    assert decode(TOPIC_OF[event.TYPE], sent.headers, sent.value) == event


def test_an_event_of_one_project_is_whole() -> None:
    job = JOB.model_copy(update={"source": OWN, "output": output(f"{PROJECT}/jobs/job_a/file_a.mp4")})
    media = MEDIA.model_copy(update={"original": OWN, "files": [Derived(ref="poster", path="p", file=OWN)]})
    assert foreign_part(JobSucceeded(job=job)) is None
    assert foreign_part(MediaCreated(media=media, jobs=[job])) is None
    assert foreign_part(KeyChanged(key=KEY)) is None


@pytest.mark.parametrize(
    "key", ["", PROJECT, f"{PROJECT}/", f"{PROJECT}//x", f"{PROJECT}/../{OTHER}/x", f"{PROJECT}x/y", f"/{PROJECT}/x"]
)
def test_a_key_that_only_looks_like_one_of_the_project_is_not(key: str) -> None:
    assert not is_key_of(PROJECT, key)
