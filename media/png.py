"""What chunks of a PNG say that libvips does not: the delays of an animation, and colours by code points.

Source: the PNG specification, third edition, 11.3.2.6 (`cICP`) and 11.3.6 (APNG chunks).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

_START = 8
_MAX_CHUNKS = 100_000
_MAX_WANTED_BYTES = 26


def delays(path: str) -> Iterator[float]:
    """The delays of an animation's frames in seconds: the chunks `fcTL`, if there is an `acTL` before the picture."""
    animated = False
    for name, content in _chunks(path):
        if name == b"fcTL" and animated and len(content) == 26:
            numerator, denominator = struct.unpack_from(">HH", content, 20)
            yield numerator / (denominator or 100)
        elif name == b"IDAT" and not animated:
            return
        animated = animated or name == b"acTL"


def code_points(path: str) -> tuple[int, int] | None:
    """Primaries and transfer as ITU-T H.273 numbers them; None where the file does not say. They count more than an ICC
    profile. Only RGB of full range is meant: the other two numbers must say so."""
    for name, content in _chunks(path):
        if name == b"cICP" and len(content) == 4 and content[2:] == b"\0\1":
            return content[0], content[1]
        if name == b"IDAT":
            break
    return None


def _chunks(path: str) -> Iterator[tuple[bytes, bytes]]:
    """The name of each chunk, and its content where that is short."""
    with Path(path).open("rb") as file:
        file.seek(_START)
        for _ in range(_MAX_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return
            length, name = struct.unpack(">I4s", head)
            content = file.read(length) if length <= _MAX_WANTED_BYTES else b""
            yield name, content
            file.seek(length - len(content) + 4, 1)
