"""What can be set of ingest, beside what every service has."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from chassis.setting_types import Duration, parsed, service_url
from chassis.settings import CommonSettings
from services.ingest.derivatives import DEFAULT_MEDIA_JOBS, MediaJob, media_jobs


class Settings(CommonSettings):
    """Settings of ingest."""

    import_slots: int = Field(
        4, ge=1, le=64, title="Import slots", description="Files of media items fetched at a time, in each process."
    )
    media_wait: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(0),
        le=timedelta(minutes=5),
        title="Wait of POST /media",
        description="How long POST /media waits for the file before it answers with status processing.",
    )
    catalog_url: Annotated[str, parsed(service_url("http", "https"))] | None = Field(
        None,
        title="Catalog's address",
        description="Where POST /media reads its item back before it answers; the public address if not set.",
    )
    media_jobs: Annotated[tuple[MediaJob, ...], NoDecode, parsed(media_jobs)] = Field(
        DEFAULT_MEDIA_JOBS,
        title="Jobs of each media item",
        description="A JSON list of {kind, ref, options}, run on each new item; a width or height is an upper bound.",
    )
    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "bitmill",
        title="Work folder",
        description="Where files lie while they are fetched and probed; needs room for them.",
    )
    fetch_max_bytes: int = Field(
        10 * 1024**3, ge=1, title="Largest input", description="In bytes; larger ones fail with input_too_large."
    )
    fetch_timeout: Duration = Field(
        timedelta(hours=1),
        gt=timedelta(0),
        title="Fetch timeout",
        description="How long the download of one input may take.",
    )
