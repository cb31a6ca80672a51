"""The use case: an `image` job, in the queue and at the bench."""

from media.tools import Tools
from schemas.jobs import Job
from schemas.options import ImageOptions
from services.thumbnailer import picture
from worker.runner import Encoder, JobContext, JobOutput


def estimate(job: Job) -> float:  # noqa: ARG001 - whatever the job
    """Seconds of work (pure). A picture is a matter of a second, also from a long film: its frame is sought."""
    return 1.0


def maker(tools: Tools) -> Encoder:
    """Makes pictures with these tools; those for a media item with placeholder and background colour."""

    async def make(order: JobContext) -> JobOutput:
        options = ImageOptions.model_validate(order.job.options)
        dest = order.folder / "picture"
        attached = order.job.ref is not None
        made = await picture.make(order.source, order.info, options, dest, tools, order.on_progress, palette=attached)
        return JobOutput(dest, made.info, made.placeholder, made.background)

    return make
