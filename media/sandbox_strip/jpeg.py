"""JPEG: the segments that decoding needs are kept, with the colour profile and the orientation. What follows the end
marker goes: phones append further pictures and films there, each with tags of its own.

Source: ITU-T T.81, annex B; JFIF 1.02 (ITU-T T.871); EXIF 2.32, 4.5.4; ICC.1, annex B.4.
"""

import re
from collections.abc import Iterator
from mmap import mmap

from media.sandbox_strip import exif
from media.sandbox_strip.changes import Piece, damaged_structure

_EXIF, _JFIF, _ICC, _ADOBE = b"Exif\0\0", b"JFIF\0", b"ICC_PROFILE\0", b"Adobe"
_JFIF_BYTES = 14
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
# In coded data 0xFF is followed by 0, by a restart marker (D0 to D7), or by another 0xFF.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def pieces(data: mmap) -> Iterator[Piece]:
    """What the new file consists of. Raises MediaFault where the segments cannot be followed."""
    if data[:2] != b"\xff\xd8":
        raise damaged_structure()
    yield data[:2]
    position, orientation_written = 2, False
    while True:
        marker, position = _marker(data, position)
        if marker is None:
            return
        if marker == _END:
            yield b"\xff\xd9"
            return
        if marker in _WITHOUT_LENGTH or marker == _START:
            continue
        end = position + int.from_bytes(data[position : position + 2], "big")
        if end < position + 2 or end > len(data):
            raise damaged_structure()
        body = position + 2
        if marker == _SCAN:
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
            yield position - 2, end
        elif marker == _APP1 and data[body : body + 6] == _EXIF and not orientation_written:
            orientation_written = True
            turned = exif.orientation(data[body + 6 : end])
            if turned != 1:
                yield _segment(_APP1, _EXIF + exif.only_orientation(turned))
        elif marker == _APP0 and data[body : body + 5] == _JFIF and end - body >= _JFIF_BYTES:
            # Without the small picture that it may hold.
            yield _segment(_APP0, data[body : body + _JFIF_BYTES - 2] + bytes(2))
        elif _is_needed(marker, data[body : body + len(_ICC)]):
            yield position - 2, end
        position = end


def _is_needed(marker: int, start: bytes) -> bool:
    if marker == _COM or _APP0 <= marker <= _APP15:
        return (marker == _APP2 and start == _ICC) or (marker == _APP14 and start.startswith(_ADOBE))
    return True


def _marker(data: mmap, position: int) -> tuple[int | None, int]:
    """The marker at a position, or behind what some writers leave between segments, and where its content begins.

    None at the end of a file whose end marker is missing.
    """
    start = data.find(b"\xff", position)
    while 0 <= start < len(data) - 1 and data[start + 1] in (0xFF, 0x00):
        start = data.find(b"\xff", start + 1)
    if start < 0 or start >= len(data) - 1:
        return None, len(data)
    return data[start + 1], start + 2


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content
