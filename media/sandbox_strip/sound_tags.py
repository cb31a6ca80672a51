"""MP3, AAC and FLAC: tags before, in and behind the sound.

Sources: ID3v2.4 (3.1, 3.4); ID3v1; APEv2; Lyrics3 2.00; FLAC (RFC 9639, 8); Vorbis comments.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from media.faults import tags_unremovable
from media.sandbox_strip.changes import Edits, damaged_structure, exactly

_ID3_HEADER = 10
_FOOTER_FLAG = 0x10
_NEEDED_COMMENT = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK="
"""The one Vorbis comment that says how to play: which loudspeaker gets which channel."""
_MAX_COMMENT_BYTES = 64 * 1024 * 1024
_STREAMINFO, _PADDING, _SEEKTABLE, _VORBIS_COMMENT = 0, 1, 3, 4


def mpeg_edits(file: BinaryIO, size: int) -> Edits:
    """MP3 and AAC: an ID3v2 tag before the sound becomes an empty one, those behind it are cut off."""
    result = Edits()
    start = _clear_id3v2(file, size, result)
    end = size
    while end > start and (shorter := _before_tag(file, end)) is not None:
        if not start <= shorter < end:
            raise damaged_structure()
        end = shorter
    if end < size:
        result.cut = end
    return result


def flac_edits(file: BinaryIO, size: int) -> Edits:
    """FLAC: comments and pictures become padding."""
    result = Edits()
    position = _clear_id3v2(file, size, result)
    if exactly(file, position, 4) != b"fLaC":
        raise damaged_structure()
    position += 4
    last = False
    while not last:
        head = exactly(file, position, 4)
        last, kind, length = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        body = position + 4
        if body + length > size:
            raise damaged_structure()
        if kind == _VORBIS_COMMENT:
            result.write(body, blank_comments(exactly(file, body, length)))
        elif kind not in (_STREAMINFO, _SEEKTABLE):
            result.write(position, bytes((head[0] & 0x80 | _PADDING,)))
            result.clear(body, body + length)
        position = body + length
    return result


def blank_comments(block: bytes) -> bytes:
    """A block of Vorbis comments of the same length without what people or programs wrote.

    The name of the program becomes spaces: as many as fill the block.
    """
    try:
        needed = [comment for comment in _comments(block) if comment.upper().startswith(_NEEDED_COMMENT)]
    except struct.error:
        raise damaged_structure() from None
    tail = struct.pack("<I", len(needed)) + b"".join(struct.pack("<I", len(each)) + each for each in needed)
    spaces = len(block) - 4 - len(tail)
    if spaces < 0:
        raise damaged_structure()
    return struct.pack("<I", spaces) + b" " * spaces + tail


def _comments(block: bytes) -> Iterator[bytes]:
    position = 4 + struct.unpack_from("<I", block)[0]
    (count,) = struct.unpack_from("<I", block, position)
    position += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", block, position)
        yield block[position + 4 : position + 4 + length]
        position += 4 + length


def _clear_id3v2(file: BinaryIO, size: int, result: Edits) -> int:
    """Clears the tags at the start; returns where they end."""
    position = 0
    while position + _ID3_HEADER <= size:
        head = exactly(file, position, _ID3_HEADER)
        if head[:3] != b"ID3":
            break
        end = position + _ID3_HEADER + _synchsafe(head[6:])
        if end > size:
            raise damaged_structure()
        result.write(position + 5, b"\0")
        result.clear(position + _ID3_HEADER, end)
        if head[5] & _FOOTER_FLAG:
            raise tags_unremovable("The file begins with an ID3 tag of an unusual form.")
        position = end
    return position


def _before_tag(file: BinaryIO, end: int) -> int | None:
    """Where the tag begins that ends at `end`; None where none does."""
    tail = exactly(file, max(end - 128, 0), min(end, 128))
    if tail[:3] == b"TAG" and len(tail) == 128:
        return end - 128
    if tail[-32:-24] == b"APETAGEX":
        length, _, flags = struct.unpack("<III", tail[-20:-8])
        return int(end - length - (32 if flags & 1 << 31 else 0))
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return end - 15 - int(tail[-15:-9])
    if tail[-10:-7] == b"3DI":
        return end - 2 * _ID3_HEADER - _synchsafe(tail[-4:])
    return None


def _synchsafe(data: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))
