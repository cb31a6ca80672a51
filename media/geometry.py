"""Sizes of video frames and images (pure). All in pixels."""

import math
from typing import NamedTuple

MAX_DISPLAY_SIDE = 65_535
"""Pixels. No picture format holds a longer side, and no screen shows one."""

_SAME_ASPECT = 0.02
"""Shares of the aspect by which frames may differ without bars: sizes of the same shape are rounded differently."""
MAX_SAMPLE_ASPECT = 16
"""Width over height of a pixel, or the other way round: four times what any camera or disc uses."""


class Size(NamedTuple):
    """Width and height."""

    width: int
    height: int


def display_size(coded: tuple[int, int], sar: float, rotation: int) -> Size:
    """The size as shown: sample aspect applied to the width, then rotation.

    `sar` must have passed `is_plausible_aspect`. `rotation` is in degrees and rounded to the nearest quarter turn.
    """
    width, height = max(round(coded[0] * sar), 1), coded[1]
    return Size(height, width) if round(rotation / 90) % 2 else Size(width, height)


def is_plausible_aspect(coded: tuple[int, int], sar: float) -> bool:
    """Whether players apply this sample aspect; if not, they take pixels for square.

    ffmpeg ignores an aspect that would leave less than one pixel of the shorter side (`av_image_check_sar` in
    libavutil/imgutils.c). Beyond that, it must be one that a writer can have meant, and the width as shown possible.
    """
    width, height = coded
    if not math.isfinite(sar) or not 1 / MAX_SAMPLE_ASPECT <= sar <= MAX_SAMPLE_ASPECT:
        return False
    shorter = width * sar if sar < 1 else height / sar
    return shorter >= 1 and width * sar <= MAX_DISPLAY_SIDE


def oriented(size: tuple[int, int], orientation: int) -> Size:
    """The size of an image once its EXIF orientation (1 to 8) is applied: 5 to 8 swap the sides."""
    return Size(size[1], size[0]) if 5 <= orientation <= 8 else Size(*size)


def fit(display: tuple[int, int], width: int | None, height: int | None, *, even: bool) -> Size:
    """The size of an output. One side given: the other by aspect; both: exactly these; none: the display size.

    `even` rounds sides that are not given to even numbers, for 4:2:0 video: to the nearest where the side follows from
    the aspect, down where it is the source's own, so that no pixels are added.
    """
    if width is not None and height is not None:
        return Size(width, height)
    if width is not None:
        return Size(width, _side(width * display[1] / display[0], even))
    if height is not None:
        return Size(_side(height * display[0] / display[1], even), height)
    if not even:
        return Size(*display)
    return Size(max(display[0] // 2 * 2, 2), max(display[1] // 2 * 2, 2))


def sides_in_mid_stream(size: Size, aspect: float, *, step: int) -> tuple[str, str]:
    """The sides of frames as expressions of ffmpeg: `size` for frames of this aspect; one of another shape keeps that,
    and is smaller on one side, which is a multiple of `step`.

    ffmpeg builds the filters anew for each size of the input; `dar` is the width over height of the frame as shown.
    """
    ratio = f"dar/{aspect:.9g}"
    fits = f"lt(abs({ratio}-1),{_SAME_ASPECT})"

    def side(length: int, share: str) -> str:
        exact = f"{length}*min(1,{share})"
        rounded = f"{step}*round({exact}/{step})" if step > 1 else f"round({exact})"
        return f"if({fits},{length},max({step},{rounded}))"

    return side(size.width, ratio), side(size.height, f"1/({ratio})")


def _side(exact: float, even: bool) -> int:
    return max(round(exact / 2) * 2, 2) if even else max(round(exact), 1)
