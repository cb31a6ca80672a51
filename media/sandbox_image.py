"""Runs in the sandbox only: the facts of an image file, and its pixels where libvips has no decoder for its format.

The packaged libvips decodes JPEG, PNG, GIF, WebP, TIFF and AVIF. HEIC (HEVC) is decoded by libheif and libde265 of the
package pi-heif, which compose the tiles of a grid and apply rotation, mirroring and cropping; BMP, ICO and rare kinds
of TIFF by Pillow.
"""

import struct
from pathlib import Path
from typing import Any, Literal

import pi_heif
import pi_heif.options
from PIL.BmpImagePlugin import BmpImageFile
from PIL.IcoImagePlugin import IcoImageFile
from PIL.TiffImagePlugin import TiffImageFile

from media import png
from media.allowlists import MAX_IMAGE_PIXELS
from media.animation import animation_of
from media.faults import MediaFault
from media.image_signatures import TIFF_STARTS, pillow_format
from media.libvips import pyvips

_VIPS_FORMATS = {"jpeg": "jpeg", "png": "png", "gif": "gif", "webp": "webp", "tiff": "tiff"}
_ANIMATED = frozenset({"gif", "webp", "avif", "tiff"})
_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error)
_HEIF_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, IndexError)
# By class, so that no other decoder is tried. Without Pillow's limit on pixels: the caller of the probe has ours.
_PILLOW_DECODERS: dict[str, type[BmpImageFile | IcoImageFile | TiffImageFile]] = {
    "bmp": BmpImageFile,
    "ico": IcoImageFile,
    "tiff": TiffImageFile,
}
_PILLOW_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"})
"""Those of 8 bits: the conversion of others clips."""
_UNREADABLE = "The image cannot be decoded: its data is damaged, or of a kind that is not supported."
_TOO_LARGE = "The image takes too much memory to be decoded."

pi_heif.options.THUMBNAILS = False
pi_heif.options.DEPTH_IMAGES = False
pi_heif.options.AUX_IMAGES = False


def decodes_heic() -> bool:
    """Whether the installed libheif has a decoder for HEVC."""
    return bool(pi_heif.libheif_info()["decoders"].keys() & {"libde265", "ffmpeg"})


def facts(path: str, head: bytes) -> dict[str, Any]:
    """The fields of `MediaInfo` except those that are computed from others. Decodes no pixels.

    Raises pyvips.Error and MediaFault for a file that cannot be read.
    """
    format_ = pillow_format(head)
    if format_ is not None:
        return _pillow_facts(path, format_)
    try:
        return _libvips_facts(path)
    except pyvips.Error:
        if not head.startswith(TIFF_STARTS):
            raise
        if _tiff_directory(head) >= Path(path).stat().st_size:
            raise MediaFault("input_truncated") from None
        return _pillow_facts(path, "tiff")


def _tiff_directory(head: bytes) -> int:
    """Where the first directory begins; writers put it behind the pixels."""
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"
    return int.from_bytes(head[4:8] if head[2:4] in (b"*\0", b"\0*") else head[8:16], order)


def _libvips_facts(path: str) -> dict[str, Any]:
    # As a Source and not by name: libvips takes brackets at the end of a file name for options.
    image = pyvips.Image.new_from_source(pyvips.Source.new_from_file(path), "", access="sequential")
    fields = set(image.get_fields())

    def field(name: str, default: Any) -> Any:
        return image.get(name) if name in fields else default

    loader = str(image.get("vips-loader")).removesuffix("load_source")
    if loader == "heif":
        name = "avif" if field("heif-compression", "") == "av1" else "heic"
    else:
        name = _VIPS_FORMATS.get(loader, "")
    if not name:
        raise MediaFault("input_unreadable")
    size, alpha = (image.width, image.height), bool(image.hasalpha())
    delays = field("delay", []) if name in ("gif", "webp") else []
    still = _facts(
        name,
        size,
        pages=int(field("n-pages", 1)) if name in _ANIMATED else 1,
        orientation=int(field("orientation", 1)),
        alpha=alpha,
        bands=image.bands,
        interpretation=str(image.interpretation),
        icc="icc-profile-data" in fields,
    )
    return still | animation_of(path, name, size, [int(delay) for delay in delays], alpha=alpha)


def _pillow_facts(path: str, format_: str) -> dict[str, Any]:
    try:
        with _PILLOW_DECODERS[format_](path) as image:
            bands = len(image.getbands())
            return _facts(format_, image.size, alpha=image.has_transparency_data, bands=bands)
    except _PILLOW_ERRORS as error:
        raise MediaFault("input_damaged", _UNREADABLE) from error


def _facts(name: str, size: tuple[int, int], **image: Any) -> dict[str, Any]:
    return {"kind": "image", "format": name, "coded": list(size), "image": image}


def decoded(path: str, format_: str) -> Any:
    """The upright first image of a file as a libvips image in memory; None where libvips decodes the format itself.

    It has 1 to 4 bands of 8 or 16 bits, and the file's ICC profile. Raises MediaFault.
    """
    try:
        if format_ == "heic":
            return _decoded_by_libheif(path)
        return _decoded_by_pillow(path, format_) if format_ in ("bmp", "ico") else None
    except MemoryError as error:
        raise MediaFault("input_limits_exceeded", _TOO_LARGE) from error


def code_points(path: str, format_: str) -> tuple[int, int] | None:
    """Primaries and transfer of a PNG, HEIC or AVIF file as ITU-T H.273 numbers them; None where it does not say."""
    if format_ == "png":
        return png.code_points(path)
    if format_ not in ("heic", "avif"):
        return None
    try:
        profile = _open_heif(path).info.get("nclx_profile")
    except _HEIF_ERRORS:
        return None
    return (profile["color_primaries"], profile["transfer_characteristics"]) if profile else None


def _open_heif(path: str) -> Any:
    """The headers of the primary image."""
    file = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
    return file[file.primary_index]


def _decoded_by_libheif(path: str) -> Any:
    try:
        heif = _open_heif(path)
        data, mode, size = heif.data, heif.mode, heif.size
    except _HEIF_ERRORS as error:
        raise MediaFault("input_damaged", _UNREADABLE) from error
    bands, _, bits = mode.partition(";")
    # Copied, because the pixels end with `heif`.
    image = _from_memory(data, size, len(bands), deep=bool(bits)).copy_memory()
    if heif.premultiplied_alpha:
        image = image.unpremultiply(max_alpha=65535 if bits else 255).cast("ushort" if bits else "uchar")
    if profile := heif.info.get("icc_profile"):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def decoded_tiff(path: str) -> Any:
    """A TIFF that libvips cannot decode, in the same way; None where Pillow cannot either."""
    try:
        return _decoded_by_pillow(path, "tiff")
    except MediaFault:
        return None


def _decoded_by_pillow(path: str, format_: str) -> Any:
    try:
        with _PILLOW_DECODERS[format_](path) as opened:
            if opened.mode not in _PILLOW_MODES:
                raise MediaFault("input_damaged", _UNREADABLE)
            image = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
            profile = opened.info.get("icc_profile") if opened.mode in ("RGB", "RGBA") else None
    except _PILLOW_ERRORS as error:
        if "truncated" in str(error):
            raise MediaFault("input_truncated") from error
        raise MediaFault("input_damaged", _UNREADABLE) from error
    pixels = _from_memory(image.tobytes(), image.size, len(image.getbands()), deep=False)
    if profile:
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    if format_ == "bmp" and pixels.bands == 4 and pixels[3].max() == 0:
        # Many writers leave the fourth byte 0 and mean no transparency.
        return pixels.extract_band(0, n=3)
    return pixels


def _from_memory(data: Any, size: tuple[int, int], bands: int, *, deep: bool) -> Any:
    if size[0] * size[1] > MAX_IMAGE_PIXELS:
        raise MediaFault("input_limits_exceeded", _TOO_LARGE)
    image = pyvips.Image.new_from_memory(data, *size, bands, "ushort" if deep else "uchar")
    colour, grey = ("rgb16", "grey16") if deep else ("srgb", "b-w")
    return image.copy(interpretation=grey if bands < 3 else colour)
