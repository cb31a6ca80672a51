"""What can be set wherever inputs are fetched and files are worked on."""

import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from chassis.adapters.egress.fetch import FetchLimits
from chassis.core.setting_types import Duration
from chassis.core.settings import CommonSettings


class FileSettings(CommonSettings):
    """The common settings, and those of a service that works on files."""

    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "bitmill",
        title="Work folder",
        description="Where inputs and unfinished outputs lie while they are worked on; needs room for them.",
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

    @property
    def fetching(self) -> FetchLimits:
        """What bounds one download."""
        return FetchLimits(max_bytes=self.fetch_max_bytes, total=self.fetch_timeout)
