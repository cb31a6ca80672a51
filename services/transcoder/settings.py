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
    encode_cpu_limit: Duration = Field(
        timedelta(hours=24),
        gt=timedelta(0),
        title="Processor time of an encode",
        description="Summed over its threads; an input that takes more fails with input_limits_exceeded.",
    )
    encode_timeout: Duration = Field(
        timedelta(days=2),
        gt=timedelta(0),
        title="Encode timeout",
        description="After which an encode is taken for hanging, is stopped and tried again: never the input's fault.",
    )
