"""The samples of tracks that are dropped from a film: where they lie, and whether text tells positions.

Source: ISO/IEC 14496-12, 8.7 (sample tables).
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import BinaryIO

from media.sandbox_strip.boxes import Box, child
from media.sandbox_strip.changes import damaged_structure, exactly

_MAX_ENTRIES = 20_000_000
_MAX_TEXT_BYTES = 16 * 1024 * 1024
_POSITION = re.compile(rb"(?i)\bgps\b|latitude|longitude|\blat\b.{0,30}\blon|[+-]\d{2}\.\d{3,}[+-]\d{3}\.\d{3,}")

Range = tuple[int, int]


def of_dropped(file: BinaryIO, kept: Sequence[Box], dropped: Sequence[Box], data: Sequence[Box]) -> Iterator[Range]:
    """The parts of the file with the samples of dropped tracks.

    Raises MediaFault where a kept track has samples there, or outside of the boxes `data`, which are all that is kept.
    """
    bounds = sorted((box.body, box.end) for box in data)
    ranges = sorted(part for track in dropped for part in _chunks(file, track))
    for at in (at for track in kept for at in _offsets(file, _table(file, track))):
        if not _lies_in(bounds, at) or _lies_in(ranges, at):
            raise damaged_structure()
    for start, end in ranges:
        if not _lies_in(bounds, start) or not _lies_in(bounds, end - 1):
            raise damaged_structure()
        yield start, end


def tell_positions(file: BinaryIO, track: Box) -> bool:
    """Whether the text of a track names places, as drones write them."""
    left = _MAX_TEXT_BYTES
    for start, end in _chunks(file, track):
        text = exactly(file, start, min(end - start, left))
        if _POSITION.search(text) or _POSITION.search(text.replace(b"\0", b"")):
            return True
        left -= len(text)
        if left <= 0:
            return False
    return False


def _lies_in(ranges: Sequence[Range], at: int) -> bool:
    number = bisect_right(ranges, at, key=lambda part: part[0]) - 1
    return number >= 0 and at < ranges[number][1]


def _table(file: BinaryIO, track: Box) -> Box:
    table = child(file, track, b"mdia", b"minf", b"stbl")
    if table is None:
        raise damaged_structure()
    return table


def _chunks(file: BinaryIO, track: Box) -> Iterator[Range]:
    """The chunks of a track, which hold its samples one after another."""
    table = _table(file, track)
    offsets = _offsets(file, table)
    sizes = _sizes(file, table)
    runs = _numbers(file, table, b"stsc", "III")
    ends, sample = list(accumulate(sizes, initial=0)), 0
    for number, (first, per_chunk) in enumerate(zip(runs[::3], runs[1::3], strict=False)):
        after = runs[3 * number + 3] if 3 * number + 3 < len(runs) else max(len(offsets), first) + 1
        if first < 1 or after <= first:
            raise damaged_structure()
        for chunk in range(first, min(after, len(offsets) + 1)):
            last = min(sample + per_chunk, len(sizes))
            at = offsets[chunk - 1]
            if last > sample:
                yield at, at + ends[last] - ends[sample]
            sample = last


def _offsets(file: BinaryIO, table: Box) -> tuple[int, ...]:
    if child(file, table, b"co64") is not None:
        return _numbers(file, table, b"co64", "Q")
    return _numbers(file, table, b"stco", "I")


def _sizes(file: BinaryIO, table: Box) -> Sequence[int]:
    box = child(file, table, b"stsz")
    if box is None:
        raise damaged_structure()
    size, count = struct.unpack(">II", exactly(file, box.body + 4, 8))
    if count > _MAX_ENTRIES:
        raise damaged_structure()
    if size:
        return [size] * count
    return struct.unpack(f">{count}I", exactly(file, box.body + 12, 4 * count))


def _numbers(file: BinaryIO, table: Box, name: bytes, form: str) -> tuple[int, ...]:
    """The numbers of a table: `count` entries of these types behind version, flags and count."""
    box = child(file, table, name)
    if box is None:
        raise damaged_structure()
    (count,) = struct.unpack(">I", exactly(file, box.body + 4, 4))
    if count > _MAX_ENTRIES or count * struct.calcsize(f">{form}") > box.end - box.body:
        raise damaged_structure()
    return struct.unpack(f">{form * count}", exactly(file, box.body + 8, count * struct.calcsize(f">{form}")))
