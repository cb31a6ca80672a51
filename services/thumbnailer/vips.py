"""What runs inside the warm sandbox: pictures through libvips. Plain data in, plain data out.

Only functions of this module touch untrusted pixels. They are called by name in a forked, limited child; faults of
the input travel back as `MediaFault`.
"""

import base64
from pathlib import Path
from typing import Any

import pyvips

from media.faults import MediaFault
from services.thumbnailer.palette import dominant

PLACEHOLDER_SIDE = 16
"""Longest side of a placeholder, in pixels: about 160 characters as a data address."""
PALETTE_SIDE = 64
"""Longest side of the picture in which colours are counted: 4 ms in Python, and small things do not win anyway."""

# How the decoders say that bytes are missing at the end; there is no code for it.
_CUT_SHORT = ("premature end", "unexpected end", "end of file", "truncated")
_SAVERS = {"jpeg": "jpegsave", "png": "pngsave", "webp": "webpsave", "avif": "heifsave"}


def convert(
    source: str, dest: str, width: int, height: int, format: str, save: dict[str, Any], opaque: bool, palette: bool
) -> dict[str, Any]:
    """An image file -> `dest`, exactly `width` x `height`, upright, in sRGB with 8 bits, without metadata.

    Of animated input the first picture is taken. `opaque` lays transparent pictures on black. With `palette` the
    answer holds `placeholder` and `background`. Raises `MediaFault` for input that cannot be decoded.
    """
    _prepare()
    try:
        # By name and not as a pyvips.Source, which forgets `fail_on`: half a picture would pass for a whole one.
        image = pyvips.Image.thumbnail(
            source, width, height=height, size="force", output_profile="srgb", fail_on="truncated"
        )
        # Decode here and now: from here on an error is not the input's.
        image = image.copy_memory()
    except pyvips.Error as error:
        raise _fault(error) from error
    return _finish(image, dest, format, save, opaque, palette)


def wrap(
    pixels: str, dest: str, width: int, height: int, format: str, save: dict[str, Any], opaque: bool, palette: bool
) -> dict[str, Any]:
    """Bare pixels (RGB, 8 bits, rows from the top, `width` x `height`) -> `dest`; the rest as in `convert`."""
    _prepare()
    data = Path(pixels).read_bytes()
    image = pyvips.Image.new_from_memory(data, width, height, 3, "uchar").copy(interpretation="srgb")
    return _finish(image, dest, format, save, opaque, palette)


def _prepare() -> None:
    # A fresh child serves one picture: no cache to keep, and loaders that were never fuzzed stay shut.
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)


def _finish(
    image: pyvips.Image, dest: str, format: str, save: dict[str, Any], opaque: bool, palette: bool
) -> dict[str, Any]:
    if opaque and image.hasalpha():
        image = image.flatten(background=[0, 0, 0])
    getattr(image, _SAVERS[format])(dest, keep="none", **save)
    if not palette:
        return {}
    small = image.thumbnail_image(PALETTE_SIDE, height=PALETTE_SIDE, size="down").copy_memory()
    return {"placeholder": _placeholder(small), "background": dominant(_rgba(small))}


def _placeholder(image: pyvips.Image) -> str:
    tiny = image.thumbnail_image(PLACEHOLDER_SIDE, height=PLACEHOLDER_SIDE, size="down")
    data = tiny.webpsave_buffer(Q=40, effort=6, keep="none")
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def _rgba(image: pyvips.Image) -> bytes:
    if not image.hasalpha():
        image = image.addalpha()
    return bytes(image.write_to_memory())


def _fault(error: pyvips.Error) -> MediaFault:
    """What libvips said last, without paths of ours: it is shown to the uploader."""
    if any(words in error.detail.lower() for words in _CUT_SHORT):
        return MediaFault("input_truncated")
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    reason = lines[-1].split(": ", 1)[-1] if lines else "no reason given"
    return MediaFault("input_unreadable", f"The image cannot be decoded: {reason}.")
