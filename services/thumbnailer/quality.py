"""Quality words -> encoder settings of libvips (data).

Numbers chosen on photographs of the tests: from one word to the next a picture gets about 1.5 dB better. At the same
word the formats look alike, and their sizes fall from jpeg over webp to avif.
"""

from schemas.options import ImageFormat, Quality

Settings = dict[str, int | bool | str]

_Q: dict[ImageFormat, dict[Quality, int]] = {
    "jpeg": {"very_low": 40, "low": 55, "medium": 75, "high": 84, "very_high": 92},
    "webp": {"very_low": 40, "low": 58, "medium": 75, "high": 84, "very_high": 92},
    "avif": {"very_low": 30, "low": 42, "medium": 55, "high": 65, "very_high": 78},
}

_FIXED: dict[ImageFormat, Settings] = {
    # Tables fitted to the picture: 1 to 4 % smaller for the same pixels.
    "jpeg": {"optimize_coding": True},
    # Effort 2 takes 0.4x the time, and looks 0.5 dB worse in 6 % more bytes; a picture is made once and sent often.
    "webp": {"effort": 4},
    # Effort 4 takes 7x the time of effort 2 for a fifth fewer bytes: a second for each 1.6 megapixels.
    "avif": {"compression": "av1", "effort": 2},
    # Lossless whatever the word; beyond level 6 the time doubles for 4 %.
    "png": {"compression": 6},
}

OPAQUE: frozenset[ImageFormat] = frozenset({"jpeg"})
"""Formats that cannot be transparent: pictures are laid on black for them."""


def settings(format: ImageFormat, quality: Quality) -> Settings:
    """The options of libvips' saver for a format and a quality word."""
    words = _Q.get(format)
    return dict(_FIXED[format]) if words is None else {"Q": words[quality], **_FIXED[format]}
