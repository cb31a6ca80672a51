"""Settings of the transcoder, read from the environment."""

import os
from datetime import timedelta

from pydantic import Field

from chassis.core.setting_types import Duration
from worker.settings import FileSettings


def _half_of_the_cores() -> int:
    # One x264 keeps about two cores busy; more jobs at once only slow each other down.
    return max(1, (os.cpu_count() or 1) // 2)


class Settings(FileSettings):
    """The settings of services that work on files, and the transcoder's own."""

    transcoder_slots: int = Field(
        default_factory=_half_of_the_cores,
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
