"""Runs in the sandbox only: tries what we need of libvips and PyAV, and reports what they cannot do as plain JSON."""

from typing import Any

import av
from av.codec import Codec

from media import sandbox_image
from media.libvips import pyvips

_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("jpegsave_buffer", {}),
    "png": ("pngsave_buffer", {}),
    "webp": ("webpsave_buffer", {}),
    "avif": ("heifsave_buffer", {"compression": "av1", "effort": 0}),
}
_LOADERS = ("gifload_source", "tiffload_source", "heifload_source", "thumbnail", "icc_transform")
_SIDE = 16


def check(decoders: list[str], demuxers: list[str]) -> dict[str, Any]:
    """The versions of libvips and PyAV; the image formats and operations, decoders and demuxers that do not work.

    An image of each format that we make is encoded and decoded again: 30 ms. `decoders` may name alternatives, as in
    "av1|libdav1d".
    """
    return {
        "libvips": [pyvips.version(part) for part in range(3)],
        "image_formats": [name for name in _SAVERS if not _round_trip(name)],
        "operations": [name for name in _LOADERS if not pyvips.type_find("VipsOperation", name)],
        "heic": sandbox_image.decodes_heic(),
        "pyav": av.__version__,
        "decoders": [names for names in decoders if not any(_decodes(name) for name in names.split("|"))],
        "demuxers": [name for name in demuxers if name not in av.formats_available],
    }


def _round_trip(name: str) -> bool:
    saver, options = _SAVERS[name]
    image = pyvips.Image.black(_SIDE, _SIDE, bands=3).copy(interpretation="srgb")
    try:
        data = getattr(image, saver)(keep="none", **options)
        return bool(pyvips.Image.new_from_buffer(data, "").copy_memory().width == _SIDE)
    except (pyvips.Error, AttributeError):
        return False


def _decodes(name: str) -> bool:
    try:
        return not Codec(name, "r").is_encoder
    except ValueError:
        return False
