"""TIFF and BigTIFF: the directories keep the tags that decoding needs, and everything that they do not refer to is
cleared: EXIF, GPS, notes of the camera's maker, XMP, and forgotten parts.

Sources: TIFF 6.0; its supplements 1 and 2; BigTIFF; ICC.1, annex B.3.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from media.faults import tags_unremovable
from media.sandbox_strip.changes import Edits, damaged_structure, exactly, gaps

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_KEPT = frozenset(
    (
        # Size, layout, compression, orientation, resolution.
        *range(254, 260),
        *(262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 292, 293, 296, 297),
        *(317, 320, 321, 322, 323, 324, 325, 326, 327, 328, 330, 332, 334, 336, 338, 339, 340, 341, 347, 513, 514, 559),
        # Colour: transfer function, white point, primaries, YCbCr, reference black and white, ICC profile.
        *(301, 318, 319, 529, 530, 531, 532, 34675),
    )
)
_DATA = {273: 279, 324: 325, 513: 514}
"""Tags that hold offsets of pixels, and those that hold their lengths."""
_COMPRESSION, _OLD_JPEG, _SUB_DIRECTORIES = 259, 6, 330
_MAX_DIRECTORIES, _MAX_ENTRIES, _MAX_VALUES = 10_000, 4096, 4_000_000


class _Entry(NamedTuple):
    tag: int
    kind: int
    values: int
    raw: bytes
    start: int
    end: int
    """Of the values, wherever they lie; `values` is their number."""


@dataclass(frozen=True)
class _Layout:
    """How numbers of the file are written; BigTIFF has wide ones."""

    order: str
    wide: bool

    @property
    def word(self) -> str:
        return "Q" if self.wide else "I"

    @property
    def word_bytes(self) -> int:
        return 8 if self.wide else 4

    @property
    def entry_bytes(self) -> int:
        return 20 if self.wide else 12

    def numbers(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self.order + form, data)


def edits(file: BinaryIO, size: int) -> Edits:
    """The changes that leave the pixels and what they need. Raises MediaFault where that cannot be told."""
    head = exactly(file, 0, 8)
    layout = _Layout("<" if head[:2] == b"II" else ">", head[2:4] in (b"+\0", b"\0+"))
    first = 8 if layout.wide else 4
    kept, result, seen = [(0, first + layout.word_bytes)], Edits(), set[int]()
    waiting = list(layout.numbers(layout.word, exactly(file, first, layout.word_bytes)))
    while waiting:
        at = waiting.pop()
        if at == 0 or at in seen:
            continue
        seen.add(at)
        if len(seen) > _MAX_DIRECTORIES:
            raise damaged_structure()
        entries, following = _directory(file, layout, at)
        remaining = [entry for entry in entries if entry.tag in _KEPT]
        waiting.extend(layout.numbers(layout.word, following))
        new = _encoded(layout, remaining, following)
        result.write(at, new)
        kept.append((at, at + len(new)))
        kept.extend((entry.start, entry.end) for entry in remaining if entry.end - entry.start > layout.word_bytes)
        kept.extend(_pixels(file, layout, remaining))
        waiting.extend(
            number for entry in remaining if entry.tag == _SUB_DIRECTORIES for number in _values(file, layout, entry)
        )
    for start, end in gaps(kept, size):
        result.clear(start, end)
    return result


def _directory(file: BinaryIO, layout: _Layout, at: int) -> tuple[list[_Entry], bytes]:
    """The entries, and the offset of the next directory as the file has it."""
    head = 8 if layout.wide else 2
    (count,) = layout.numbers("Q" if layout.wide else "H", exactly(file, at, head))
    if count > _MAX_ENTRIES:
        raise damaged_structure()
    data = exactly(file, at + head, count * layout.entry_bytes)
    entries = []
    for number in range(count):
        raw = data[number * layout.entry_bytes : (number + 1) * layout.entry_bytes]
        tag, kind, values = layout.numbers(f"HH{layout.word}", raw[: -layout.word_bytes])
        length = _TYPE_BYTES.get(kind, 1) * values
        inline = at + head + (number + 1) * layout.entry_bytes - layout.word_bytes
        start = inline if length <= layout.word_bytes else layout.numbers(layout.word, raw[-layout.word_bytes :])[0]
        entries.append(_Entry(tag, kind, values, raw, start, start + length))
    return entries, exactly(file, at + head + len(data), layout.word_bytes)


def _encoded(layout: _Layout, entries: Sequence[_Entry], following: bytes) -> bytes:
    count = struct.pack(layout.order + ("Q" if layout.wide else "H"), len(entries))
    return count + b"".join(entry.raw for entry in entries) + following


def _pixels(file: BinaryIO, layout: _Layout, entries: Sequence[_Entry]) -> Iterator[tuple[int, int]]:
    """Where the coded pixels of a directory lie."""
    tags = {entry.tag: entry for entry in entries}
    if _COMPRESSION in tags and _values(file, layout, tags[_COMPRESSION])[:1] == (_OLD_JPEG,):
        raise tags_unremovable("The file is a TIFF of the old kind that holds JPEG.")
    for offsets, lengths in _DATA.items():
        if offsets not in tags:
            continue
        if lengths not in tags or tags[lengths].values != tags[offsets].values:
            raise damaged_structure()
        places = _values(file, layout, tags[offsets])
        yield from ((at, at + length) for at, length in zip(places, _values(file, layout, tags[lengths]), strict=True))


def _values(file: BinaryIO, layout: _Layout, entry: _Entry) -> tuple[int, ...]:
    form = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(entry.kind)
    if form is None or entry.values > _MAX_VALUES:
        raise damaged_structure()
    return layout.numbers(f"{entry.values}{form}", exactly(file, entry.start, entry.end - entry.start))
