"""From options and a probed file to a plan (pure)."""

from dataclasses import dataclass, field
from typing import get_args

from media import geometry
from media.allowlists import MAX_IMAGE_PIXELS
from media.info import MediaInfo
from schemas.jobs import Job
from schemas.options import ImageFormat, ImageOptions, red_green_blue
from services.thumbnailer import errors
from services.thumbnailer.quality import LONGEST_SIDES, OPAQUE, SaverOptions, saver_options

PREROLL_SECONDS = 10.0
"""How far before `start` decoding begins in formats without an index of key frames."""
WHITE = (255, 255, 255)
_WITHOUT_INDEX = frozenset({"ts", "mpeg"})


@dataclass(frozen=True)
class ImagePlan:
    """An image of exactly `width` x `height` pixels, made from an image. `save` are the options of libvips' saver.

    `background` is the colour behind transparent pixels (0 to 255); None keeps the transparency.
    """

    width: int
    height: int
    format: ImageFormat
    save: SaverOptions
    background: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class FramePlan(ImagePlan):
    """The same, made from the first frame of a video at or after `start` seconds.

    Where `preroll` is not 0, a seek may land between key frames: ffmpeg seeks that many seconds earlier, and frames
    before `start` are dropped after decoding.

    `aspect` is the video's width over height as shown at its beginning: a frame of another shape gets bars. `sar` False
    means that pixels are square whatever the input says.
    """

    start: float = 0.0
    preroll: float = 0.0
    alpha: bool = False
    """Whether the frame is extracted with its transparency."""
    aspect: float = field(kw_only=True)
    sar: bool = field(kw_only=True)


def estimate(job: Job, duration: float | None) -> float:  # noqa: ARG001 - the same for every job
    """Seconds of work of a job. An image takes about a second, also from a long video: its frame is sought."""
    return 1.0


def plan(options: ImageOptions, info: MediaInfo) -> ImagePlan:
    """The plan for one output. Raises MediaFault where the input does not allow it.

    Size: as requested, also larger than the input; a missing side follows from the display aspect; without both it is
    the input's. Format: as requested, else that of the input image if we can write it, else jpeg. A still image (the
    first frame of an animated one) has no time: `start` must be 0.
    """
    if info.kind == "audio" or not info.width or not info.height:
        raise errors.no_picture(info.kind)
    format = options.format or _own_format(info)
    size = geometry.fit((info.width, info.height), options.width, options.height, even=False)
    if max(size) > LONGEST_SIDES[format]:
        raise errors.side_too_long(size.width, size.height, format, LONGEST_SIDES[format])
    if size.width * size.height > MAX_IMAGE_PIXELS:
        raise errors.too_many_pixels(size.width, size.height, MAX_IMAGE_PIXELS)
    image = ImagePlan(
        size.width, size.height, format, saver_options(format, options.quality), _background(options, format)
    )
    if info.kind == "image":
        if options.start > 0:
            raise errors.start_in_still(options.start)
        return image
    if info.duration is not None and options.start >= info.duration and options.start > 0:
        raise errors.start_past_end(options.start, info.duration)
    preroll = PREROLL_SECONDS if info.format in _WITHOUT_INDEX else 0.0
    alpha = info.video is not None and info.video.alpha
    return FramePlan(
        **vars(image), start=options.start, preroll=preroll, alpha=alpha, aspect=info.aspect, sar=info.sar != 1
    )


def _background(options: ImageOptions, format: ImageFormat) -> tuple[int, int, int] | None:
    if options.background is not None:
        return red_green_blue(options.background)
    return WHITE if format in OPAQUE else None


def _own_format(info: MediaInfo) -> ImageFormat:
    for format in get_args(ImageFormat):
        if info.kind == "image" and info.format == format:
            own: ImageFormat = format
            return own
    return "jpeg"
