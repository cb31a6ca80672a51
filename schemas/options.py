"""The options of each kind of job, as requests hold them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from schemas.base import RequestModel

Quality = Literal["very_low", "low", "medium", "high", "very_high"]
VideoFormat = Literal["mp4", "mov", "webm"]
ImageFormat = Literal["jpeg", "png", "webp", "avif"]

MIN_SIDE = 2
MAX_SIDE = 8192
"""Pixels along an edge of an output that is asked for: the largest that every format of ours can hold. An edge that
follows from the aspect of an image may be as long as the format of the output allows."""
MAX_SECONDS = 7 * 24 * 3600


def _even(side: int) -> int:
    # 4:2:0 video stores colour for blocks of two by two pixels.
    if side % 2:
        raise ValueError("must be even for video")
    return side


def _alias(value: object) -> object:
    return "jpeg" if value == "jpg" else value


Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, examples=[640])]
EvenSide = Annotated[Side, AfterValidator(_even)]
Background = Annotated[
    str, StringConstraints(pattern=r"^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"), Field(examples=["#ffffff"])
]
"""The colour behind transparent pixels: `#RRGGBB` or `#RGB`."""
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False, examples=[0.5])]


class VideoOptions(RequestModel):
    """Options of a `video` job. Sides in pixels, times in seconds of the input.

    One side given: the other follows from the input's display aspect, rounded to an even number. Both given: exactly
    that size (`fit: fill`). Neither given: the input's own size.

    Transparency is kept in webm and mov (ProRes 4444, for editing), unless a `background` is given: the colour that
    transparent parts get. In mp4 it is white by default.
    """

    format: VideoFormat = "mp4"
    """H.264 and AAC in mp4 and mov, VP9 and Opus in webm."""
    quality: Quality = "medium"
    """How much is spent on it: bytes and time."""
    width: EvenSide | None = None
    """Pixels, even. Default: from `height`, or the input's."""
    height: EvenSide | None = None
    """Pixels, even. Default: from `width`, or the input's."""
    start: Seconds | None = None
    """Seconds of the input at which the output begins."""
    end: Annotated[Seconds, Field(examples=[2])] | None = None
    """Seconds of the input at which the output ends; after `start`."""
    background: Background | None = None
    """Put behind transparent pixels. Default: none where the format has transparency, otherwise white."""

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "VideoOptions":
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f"end must be after start, which is {self.start or 0:g}")
        return self


class ImageOptions(RequestModel):
    """Options of an `image` job: from an image, or from the frame of a video at `start` seconds."""

    format: Annotated[ImageFormat, BeforeValidator(_alias)] | None = None
    """Default: the input's own format where it is one of these, otherwise `jpeg`."""
    quality: Quality = "medium"
    """How many bytes are spent on it."""
    width: Side | None = None
    """Pixels. Default: from `height`, or the input's."""
    height: Side | None = None
    """Pixels. Default: from `width`, or the input's."""
    background: Background | None = None
    """Put behind transparent pixels. Default: none where the format has transparency, otherwise white."""
    start: Seconds = 0
    """Of a video: the time of the frame, in seconds."""


def red_green_blue(colour: str) -> tuple[int, int, int]:
    """A `Background` as numbers from 0 to 255."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


Options = VideoOptions | ImageOptions
OPTIONS: dict[str, type[VideoOptions] | type[ImageOptions]] = {"video": VideoOptions, "image": ImageOptions}
