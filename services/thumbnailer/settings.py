"""What can be set for the thumbnailer, by environment."""

from pydantic import Field

from worker.settings import FileSettings


class Settings(FileSettings):
    """The settings of every service that works on files, and the thumbnailer's own."""

    thumbnailer_slots: int = Field(
        2,
        ge=1,
        le=256,
        title="Pictures at a time",
        description="How many jobs one thumbnailer process works on at once.",
    )
