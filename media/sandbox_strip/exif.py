"""The one tag of EXIF that an image needs to be shown: its orientation.

Source: EXIF 2.32 (CIPA DC-008), 4.6; TIFF 6.0, section 2.
"""

import struct

_ORIENTATION, _SHORT = 0x0112, 3
_MAX_ENTRIES = 1000


def orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, that the first directory of EXIF data names; 1 where it names none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is None:
            return 1
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for number in range(min(count, _MAX_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * number)
            if tag == _ORIENTATION and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def only_orientation(value: int) -> bytes:
    """EXIF data with an orientation and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, _SHORT, 1, value, 0, 0)


EMPTY = struct.pack(">2sHIHI", b"MM", 42, 8, 0, 0)
"""EXIF data without any tag."""
