"""What can be set for the transcoder, by environment."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from chassis.setting_types import Duration
from chassis.settings import CommonSettings


def _half_the_machine() -> int:
    # x264 keeps two cores busy by itself; more jobs at once only make each of them slower.
    return max(1, (os.cpu_count() or 1) // 2)


class Settings(CommonSettings):
    """The common settings, and the transcoder's own."""

    transcoder_slots: int = Field(
        default_factory=_half_the_machine,
        ge=1,
        le=256,
        title="Encodes at a time",
        description="How many jobs one transcoder process works on at once; half the processors if not set.",
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
    encode_timeout: Duration = Field(
        timedelta(hours=6),
        gt=timedelta(0),
        title="Encode timeout",
        description="How long one encode may take before it is stopped.",
    )
