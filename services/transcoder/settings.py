"""What can be set for the transcoder, by environment."""

import os
from datetime import timedelta

from pydantic import Field

from chassis.core.setting_types import Duration
from worker.settings import FileSettings


def _half_the_machine() -> int:
    # x264 keeps two cores busy by itself; more jobs at once only make each of them slower.
    return max(1, (os.cpu_count() or 1) // 2)


class Settings(FileSettings):
    """The settings of every service that works on files, and the transcoder's own."""

    transcoder_slots: int = Field(
        default_factory=_half_the_machine,
        ge=1,
        le=256,
        title="Encodes at a time",
        description="How many jobs one transcoder process works on at once; half the processors if not set.",
    )
    encode_timeout: Duration = Field(
        timedelta(hours=6),
        gt=timedelta(0),
        title="Encode timeout",
        description="How long one encode may take before it is stopped.",
    )
