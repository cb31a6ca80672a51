"""The use case: a `video` job at the bench."""

from media.bench import Made, Make, Order
from media.tools import Tools
from schemas.options import VideoOptions
from services.transcoder.encode import encode


def maker(tools: Tools) -> Make:
    """Makes videos with these tools."""

    async def make(order: Order) -> Made:
        options = VideoOptions.model_validate(order.job.options)
        dest = order.folder / f"video.{options.format}"
        return Made(dest, await encode(order.source, order.info, options, dest, tools, order.on_progress))

    return make
