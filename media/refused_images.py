"""Image formats that people upload and that are not decoded, by their first bytes: the refusal names them.

Of the packaged libraries libvips has no decoder for JPEG XL, JPEG 2000 and the raw formats of cameras. Pillow has one
for JPEG 2000 that is not used: few people upload it, and it had many faults. Cameras' raw files that are TIFF hold a
small picture as well, which must not be taken for the photograph. SVG is a program that draws, and may load files.

Sources: ISO/IEC 18181-2, 15444-1 (annex I), 29199-2; Adobe's specifications of PSD and DNG 1.7; TIFF/EP (ISO 12234-2).
"""

import struct
from typing import BinaryIO

_STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"8BPS", "Photoshop's own format"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (4, b"ftypcrx ", "a camera's raw format (CR3)"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw format (RAF)"),
    (0, b"IIU\0", "a camera's raw format (RW2)"),
    (0, b"IIRO", "a camera's raw format (ORF)"),
    (0, b"IIRS", "a camera's raw format (ORF)"),
    (0, b"MMOR", "a camera's raw format (ORF)"),
    (0, b"FOVb", "a camera's raw format (X3F)"),
)
_RAW = "a camera's raw format"
_PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 262, 330, 50706
_OF_SENSORS = frozenset({32803, 34892})
"""Photometric interpretations of raw files: a mosaic of colours, and linear values of the sensor."""
_MAX_DIRECTORIES, _MAX_ENTRIES = 32, 1000
_MAX_PROLOGUE_BYTES = 2048


def name_of(head: bytes, file: BinaryIO) -> str | None:
    """The name of the format of a file that begins with `head` (64 bytes); None for what may be decoded."""
    for at, start, name in _STARTS:
        if head.startswith(start, at):
            return name
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _raw_tiff(head, file)
    return "SVG" if _is_svg(head, file) else None


def _is_svg(head: bytes, file: BinaryIO) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")):
        return text.startswith(b"<svg")
    file.seek(0)
    return b"<svg" in file.read(_MAX_PROLOGUE_BYTES)


def _raw_tiff(head: bytes, file: BinaryIO) -> str | None:
    order = "<" if head[:2] == b"II" else ">"
    waiting, seen = [struct.unpack_from(f"{order}I", head, 4)[0]], set[int]()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        try:
            tags, following = _directory(file, order, at)
            if _DNG_VERSION in tags:
                return f"{_RAW} (DNG)"
            if _number(order, tags.get(_PHOTOMETRIC)) in _OF_SENSORS:
                return _RAW
            waiting.extend([*_offsets(file, order, tags.get(_SUB_DIRECTORIES)), *following])
        except struct.error:
            return None
    return None


_Entry = tuple[int, int, bytes]
"""The type, the number of values, and four bytes: the values, or where they are."""


def _directory(file: BinaryIO, order: str, at: int) -> tuple[dict[int, _Entry], list[int]]:
    file.seek(at)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    tags = {}
    for _ in range(min(count, _MAX_ENTRIES)):
        tag, kind, values, raw = struct.unpack(f"{order}HHI4s", file.read(12))
        tags[tag] = (kind, values, raw)
    following = struct.unpack(f"{order}I", file.read(4))[0] if count <= _MAX_ENTRIES else 0
    return tags, [following] if following else []


def _number(order: str, entry: _Entry | None) -> int | None:
    """The only value of a tag, a short or long number."""
    if entry is None or entry[1] != 1:
        return None
    number: int = struct.unpack_from(f"{order}H" if entry[0] == 3 else f"{order}I", entry[2])[0]
    return number


def _offsets(file: BinaryIO, order: str, entry: _Entry | None) -> list[int]:
    if entry is None or not 0 < entry[1] <= _MAX_DIRECTORIES:
        return []
    (first,) = struct.unpack(f"{order}I", entry[2])
    if entry[1] == 1:
        return [first]
    file.seek(first)
    return list(struct.unpack(f"{order}{entry[1]}I", file.read(4 * entry[1])))
