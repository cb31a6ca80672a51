"""By which bytes files of the image formats that are read begin (pure). No library, so that any process may ask."""

import struct
from typing import Literal

HEAD_BYTES = 64
"""How many bytes of a file the functions want."""
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The last two are BigTIFF's, for files beyond 4 GiB."""

_HEIF_BRANDS = frozenset({b"avif", b"avis", b"mif1", b"mif2", b"msf1", b"heic", b"heix", b"hevc", b"hevx"})
_MORE_HEIF_BRANDS = frozenset({b"heim", b"heis", b"hevm", b"hevs", b"miaf"})
_BMP_HEADER_BYTES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_MAX_ICONS = 256


def is_image(head: bytes) -> bool:
    """Whether a file that begins with `head` (64 bytes) is one of the image formats that are read."""
    return (
        _is_heif(head)
        or pillow_format(head) is not None
        or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", *TIFF_STARTS))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    )


def pillow_format(head: bytes) -> Literal["bmp", "ico"] | None:
    """The format of a file that libvips has no decoder for."""
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADER_BYTES:
        return "bmp"
    # Of an entry of the directory the fourth byte is 0. Without that MPEG video would be taken for icons.
    if head[:4] == b"\0\0\1\0" and len(head) >= 22 and 0 < head[4] + 256 * head[5] <= _MAX_ICONS and not head[9]:
        return "ico"
    return None


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS | _MORE_HEIF_BRANDS
