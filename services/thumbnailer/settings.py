"""Settings of the thumbnailer, read from the environment."""

from pydantic import Field

from worker.settings import FileSettings


class Settings(FileSettings):
    """The settings of services that work on files, and the thumbnailer's own."""

    thumbnailer_slots: int = Field(
        2,
        ge=1,
        le=256,
        title="Pictures at a time",
        description="How many jobs one thumbnailer process works on at once.",
    )
