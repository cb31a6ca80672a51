"""Settings of ingest, read from the environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from chassis.core.rate_settings import RateSettings
from chassis.core.setting_types import Duration, parsed
from services.ingest.automations import DEFAULT_MEDIA_JOBS, MediaJob, media_jobs
from services.ingest.reply_topics import topic_patterns
from worker.settings import FileSettings


class Settings(FileSettings, RateSettings):
    """The settings of every service that works on files, and those of ingest."""

    import_slots: int = Field(
        4, ge=1, le=64, title="Imports at a time", description="Files of media items read at a time, in each process."
    )
    media_wait: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(0),
        le=timedelta(minutes=5),
        title="Wait of POST /media",
        description="How long POST /media waits for the file before it responds with status processing.",
    )
    max_unfinished_jobs: int = Field(
        100_000,
        ge=1,
        title="Unfinished jobs of a project",
        description="POST /jobs responds with 429 (queue_full) while a project has so many jobs that have not ended.",
    )
    max_unfinished_imports: int = Field(
        10_000,
        ge=1,
        title="Unfinished imports of a project",
        description="POST /media responds with 429 (queue_full) while a project has so many items in processing.",
    )
    retain_deleted_files: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=5),
        title="Retention of deleted media items",
        description="How long a deleted media item can be restored; then its stored files are removed.",
    )
    upload_max_bytes: int = Field(
        10 * 1024**3, ge=1, title="Largest upload", description="In bytes; larger ones are refused with 413."
    )
    upload_lifetime: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=timedelta(days=7),
        title="Lifetime of the address of an upload",
        description="How long after POST /uploads the file may begin to be sent.",
    )
    retain_uploads: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=5),
        title="Retention of uploads",
        description="How long an uploaded file can be used; it is removed then, once no unfinished job uses it.",
    )
    upload_slots: int = Field(
        16, ge=1, le=512, title="Uploads at a time", description="Received at a time, in each process."
    )
    max_uploads: int = Field(
        1000,
        ge=1,
        title="Uploads of a project",
        description="POST /uploads responds with 429 (queue_full) while a project has so many that have not expired.",
    )
    announce_again_after: Duration = Field(
        timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        title="Silence before work is announced again",
        description="Accepted work without an end is announced to the workers again after this time, then after twice "
        "that, and so on: Kafka may have lost the record.",
    )
    reply_topics: Annotated[tuple[str, ...], NoDecode, parsed(topic_patterns)] = Field(
        (),
        title="Reply topics",
        description="Topics of Kafka that a producer may name for replies to its submissions, separated by commas; a "
        "name that ends with * stands for all that begin so. Ingest needs the right to write to them.",
    )
    media_jobs: Annotated[tuple[MediaJob, ...], NoDecode, parsed(media_jobs)] = Field(
        DEFAULT_MEDIA_JOBS,
        title="Jobs of each media item",
        description="A JSON list of {kind, ref, options}, run on each new item; a width or height is an upper bound.",
    )
