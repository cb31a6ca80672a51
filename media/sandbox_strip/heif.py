"""HEIC and AVIF: the items with EXIF, XMP and the like are cleared where they lie, so that no offset changes.

Orientation is a property of the picture there, and not a tag of EXIF. Sources: ISO/IEC 23008-12; 14496-12, 8.11.
"""

from collections.abc import Iterator
from typing import BinaryIO

from media.sandbox_strip import exif, films
from media.sandbox_strip.boxes import EMPTY_BOXES, Box, box_at, child, children, content, empty
from media.sandbox_strip.changes import Edits, damaged_structure, exactly

_OUTER = frozenset({b"ftyp", b"meta", b"mdat", b"imda", b"moov", b"moof"})
_META = frozenset({b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"idat", b"dinf", b"grpl"})
_TAG_ITEMS = frozenset({b"Exif", b"mime", b"uri "})
_TAG_PROPERTIES = frozenset({b"udes", b"altt", b"uuid"})
_MAX_TABLE = 16 * 1024 * 1024
_IN_FILE, _IN_IDAT = 0, 1


def edits(file: BinaryIO, size: int) -> Edits:
    """The changes that leave the pictures. Raises MediaFault where that cannot be told."""
    result, meta, movie, data, position = Edits(), None, None, list[Box](), 0
    while position + 8 <= size:
        box = box_at(file, position, size)
        if box is None:
            if exactly(file, position, 8) == bytes(4) + b"mdat":
                data.append(Box(b"mdat", position, position + 8, size))
                position = size
            break
        if box.name == b"meta":
            meta = box
        elif box.name == b"moov":
            movie = box
        elif box.name in (b"mdat", b"imda"):
            data.append(box)
        elif box.name not in _OUTER:
            empty(result, box)
        position = box.end
    result.clear(position, size)
    if meta is None:
        raise damaged_structure()
    _meta(file, meta, result)
    if movie is not None:
        films.movie_edits(file, movie, data, result)
    return result


def _meta(file: BinaryIO, meta: Box, result: Edits) -> None:
    inner = {box.name: box for box in children(file, meta, skip=4)}
    for box in children(file, meta, skip=4):
        if box.name == b"hdlr":
            result.clear(box.body + 24, box.end)
        elif box.name not in _META:
            empty(result, box)
    if b"iinf" not in inner or b"iloc" not in inner:
        raise damaged_structure()
    kinds = dict(_kinds(file, inner[b"iinf"]))
    for number, extents in _places(file, inner[b"iloc"], inner.get(b"idat")):
        if kinds.get(number) in _TAG_ITEMS:
            _clear_item(kinds[number], extents, result)
    properties = child(file, inner[b"iprp"], b"ipco") if b"iprp" in inner else None
    for box in children(file, properties) if properties is not None else ():
        if box.name in _TAG_PROPERTIES or box.name in EMPTY_BOXES:
            empty(result, box)


def _kinds(file: BinaryIO, infos: Box) -> Iterator[tuple[int, bytes]]:
    """The number of each item, and its type."""
    wide = exactly(file, infos.body, 1) != b"\0"
    for box in children(file, infos, skip=8 if wide else 6):
        if box.name != b"infe":
            continue
        head = exactly(file, box.body, min(box.end - box.body, 16))
        version, digits = head[0], 4 if head[0] == 3 else 2
        if version < 2 or len(head) < 4 + digits + 6:
            raise damaged_structure()
        yield int.from_bytes(head[4 : 4 + digits], "big"), head[6 + digits : 10 + digits]


def _places(file: BinaryIO, locations: Box, idat: Box | None) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The number of each item, and the parts of the file that hold it."""
    table = _Numbers(content(file, locations, _MAX_TABLE))
    version = table.take(1)
    table.take(3)
    sizes = table.take(2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    wide = 4 if version == 2 else 2
    if not length_size:
        raise damaged_structure()
    for _ in range(table.take(wide)):
        number = table.take(wide)
        method = table.take(2) & 15 if version else _IN_FILE
        table.take(2)
        base = table.take(base_size)
        extents = []
        for _ in range(table.take(2)):
            if version:
                table.take(index_size)
            at, length = base + table.take(offset_size), table.take(length_size)
            if method == _IN_IDAT and idat is not None:
                at += idat.body
            extents.append((at, at + length))
        if method not in (_IN_FILE, _IN_IDAT):
            # Made of other items, which are cleared themselves where they hold tags.
            continue
        yield number, extents


def _clear_item(kind: bytes, extents: list[tuple[int, int]], result: Edits) -> None:
    for start, end in extents:
        if end <= start:
            raise damaged_structure()
        result.clear(start, end)
    start, end = extents[0] if extents else (0, 0)
    if kind == b"Exif" and end - start >= 4 + len(exif.EMPTY):
        # Behind the number of bytes before EXIF's own header.
        result.write(start + 4, exif.EMPTY)


class _Numbers:
    """Reads numbers of varying size one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> int:
        if self._at + size > len(self._data):
            raise damaged_structure()
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")
