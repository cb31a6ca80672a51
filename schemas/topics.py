"""The topics as data: their creation, documentation and tests derive from this table."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from schemas import events
from schemas.events import JOB_ACTION_SUBMITTED, JOB_SUBMITTED, MEDIA_SUBMITTED, SUBMISSIONS, Event

Service = Literal["ingest", "transcoder", "thumbnailer", "catalog", "notifier"]
SERVICES: tuple[Service, ...] = ("ingest", "transcoder", "thumbnailer", "catalog", "notifier")


@dataclass(frozen=True)
class Topic:
    """One topic of Kafka.

    `key` says what the key of its records is. `types` are the `ce_type` values that today's writers send; readers skip
    a type that is not among them, because it may come from a newer or an older release. `writers` are services; any
    Kafka producer may write besides, or alone, where `submitted` is not empty. `retention` None keeps records for ever.
    `lossy` says that a record may be lost without harm, so that its writers need no outbox. `broadcast` says that every
    replica of a reader reads all records, outside of consumer groups.
    """

    name: str
    key: str
    types: tuple[str, ...]
    writers: tuple[Service, ...]
    readers: tuple[Service, ...]
    description: str
    partitions: int = 12
    retention: timedelta | None = timedelta(days=7)
    compacted: bool = False
    lossy: bool = False
    broadcast: bool = False

    @property
    def submitted(self) -> tuple[str, ...]:
        """The types that any Kafka producer may send: requests."""
        return tuple(type_ for type_ in self.types if type_ in SUBMISSIONS)

    @property
    def dead_letter(self) -> str:
        """The topic for records that a reader of this topic cannot read or refuses."""
        return f"{self.name}.dlq"


def group_id(service: str, topic: Topic) -> str:
    """The consumer group in which the replicas of a service read a topic: `bitmill.catalog.job.results`."""
    return f"bitmill.{service}.{topic.name}"


_SHORT_RETENTION = timedelta(hours=1)
"""For records that say how things are now: an older one is worth nothing."""


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
    _types(events.JobCreated, events.JobPurged),
    ("ingest",),
    ("transcoder", "thumbnailer", "catalog"),
    "A job was accepted, or removed for good some time after its end.",
)
JOB_CONTROL = Topic(
    "job.control",
    "job id",
    (*_types(events.CancelRequested), JOB_ACTION_SUBMITTED),
    ("ingest",),
    ("ingest", "transcoder", "thumbnailer"),
    "Requests from any Kafka producer to cancel, retry or purge jobs of the project in the header ce_project, which "
    "ingest decides; its requests to cancel, which workers follow.",
)
JOB_RESULTS = Topic(
    "job.results",
    "job id",
    _types(events.JobStarted, events.JobSucceeded, events.JobFailed, events.JobCancelled),
    ("transcoder", "thumbnailer"),
    ("catalog", "notifier", "ingest"),
    "A job started, or ended.",
)
JOB_PROGRESS = Topic(
    "job.progress",
    "job id",
    _types(events.JobProgressed),
    ("transcoder", "thumbnailer"),
    ("catalog",),
    "How far a job has got; may be lost.",
    retention=_SHORT_RETENTION,
    lossy=True,
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
PROJECT_CHANGED = Topic(
    "project.changed",
    "project id",
    _types(events.ProjectChanged),
    ("ingest",),
    ("catalog", "notifier"),
    "Projects: how their files are delivered.",
    partitions=1,
    retention=None,
    compacted=True,
)
OUTBOX_WATERMARK = Topic(
    "outbox.watermark",
    "service name",
    _types(events.OutboxAdvanced),
    ("ingest",),
    ("catalog",),
    "How far a service has published its outbox; may be lost.",
    partitions=1,
    retention=_SHORT_RETENTION,
    lossy=True,
    broadcast=True,
)

QUEUE_ORDER = Topic(
    "queue.order",
    "service name",
    _types(events.QueueOrdered),
    ("transcoder", "thumbnailer"),
    ("catalog",),
    "Which jobs are to begin next; may be lost.",
    partitions=1,
    retention=_SHORT_RETENTION,
    lossy=True,
    broadcast=True,
)

TOPICS: tuple[Topic, ...] = (
    MEDIA_SUBMITTED_TOPIC,
    JOB_SUBMITTED_TOPIC,
    MEDIA_CREATED,
    MEDIA_CHANGED,
    JOB_CREATED,
    JOB_CONTROL,
    JOB_RESULTS,
    JOB_PROGRESS,
    KEY_CHANGED,
    PROJECT_CHANGED,
    OUTBOX_WATERMARK,
    QUEUE_ORDER,
)


def topics_of(service: Service) -> tuple[Topic, ...]:
    """The topics that a service reads or writes."""
    return tuple(topic for topic in TOPICS if service in topic.readers or service in topic.writers)


DEAD_LETTER_PARTITIONS = 1
DEAD_LETTER_RETENTION = timedelta(days=30)
TOPIC_OF: dict[str, Topic] = {type_: topic for topic in TOPICS for type_ in topic.types}
"""The one topic of each event type."""
