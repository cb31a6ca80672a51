"""Runs in the sandbox only: encodes images with libvips. Called by name through the fork server, with JSON in and out.

A MediaFault that is raised here is raised in the calling process as well.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from media import sandbox_image
from media.faults import MediaFault
from media.libvips import pyvips
from services.thumbnailer import wide_gamut
from services.thumbnailer.palette import dominant

PLACEHOLDER_SIDE = 16
"""Longest side of a placeholder, in pixels: about 160 characters as a data address."""
PALETTE_SIDE = 64
"""Longest side of the image in which colours are counted: takes 4 ms, and small details never dominate."""

# Messages of the decoders for missing bytes at the end; libvips has no error code for it.
_TRUNCATED_MESSAGES = ("premature end", "unexpected end", "end of file", "truncated", "bytes, expected")
_SAVERS = {"jpeg": "jpegsave", "png": "pngsave", "webp": "webpsave", "avif": "heifsave"}
_JPEG_END = b"\xff\xd9"


def convert(source: str, source_format: str, dest: str, width: int, height: int, **how: Any) -> dict[str, Any]:
    """Converts an image file to `dest`: exactly `width` x `height`, upright, sRGB with 8 bits, without metadata.

    Takes the first frame of an animation. `source_format` is the probe's name of the format; for the other arguments
    see `_finish`. Raises MediaFault for input that cannot be decoded.
    """
    _prepare()
    points = sandbox_image.code_points(source, source_format)
    if not wide_gamut.is_needed(points):
        points = None
    in_memory = sandbox_image.decoded(source, source_format)
    try:
        size: dict[str, Any] = {"height": height, "size": "force"}
        if points is None and (_has_other_colours(source) if in_memory is None else _is_not_srgb(in_memory)):
            size["output_profile"] = "srgb"
        if in_memory is not None:
            image = in_memory.thumbnail_image(width, **size).copy_memory()
        elif source_format == "jpeg":
            image = _from_jpeg(Path(source), Path(dest).with_name("repaired"), width, size)
        elif source_format == "tiff":
            image = _from_tiff(Path(source), width, size)
        else:
            image = _from_file(Path(source), "truncated", width, size)
        if points is not None:
            image = wide_gamut.to_srgb(image, points).copy_memory()
    except pyvips.Error as error:
        raise _fault(error) from error
    return _finish(image, dest, **how)


def _has_other_colours(source: str) -> bool:
    try:
        return _is_not_srgb(pyvips.Image.new_from_file(source, access="sequential"))
    except pyvips.Error:
        return True


def _is_not_srgb(image: pyvips.Image) -> bool:
    """By its header. A conversion from sRGB to sRGB takes longer than all the rest."""
    return bool(image.get_typeof("icc-profile-data")) or image.interpretation not in ("srgb", "b-w")


def _from_file(file: Path, fail_on: str, width: int, size: dict[str, Any]) -> pyvips.Image:
    """The image in its new size, decoded."""
    # By name, because with a source or a buffer `fail_on` is ignored, and truncated images are accepted.
    return pyvips.Image.thumbnail(str(file), width, **size, fail_on=fail_on).copy_memory()


def _from_jpeg(file: Path, repaired: Path, width: int, size: dict[str, Any]) -> pyvips.Image:
    """The same; where the end marker is missing, of `repaired`, which the caller deletes."""
    try:
        return _from_file(file, "truncated", width, size)
    except pyvips.Error as error:
        if not _is_truncated(error):
            raise
        repaired.write_bytes(file.read_bytes() + _JPEG_END)
        # Where more than the marker is missing, the decoder warns, and that is what is reported.
        return _from_file(repaired, "warning", width, size)


def _from_tiff(file: Path, width: int, size: dict[str, Any]) -> pyvips.Image:
    """The same; libvips makes black of a compression that it lacks, unless it is to fail at errors."""
    try:
        return _from_file(file, "error", width, size)
    except pyvips.Error as error:
        image = sandbox_image.decoded_tiff(str(file))
        if image is None or _is_truncated(error):
            raise
        return image.thumbnail_image(width, **size).copy_memory()


def encode_pixels(pixels: str, alpha: bool, dest: str, width: int, height: int, **how: Any) -> dict[str, Any]:
    """Encodes raw pixels to `dest`: 8 bits, rows from the top, `width` x `height`; the rest as in `convert`.

    They are RGB, or with `alpha` RGBA, the colours multiplied with it.
    """
    _prepare()
    data = Path(pixels).read_bytes()
    image = pyvips.Image.new_from_memory(data, width, height, 4 if alpha else 3, "uchar").copy(interpretation="srgb")
    if alpha:
        image = image.unpremultiply().cast("uchar")
    return _finish(image, dest, **how)


def _prepare() -> None:
    # One image per process, so no cache; loaders that libvips calls unfit for untrusted input stay off.
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)


def _finish(
    image: pyvips.Image,
    dest: str,
    format: str,
    save: dict[str, Any],
    background: Sequence[int] | None,
    palette: bool,
) -> dict[str, Any]:
    """Writes the image; `save` are the options of the saver of `format`.

    `background` (RGB, 0 to 255) is put behind transparent images, unless it is None. With `palette` the result has
    `placeholder` and `background`.
    """
    if image.bands < 3:
        image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=list(background)) if background else _without_hidden_colours(image)
    getattr(image, _SAVERS[format])(dest, keep="none", **save)
    if not palette:
        return {}
    small = image.thumbnail_image(PALETTE_SIDE, height=PALETTE_SIDE, size="down").copy_memory()
    return {"placeholder": _placeholder(small), "background": dominant(_rgba(small))}


def _without_hidden_colours(image: pyvips.Image) -> pyvips.Image:
    """Black instead of the colours of wholly transparent pixels: nobody is meant to see what is left there."""
    return (image[image.bands - 1] == 0).ifthenelse(0, image)


def _placeholder(image: pyvips.Image) -> str:
    tiny = image.thumbnail_image(PLACEHOLDER_SIDE, height=PLACEHOLDER_SIDE, size="down")
    data = tiny.webpsave_buffer(Q=40, effort=6, keep="none")
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def _rgba(image: pyvips.Image) -> bytes:
    if not image.hasalpha():
        image = image.addalpha()
    return bytes(image.write_to_memory())


def _is_truncated(error: pyvips.Error) -> bool:
    return any(words in error.detail.lower() for words in _TRUNCATED_MESSAGES)


def _fault(error: pyvips.Error) -> MediaFault:
    """The words of libvips are not the customer's."""
    if _is_truncated(error):
        return MediaFault("input_truncated")
    return MediaFault("input_damaged", "The image cannot be decoded: its data is damaged.")
