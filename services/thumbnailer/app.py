"""Builds the thumbnailer: the only module of this room that constructs. `worker.app` knows how workers are wired."""

from services.thumbnailer.handlers import register
from services.thumbnailer.jobs import estimate, maker
from services.thumbnailer.settings import Settings
from worker.app import WorkerApp, WorkerSpec


class Thumbnailer(WorkerApp):
    """The thumbnailer as an App."""

    def __init__(self, settings: Settings) -> None:
        craft = WorkerSpec(
            name="thumbnailer",
            kind="image",
            slots=settings.thumbnailer_slots,
            register=register,
            maker=maker,
            estimate=estimate,
            # Loaded once by the sandbox's warm server, so that no picture waits for it.
            preload=("services.thumbnailer.vips",),
        )
        super().__init__(craft, settings)
