"""Builds the transcoder: the only module of this room that constructs. `worker.app` knows how workers are wired."""

from dataclasses import replace

from media.tools import ENCODE_LIMITS
from services.transcoder.handlers import register
from services.transcoder.settings import Settings
from services.transcoder.video import estimate, maker
from worker.app import WorkerApp, WorkerSpec


class Transcoder(WorkerApp):
    """The transcoder as an App."""

    def __init__(self, settings: Settings) -> None:
        craft = WorkerSpec(
            name="transcoder",
            kind="video",
            slots=settings.transcoder_slots,
            register=register,
            maker=maker,
            estimate=estimate,
            limits=replace(ENCODE_LIMITS, wall=settings.encode_timeout),
        )
        super().__init__(craft, settings)
