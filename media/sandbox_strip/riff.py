"""WAV, AVI, AIFF and CAF: chunks that decoding does not need become empty ones of the same length.

Sources: Multimedia Programming Interface 1.0 (RIFF); EBU Tech 3306 (RF64); AVI RIFF File Reference; AIFF-C (draft of
1991); Core Audio Format Specification 1.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

from media.sandbox_strip.changes import Edits, damaged_structure, exactly

_WAV = frozenset({b"fmt ", b"data", b"fact", b"ds64", b"cue ", b"smpl", b"inst", b"plst", b"wavl", b"slnt"})
_AVI_LISTS = frozenset({b"hdrl", b"strl", b"odml"})
_AVI = frozenset({b"avih", b"strh", b"strf", b"indx", b"vprp", b"dmlh", b"idx1"})
_AIFF = frozenset({b"COMM", b"SSND", b"FVER", b"MARK", b"INST", b"wave"})
_CAF = frozenset({b"desc", b"data", b"pakt", b"kuki", b"chan", b"mark", b"inst", b"midi", b"ovvw", b"regn", b"peak"})
_OPEN = frozenset({0, 0xFFFFFFFF})
"""Lengths that live writers leave in the header of what they were writing."""
_MAX_CHUNKS = 1_000_000


class Chunk(NamedTuple):
    """`start` of its header, `body` of its content, `end` of that; `next` chunk: offsets in the file."""

    name: bytes
    start: int
    body: int
    end: int
    next: int


@dataclass(frozen=True)
class _Layout:
    """How chunks are written, and the name of an empty one."""

    order: Literal["big", "little"]
    length_bytes: int
    even: bool
    empty: bytes


_RIFF = _Layout("little", 4, even=True, empty=b"JUNK")
_IFF = _Layout("big", 4, even=True, empty=b"JUNK")
_CORE_AUDIO = _Layout("big", 8, even=False, empty=b"free")


def wav_edits(file: BinaryIO, size: int) -> Edits:
    """The changes of a WAV or RF64 file. Raises MediaFault where its chunks cannot be followed."""
    result = Edits()
    wide = _wide_data_length(file)
    for chunk in _chunks(file, 12, size, _RIFF, wide):
        if chunk.name not in _WAV and not (chunk.name == b"LIST" and exactly(file, chunk.body, 4) == b"adtl"):
            _empty(chunk, _RIFF, result)
    return result


def avi_edits(file: BinaryIO, size: int) -> Edits:
    """The changes of an AVI file; behind 1 GiB it goes on in further RIFF chunks."""
    result, position = Edits(), 0
    while position + 12 <= size and exactly(file, position, 4) == b"RIFF":
        length = int.from_bytes(exactly(file, position + 4, 4), "little")
        end = size if length in _OPEN else min(position + 8 + length, size)
        _avi_part(file, position + 12, end, result)
        position = end + end % 2
    result.clear(position, size)
    return result


def aiff_edits(file: BinaryIO, size: int) -> Edits:
    """The changes of an AIFF file."""
    return _by_names(file, 12, size, _IFF, _AIFF)


def caf_edits(file: BinaryIO, size: int) -> Edits:
    """The changes of a CAF file."""
    return _by_names(file, 8, size, _CORE_AUDIO, _CAF)


def _by_names(file: BinaryIO, start: int, size: int, layout: _Layout, names: frozenset[bytes]) -> Edits:
    result = Edits()
    for chunk in _chunks(file, start, size, layout):
        if chunk.name not in names:
            _empty(chunk, layout, result)
    return result


def _avi_part(file: BinaryIO, start: int, end: int, result: Edits) -> None:
    for chunk in _chunks(file, start, end, _RIFF):
        kind = exactly(file, chunk.body, 4) if chunk.name == b"LIST" else b""
        if kind in _AVI_LISTS:
            _avi_part(file, chunk.body + 4, chunk.end, result)
        elif kind != b"movi" and chunk.name not in _AVI:
            _empty(chunk, _RIFF, result)


def _empty(chunk: Chunk, layout: _Layout, result: Edits) -> None:
    result.write(chunk.start, layout.empty)
    result.clear(chunk.body, chunk.end)


def _wide_data_length(file: BinaryIO) -> int | None:
    """The length of the sound of an RF64 file, which is in its chunk `ds64`."""
    if exactly(file, 12, 4) != b"ds64":
        return None
    return int.from_bytes(exactly(file, 12 + 8 + 8, 8), "little")


def _chunks(file: BinaryIO, position: int, end: int, layout: _Layout, wide_data: int | None = None) -> Iterator[Chunk]:
    head = 4 + layout.length_bytes
    for _ in range(_MAX_CHUNKS):
        if position + head > end:
            return
        data = exactly(file, position, head)
        name, length = data[:4], int.from_bytes(data[4:], layout.order)
        if name == b"data" and wide_data is not None:
            length = wide_data
        elif name == b"data" and (length in _OPEN or length == (1 << 64) - 1):
            length = end - position - head
        stop = position + head + length
        if stop > end and name not in (b"data", b"SSND", b"LIST"):
            raise damaged_structure()
        stop = min(stop, end)
        following = stop + stop % 2 if layout.even else stop
        yield Chunk(name, position, position + head, stop, following)
        position = following
    raise damaged_structure()
