"""The transcoder as a worker app: what differs from other workers."""

import math
from dataclasses import replace

from media.tools import ENCODE_LIMITS, Tools
from schemas.options import VideoOptions
from services.transcoder.encode import encode
from services.transcoder.plan import estimate
from services.transcoder.settings import Settings
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import Encoder, JobContext, JobOutput


class Transcoder(WorkerApp[Settings]):
    """The transcoder as an App."""

    spec = worker_service("transcoder")

    def worker(self) -> WorkerSpec:
        return WorkerSpec(
            kinds=("video",),
            slots=self.settings.transcoder_slots,
            encoder=encoder,
            estimate=estimate,
            limits=replace(
                ENCODE_LIMITS,
                cpu_seconds=math.ceil(self.settings.encode_cpu_limit.total_seconds()),
                wall=self.settings.encode_timeout,
            ),
        )


def encoder(tools: Tools) -> Encoder:
    """Makes the output of a `video` job."""

    async def make(context: JobContext) -> JobOutput:
        options = VideoOptions.model_validate(context.job.options)
        dest = context.folder / f"video.{options.format}"
        made = await encode(context.source, context.info, options, dest, tools, context.on_progress)
        return JobOutput(dest, made.info, warnings=made.warnings)

    return make
