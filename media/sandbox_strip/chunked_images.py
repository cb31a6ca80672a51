"""PNG, WebP and GIF: files of chunks, of which the needed ones are kept.

Sources: PNG (third edition), 11; WebP container (RFC 9649), 2; GIF89a.
"""

import struct
import zlib
from collections.abc import Iterator
from mmap import mmap

from media.sandbox_strip import exif
from media.sandbox_strip.changes import Piece, damaged_structure

_PNG_START = 8
_PNG_KEPT = frozenset(
    (
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"),
        *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"hIST", b"pHYs", b"sBIT", b"sPLT"),
    )
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04
_GIF_APPLICATIONS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"})
"""The number of repetitions (two names), and the colour profile."""


def png_pieces(data: mmap) -> Iterator[Piece]:
    """What the new file consists of. What follows the chunk `IEND` goes."""
    yield data[:_PNG_START]
    position = _PNG_START
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            # The end of the picture may be missing; the decoder says what that means.
            if name in _PNG_KEPT:
                yield position, len(data)
            return
        if name in _PNG_KEPT:
            yield position, end
        elif name == b"eXIf" and (turned := exif.orientation(data[position + 8 : end - 4])) != 1:
            yield _png_chunk(name, exif.only_orientation(turned))
        if name == b"IEND":
            return
        position = end


def _png_chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def webp_pieces(data: mmap) -> list[Piece]:
    """What the new file consists of; of its flags those of EXIF and XMP say what it holds afterwards."""
    (declared,) = struct.unpack_from("<I", data, 4)
    stop, position, turned = min(8 + declared, len(data)), 12, 1
    kept: list[Piece] = []
    while position + 8 <= stop:
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        if name == b"VP8X":
            kept.append(data[position:end])
        elif name in _WEBP_KEPT:
            kept.append((position, min(end, stop)))
        elif name == b"EXIF":
            content = data[position + 8 : position + 8 + length]
            turned = exif.orientation(content.removeprefix(b"Exif\0\0"))
        position = end
    if turned != 1:
        content = exif.only_orientation(turned)
        kept.append(struct.pack("<4sI", b"EXIF", len(content)) + content)
    kept = [_with_flags(piece, turned != 1) if isinstance(piece, bytes) else piece for piece in kept]
    size = 4 + sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in kept)
    return [struct.pack("<4sI4s", b"RIFF", size, b"WEBP"), *kept]


def _with_flags(chunk: bytes, has_exif: bool) -> bytes:
    if not chunk.startswith(b"VP8X") or len(chunk) < 9:
        return chunk
    flags = chunk[8] & ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG) | (_WEBP_EXIF_FLAG if has_exif else 0)
    return chunk[:8] + bytes((flags,)) + chunk[9:]


def gif_pieces(data: mmap) -> Iterator[Piece]:
    """What the new file consists of. Comments, and what applications wrote for themselves, go."""
    if len(data) < 13:
        raise damaged_structure()
    position = 13 + _colours(data[10])
    yield 0, position
    while position < len(data):
        start, kind = position, data[position]
        if kind == 0x3B:
            yield b"\x3b"
            return
        if kind == 0x21 and position + 2 < len(data):
            label, position = data[position + 1], _after_blocks(data, position + 2)
            application = data[start + 3 : start + 14]
            if label in (0xF9, 0x01) or (label == 0xFF and application in _GIF_APPLICATIONS):
                yield start, position
        elif kind == 0x2C and position + 10 < len(data):
            position = _after_blocks(data, position + 11 + _colours(data[position + 9]))
            yield start, position
        else:
            # Not GIF any more: decoders stop here.
            return


def _colours(flags: int) -> int:
    """The bytes of a colour table, by the flags that announce it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: mmap, position: int) -> int:
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return min(position + 1, len(data))
