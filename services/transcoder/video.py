"""The use case: a `video` job, in the queue and at the bench."""

from media.tools import Tools
from schemas.jobs import Job
from schemas.options import VideoOptions
from services.transcoder.encode import encode
from worker.runner import Encoder, JobContext, JobOutput

# Where the input's length is not known before it is fetched: the usual upload.
_USUAL_SECONDS = 20.0


def estimate(job: Job) -> float:
    """Seconds of work (pure): those of the film that is to be made, since they are worked off about as fast."""
    start, end = job.options.get("start") or 0.0, job.options.get("end")
    length = job.source.duration if job.source else None
    if end is None or (length is not None and end > length):
        end = length if length is not None else start + _USUAL_SECONDS
    # Past the input's end there is nothing to make, but it takes a moment to say so.
    return float(max(end - start, 1.0))


def maker(tools: Tools) -> Encoder:
    """Makes videos with these tools."""

    async def make(order: JobContext) -> JobOutput:
        options = VideoOptions.model_validate(order.job.options)
        dest = order.folder / f"video.{options.format}"
        return JobOutput(dest, await encode(order.source, order.info, options, dest, tools, order.on_progress))

    return make
