"""What can be set for the thumbnailer, by environment."""

import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from chassis.setting_types import Duration
from chassis.settings import CommonSettings


class Settings(CommonSettings):
    """The common settings, and the thumbnailer's own."""

    thumbnailer_slots: int = Field(
        2,
        ge=1,
        le=256,
        title="Pictures at a time",
        description="How many jobs one thumbnailer process works on at once.",
    )
    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "bitmill",
        title="Work folder",
        description="Where inputs and unfinished outputs lie while a job runs; needs room for them.",
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
