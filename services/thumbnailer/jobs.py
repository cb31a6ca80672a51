"""The use case: an `image` job at the bench."""

from media.bench import Made, Make, Order
from media.tools import Tools
from schemas.options import ImageOptions
from services.thumbnailer import picture


def maker(tools: Tools) -> Make:
    """Makes pictures with these tools; those for a media item with placeholder and background colour."""

    async def make(order: Order) -> Made:
        options = ImageOptions.model_validate(order.job.options)
        dest = order.folder / "picture"
        attached = order.job.ref is not None
        made = await picture.make(order.source, order.info, options, dest, tools, order.on_progress, palette=attached)
        return Made(dest, made.info, made.placeholder, made.background)

    return make
