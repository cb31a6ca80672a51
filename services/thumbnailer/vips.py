"""Runs in the sandbox only: encodes images with libvips. Called by name through the fork server, with JSON in and out.

A MediaFault that is raised here is raised in the calling process as well.
"""

import base64
from pathlib import Path
from typing import Any

from media.faults import MediaFault
from media.libvips import pyvips
from services.thumbnailer.palette import dominant

PLACEHOLDER_SIDE = 16
"""Longest side of a placeholder, in pixels: about 160 characters as a data address."""
PALETTE_SIDE = 64
"""Longest side of the image in which colours are counted: takes 4 ms, and small details never dominate."""

# Messages of the decoders for missing bytes at the end; libvips has no error code for it.
_TRUNCATED_MESSAGES = ("premature end", "unexpected end", "end of file", "truncated")
_SAVERS = {"jpeg": "jpegsave", "png": "pngsave", "webp": "webpsave", "avif": "heifsave"}


def convert(
    source: str, dest: str, width: int, height: int, format: str, save: dict[str, Any], opaque: bool, palette: bool
) -> dict[str, Any]:
    """Converts an image file to `dest`: exactly `width` x `height`, upright, sRGB with 8 bits, without metadata.

    Takes the first frame of an animation. `opaque` puts a black background behind transparent images. With `palette`
    the result has `placeholder` and `background`. Raises MediaFault for input that cannot be decoded.
    """
    _prepare()
    try:
        # By name, because with a pyvips.Source `fail_on` is ignored and truncated images are accepted.
        image = pyvips.Image.thumbnail(
            source, width, height=height, size="force", output_profile="srgb", fail_on="truncated"
        )
        # Decoding happens here; later errors are not the input's.
        image = image.copy_memory()
    except pyvips.Error as error:
        raise _fault(error) from error
    return _finish(image, dest, format, save, opaque, palette)


def encode_pixels(
    pixels: str, dest: str, width: int, height: int, format: str, save: dict[str, Any], opaque: bool, palette: bool
) -> dict[str, Any]:
    """Encodes raw pixels (RGB, 8 bits, rows from the top, `width` x `height`) to `dest`; the rest as in `convert`."""
    _prepare()
    data = Path(pixels).read_bytes()
    image = pyvips.Image.new_from_memory(data, width, height, 3, "uchar").copy(interpretation="srgb")
    return _finish(image, dest, format, save, opaque, palette)


def _prepare() -> None:
    # One image per process, so no cache; loaders that libvips calls unfit for untrusted input stay off.
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
    """The fault with the last message of libvips, without our paths: it is shown to the uploader."""
    if any(words in error.detail.lower() for words in _TRUNCATED_MESSAGES):
        return MediaFault("input_truncated")
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    reason = lines[-1].split(": ", 1)[-1] if lines else "no reason given"
    return MediaFault("input_unreadable", f"The image cannot be decoded: {reason}.")
