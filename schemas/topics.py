"""Topics are data: creation, documentation and tests derive from this table."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from schemas import events
from schemas.events import JOB_SUBMITTED, MEDIA_SUBMITTED, Event

Service = Literal["ingest", "transcoder", "thumbnailer", "catalog", "notifier"]
SERVICES: tuple[Service, ...] = ("ingest", "transcoder", "thumbnailer", "catalog", "notifier")


@dataclass(frozen=True)
class Topic:
    """One topic. `writer` is None where any Kafka producer may write; `key` says what the records' key is."""

    name: str
    key: str
    types: tuple[str, ...]
    writers: tuple[Service, ...]
    readers: tuple[Service, ...]
    description: str
    partitions: int = 12
    retention: timedelta | None = timedelta(days=7)
    compacted: bool = False

    @property
    def dead_letter(self) -> str:
        """Where records go that a reader of this topic cannot read."""
        return f"{self.name}.dlq"


def _types(*of: type[Event]) -> tuple[str, ...]:
    return tuple(event.TYPE for event in of)


MEDIA_SUBMITTED_TOPIC = Topic(
    "media.submitted",
    "project id",
    (MEDIA_SUBMITTED,),
    (),
    ("ingest",),
    "Bodies of POST /media from any Kafka producer; the project in the header ce_project.",
)
JOB_SUBMITTED_TOPIC = Topic(
    "job.submitted",
    "project id",
    (JOB_SUBMITTED,),
    (),
    ("ingest",),
    "Bodies of POST /jobs from any Kafka producer; the project in the header ce_project.",
)
MEDIA_CREATED = Topic(
    "media.created",
    "media id",
    _types(events.MediaCreated),
    ("ingest",),
    ("transcoder", "thumbnailer", "catalog"),
    "An original is stored; the jobs to run on it.",
)
MEDIA_CHANGED = Topic(
    "media.changed",
    "media id",
    _types(
        events.MediaAccepted,
        events.MediaFailed,
        events.MediaUpdated,
        events.MediaDeleted,
        events.MediaRestored,
        events.MediaPurged,
    ),
    ("ingest",),
    ("catalog",),
    "Everything else that happens to a media item.",
)
JOB_CREATED = Topic(
    "job.created",
    "job id",
    _types(events.JobCreated),
    ("ingest",),
    ("transcoder", "thumbnailer", "catalog"),
    "A job was accepted.",
)
JOB_CONTROL = Topic(
    "job.control",
    "job id",
    _types(events.CancelRequested),
    ("ingest",),
    ("transcoder", "thumbnailer"),
    "Wishes about accepted jobs.",
)
JOB_RESULTS = Topic(
    "job.results",
    "job id",
    _types(events.JobStarted, events.JobProgressed, events.JobSucceeded, events.JobFailed, events.JobCancelled),
    ("transcoder", "thumbnailer"),
    ("catalog", "notifier", "ingest"),
    "What became of a job.",
)
KEY_CHANGED = Topic(
    "key.changed",
    "key id",
    _types(events.KeyChanged),
    ("ingest",),
    ("catalog",),
    "API keys, as hashes.",
    partitions=1,
    retention=None,
    compacted=True,
)

TOPICS: tuple[Topic, ...] = (
    MEDIA_SUBMITTED_TOPIC,
    JOB_SUBMITTED_TOPIC,
    MEDIA_CREATED,
    MEDIA_CHANGED,
    JOB_CREATED,
    JOB_CONTROL,
    JOB_RESULTS,
    KEY_CHANGED,
)
DEAD_LETTER_PARTITIONS = 1
DEAD_LETTER_RETENTION = timedelta(days=30)
TOPIC_OF: dict[str, Topic] = {type_: topic for topic in TOPICS for type_ in topic.types}
"""The one topic of each event type."""
