"""The encoder settings of each word of `quality`, as options of libvips' savers (data).

Chosen on the photographs of the tests: each word is about 1.5 dB better than the one before. At the same word the
formats look alike, and their sizes fall from jpeg over webp to avif.
"""

from schemas.options import ImageFormat, Quality

SaverOptions = dict[str, int | bool | str]

_Q: dict[ImageFormat, dict[Quality, int]] = {
    "jpeg": {"very_low": 40, "low": 55, "medium": 75, "high": 84, "very_high": 92},
    "webp": {"very_low": 40, "low": 58, "medium": 75, "high": 84, "very_high": 92},
    "avif": {"very_low": 30, "low": 42, "medium": 55, "high": 65, "very_high": 78},
}

_FIXED: dict[ImageFormat, SaverOptions] = {
    # Huffman tables fitted to the image: 1 to 4 % smaller for the same pixels.
    "jpeg": {"optimize_coding": True},
    # Effort 2 takes 0.4x the time, but is 0.5 dB worse in 6 % more bytes; an image is made once and sent often.
    "webp": {"effort": 4},
    # Effort 4 takes 7x the time of effort 2 for a fifth fewer bytes: a second for each 1.6 megapixels.
    "avif": {"compression": "av1", "effort": 2},
    # Lossless at every word; above level 6 the time doubles for 4 %.
    "png": {"compression": 6},
}

OPAQUE: frozenset[ImageFormat] = frozenset({"jpeg"})
"""Formats without transparency."""

LONGEST_SIDES: dict[ImageFormat, int] = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384, "png": 65_535}
"""In pixels: JPEG_MAX_DIMENSION of libjpeg, WEBP_MAX_DIMENSION of libwebp; of the others what browsers show."""


def saver_options(format: ImageFormat, quality: Quality) -> SaverOptions:
    """The options for a format and a word of `quality`."""
    words = _Q.get(format)
    return dict(_FIXED[format]) if words is None else {"Q": words[quality], **_FIXED[format]}
