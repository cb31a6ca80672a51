"""Whether a file is shorter than its own outermost structure declares. Nothing is decoded.

An interrupted upload often opens without an error, because players can start early; decoding then ends in the middle.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"sidx", b"moof", b"pnot"})
_LATER_BOXES = frozenset({b"meta", b"uuid", b"udta", b"mfra", b"emsg", b"prft", b"pdin", b"ssix"})
"""Boxes of the outermost level that never come first."""
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", 0x18538067
_MAX_STEPS = 1_000_000
_MAX_BOXES_BEFORE_FRAGMENT = 16
_PNG = b"\x89PNG\r\n\x1a\n"


def is_truncated(file: BinaryIO, size: int) -> bool:
    """Whether the structure of `file` (`size` bytes) reaches beyond its end. False for formats that do not say."""
    file.seek(0)
    head = file.read(16)
    if head[4:8] in _BOXES:
        return _is_isobmff_truncated(file, size)
    if head[:4] == _EBML:
        return _is_matroska_truncated(file, size)
    if head[:4] == b"RIFF" and len(head) >= 12:
        declared = struct.unpack_from("<I", head, 4)[0]
        # Live writers leave 0 or the largest number; AVI continues in further RIFF chunks after the first.
        return 0 < declared < 0xFFFFFF00 and 8 + int(declared) > size + 1
    if head[:8] == _PNG:
        return _is_png_truncated(file, size)
    return False


def _is_isobmff_truncated(file: BinaryIO, size: int) -> bool:
    """ISO base media: the top-level boxes must lie inside the file, one of them being the index (`moov`, `meta`)."""
    indexed = False
    for name, end in _boxes(file, size):
        if indexed and name not in _BOXES and name not in _LATER_BOXES:
            # Bytes that some program appended to the file; players stop here.
            return False
        indexed = indexed or name in (b"moov", b"meta")
        if end > size:
            return True
    return not indexed


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The names of the outermost boxes and the positions where they end, up to the first that is none."""
    position = 0
    for _ in range(_MAX_STEPS):
        if position + 8 > size:
            return
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            wide = file.read(8)
            length = struct.unpack(">Q", wide)[0] if len(wide) == 8 else 0
        elif length == 0:
            length = size - position
        if length < 8:
            return
        position += length
        yield name, position


def is_fragmented(file: BinaryIO, size: int) -> bool:
    """Whether `file` is ISO base media in fragments, whose index does not tell a duration."""
    file.seek(4)
    if file.read(4) not in _BOXES:
        return False
    return any(name == b"moof" for name, _ in islice(_boxes(file, size), _MAX_BOXES_BEFORE_FRAGMENT))


def _ebml_number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML number and its length in bytes; (0, 0) where there is none. Ids keep their length marker."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value & (1 << 7 * length) - 1), length


def _is_matroska_truncated(file: BinaryIO, size: int) -> bool:
    """Matroska and WebM: the segment must lie inside the file, where its size is declared."""
    position = 0
    for _ in range(16):
        file.seek(position)
        head = file.read(16)
        name, name_length = _ebml_number(head, keep_marker=True)
        length, length_length = _ebml_number(head[name_length:], keep_marker=False)
        if not name_length or not length_length:
            return False
        unknown = length == (1 << 7 * length_length) - 1
        if name == _SEGMENT:
            return not unknown and position + name_length + length_length + length > size
        position += name_length + length_length + length
    return False


def _is_png_truncated(file: BinaryIO, size: int) -> bool:
    """PNG: the chunks must lie inside the file. `IEND` has no content: where only it is missing, nothing is."""
    position, pixels = 8, False
    for _ in range(_MAX_STEPS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return position > size or not pixels
        name = head[4:]
        pixels = pixels or name == b"IDAT"
        position += 12 + int.from_bytes(head[:4], "big")
        if name == b"IEND":
            return position > size
    return False
