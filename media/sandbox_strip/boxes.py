"""Boxes of ISO base media files (ISO/IEC 14496-12, 4.2) and QuickTime files: walking them, emptying them in place."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from media.sandbox_strip.changes import Edits, damaged_structure, exactly

EMPTY_BOXES = frozenset({b"free", b"skip", b"wide"})
_MAX_BOXES = 1_000_000


class Box(NamedTuple):
    """`start` of its header, `body` of its content, `end`: offsets in the file."""

    name: bytes
    start: int
    body: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets, up to what is too short for one. Raises MediaFault where one does not fit."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        box = box_at(file, start, end)
        if box is None:
            if exactly(file, start, 4) == bytes(4):
                return  # the number that ends a list of QuickTime
            raise damaged_structure()
        yield box
        start = box.end
    raise damaged_structure()


def box_at(file: BinaryIO, start: int, end: int) -> Box | None:
    """The box at an offset; None where there is none that ends at `end` or before."""
    head = exactly(file, start, 8)
    length, body = int.from_bytes(head[:4], "big"), start + 8
    if length == 1 and start + 16 <= end:
        length, body = int.from_bytes(exactly(file, start + 8, 8), "big"), start + 16
    if length < body - start or start + length > end:
        return None
    return Box(head[4:], start, body, start + length)


def children(file: BinaryIO, box: Box, skip: int = 0) -> Iterator[Box]:
    """The boxes in a box, behind `skip` bytes of its own."""
    return boxes(file, box.body + skip, box.end)


def child(file: BinaryIO, box: Box, *path: bytes) -> Box | None:
    """The first box of each name of the path, one in the other."""
    for name in path:
        found = next((each for each in children(file, box) if each.name == name), None)
        if found is None:
            return None
        box = found
    return box


def empty(edits: Edits, box: Box) -> None:
    """Makes a box empty space of the same length."""
    if box.name not in EMPTY_BOXES:
        edits.write(box.start + 4, b"free")
    edits.clear(box.body, box.end)


def content(file: BinaryIO, box: Box, most: int) -> bytes:
    """The content of a box of at most so many bytes. Raises MediaFault for a longer one."""
    if box.end - box.body > most:
        raise damaged_structure()
    return exactly(file, box.body, box.end - box.body)
