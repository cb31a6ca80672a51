"""Sizes of video frames and images (pure). All in pixels."""

from typing import NamedTuple


class Size(NamedTuple):
    """Width and height."""

    width: int
    height: int


def display_size(coded: tuple[int, int], sar: float, rotation: int) -> Size:
    """The size as shown: sample aspect applied to the width, then rotation.

    `rotation` is in degrees and rounded to the nearest quarter turn.
    """
    width, height = max(round(coded[0] * sar), 1), coded[1]
    return Size(height, width) if round(rotation / 90) % 2 else Size(width, height)


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


def _side(exact: float, even: bool) -> int:
    return max(round(exact / 2) * 2, 2) if even else max(round(exact), 1)
