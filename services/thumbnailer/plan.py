"""Pure: options and what the probe said -> what is to be made. Raises `MediaFault` where that cannot be."""

from dataclasses import dataclass
from typing import get_args

from media import geometry
from media.info import MediaInfo
from schemas.options import MAX_SIDE, ImageFormat, ImageOptions
from services.thumbnailer import errors, quality

PREROLL_SECONDS = 10.0
"""How far before `start` decoding begins in files that do not say where their key frames are."""
_WITHOUT_INDEX = frozenset({"ts", "mpeg"})


@dataclass(frozen=True)
class PicturePlan:
    """A picture of exactly `width` x `height` pixels, made from an image. `save` are options of libvips' saver."""

    width: int
    height: int
    format: ImageFormat
    save: quality.Settings


@dataclass(frozen=True)
class FramePlan(PicturePlan):
    """The same, made from the first frame of a video at or after `start` seconds.

    Where `preroll` is not 0, a seek may land between key frames: it aims that many seconds earlier, and what comes
    before `start` is dropped after decoding.
    """

    start: float
    preroll: float = 0.0


def plan(options: ImageOptions, info: MediaInfo) -> PicturePlan | FramePlan:
    """What to make of an input.

    Size: as asked, also upwards; a side that was not asked follows from the display aspect; nothing asked keeps the
    input's own. Format: as asked, else the input image's own where it is one of ours, else jpeg. A still image (of an
    animated one, its first picture) has no time: only `start` 0 is in it.
    """
    if info.kind == "audio" or not info.width or not info.height:
        raise errors.no_picture(info.kind)
    format = options.format or _own_format(info)
    size = geometry.fit((info.width, info.height), options.width, options.height, even=False)
    if max(size.width, size.height) > MAX_SIDE:
        raise errors.too_large(size.width, size.height)
    save = quality.settings(format, options.quality)
    if info.kind == "image":
        if options.start > 0:
            raise errors.start_in_still(options.start)
        return PicturePlan(size.width, size.height, format, save)
    if info.duration is not None and options.start >= info.duration and options.start > 0:
        raise errors.start_past_end(options.start, info.duration)
    preroll = PREROLL_SECONDS if info.format in _WITHOUT_INDEX else 0.0
    return FramePlan(size.width, size.height, format, save, options.start, preroll)


def _own_format(info: MediaInfo) -> ImageFormat:
    for format in get_args(ImageFormat):
        if info.kind == "image" and info.format == format:
            own: ImageFormat = format
            return own
    return "jpeg"
