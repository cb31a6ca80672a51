"""The thumbnailer as a worker app: what differs from other workers."""

from media.tools import Tools
from schemas.options import ImageOptions
from services.thumbnailer.encode import encode
from services.thumbnailer.plan import estimate
from services.thumbnailer.settings import Settings
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import Encoder, JobContext, JobOutput


class Thumbnailer(WorkerApp[Settings]):
    """The thumbnailer as an App."""

    spec = worker_service("thumbnailer")

    def worker(self) -> WorkerSpec:
        return WorkerSpec(
            kinds=("image", "probe", "import"),
            slots=self.settings.thumbnailer_slots,
            encoder=encoder,
            estimate=estimate,
            # Loaded once by the fork server, so that no job waits for libvips to load.
            preload=("services.thumbnailer.vips",),
        )


def encoder(tools: Tools) -> Encoder:
    """Makes the output of an `image` job; those of a media item get a placeholder and a background colour."""

    async def make(context: JobContext) -> JobOutput:
        options = ImageOptions.model_validate(context.job.options)
        dest = context.folder / "image"
        attached = context.job.ref is not None
        image = await encode(context.source, context.info, options, dest, tools, context.on_progress, palette=attached)
        return JobOutput(dest, image.info, image.placeholder, image.background)

    return make
