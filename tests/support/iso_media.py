"""Reads ISO base media files (mp4, mov)."""

import struct
from pathlib import Path


def top_level_boxes(path: Path) -> list[str]:
    """The names of the file's boxes, in order."""
    names, data, position = [], path.read_bytes(), 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if length == 1:
            length = struct.unpack_from(">Q", data, position + 8)[0]
        names.append(name.decode("latin-1"))
        position += length or len(data)
    return names
