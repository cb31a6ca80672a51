"""Ogg: the packet of comments of each stream keeps its length and loses its content; its pages get new checksums.

Sources: Ogg (RFC 3533, 6), Vorbis I (5), Opus in Ogg (RFC 7845, 5.2), Theora (6.3), FLAC in Ogg (RFC 9639, 10.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from media.faults import tags_unremovable
from media.sandbox_strip.changes import Edits, damaged_structure, exactly
from media.sandbox_strip.sound_tags import blank_comments

_MAX_PAGES = 20_000_000
_MAX_HEADER_BYTES = 64 * 1024 * 1024
_FIRST, _CONTINUED = 0x02, 0x01
_POLYNOMIAL = 0x04C11DB7
_COMMENT_STARTS = {
    b"\x01vorbis": b"\x03vorbis",
    b"OpusHead": b"OpusTags",
    b"\x80theora": b"\x81theora",
    b"OVP80\x01": b"OVP80\x02",
    b"Speex   ": b"",
}
"""How the first packet of a stream begins, and how its packet of comments does."""
_FLAC = b"\x7fFLAC"
_OTHERS = (b"fishead", b"fisbone")


class _Page(NamedTuple):
    start: int
    body: int
    end: int
    serial: int
    flags: int
    lacing: bytes


@dataclass
class _Stream:
    """The packets of one stream that are read so far: of each the parts of the file, and whether it is complete."""

    packets: list[list[tuple[int, int]]] = field(default_factory=list)
    open: bool = False
    first: bytes = b""
    done: bool = False


def edits(file: BinaryIO, size: int) -> Edits:
    """The changes of all streams. Raises MediaFault for a stream whose comments are not known."""
    streams: dict[int, _Stream] = {}
    new: dict[int, bytes] = {}
    starts: dict[int, list[_Page]] = {}
    end = 0
    for page in _pages(file, size):
        end = page.end
        if page.flags & _FIRST:
            streams[page.serial] = _Stream(first=exactly(file, page.body, min(page.end - page.body, 9)))
            starts[page.serial] = []
        stream = streams.get(page.serial)
        if stream is None:
            raise damaged_structure()
        if stream.done:
            continue
        starts[page.serial].append(page)
        _add_packets(stream, page)
        changed = _changes(file, stream)
        if stream.done and changed:
            for touched in starts[page.serial]:
                new.update(_rewritten(file, touched, changed))
    result = Edits(cut=end if end < size else None)
    for at, data in new.items():
        result.write(at, data)
    return result


def _pages(file: BinaryIO, size: int) -> Iterator[_Page]:
    position = 0
    for _ in range(_MAX_PAGES):
        if position + 27 > size:
            return
        head = exactly(file, position, 27)
        if head[:4] != b"OggS":
            raise damaged_structure()
        lacing = exactly(file, position + 27, head[26])
        body = position + 27 + len(lacing)
        end = body + sum(lacing)
        yield _Page(position, body, min(end, size), int.from_bytes(head[14:18], "little"), head[5], lacing)
        position = end
    raise damaged_structure()


def _add_packets(stream: _Stream, page: _Page) -> None:
    position = page.body
    start = position
    for length in page.lacing:
        position += length
        if length == 255 and position - start < _MAX_HEADER_BYTES:
            continue
        _add_part(stream, start, position)
        stream.open = False
        start = position
    if page.lacing and page.lacing[-1] == 255:
        _add_part(stream, start, position)
        stream.open = True


def _add_part(stream: _Stream, start: int, end: int) -> None:
    if stream.open:
        stream.packets[-1].append((start, end))
        stream.open = False
    else:
        stream.packets.append([(start, end)])


def _changes(file: BinaryIO, stream: _Stream) -> list[tuple[int, bytes]]:
    """New content of parts of the file, once the comments of the stream are read as a whole."""
    if stream.first.startswith(_OTHERS):
        stream.done = True
        return []
    if stream.first.startswith(_FLAC):
        return _flac_changes(file, stream)
    start = next((mark for first, mark in _COMMENT_STARTS.items() if stream.first.startswith(first)), None)
    if start is None:
        raise tags_unremovable("The file is Ogg with a stream of a rare kind.")
    complete = stream.packets[: len(stream.packets) - stream.open]
    if len(complete) < 2:
        return []
    stream.done = True
    packet = _packet(file, complete[1])
    if not packet.startswith(start):
        raise damaged_structure()
    # Behind the comments of Vorbis comes a bit, behind those of Opus anything.
    tail = packet[-1:] if start == b"\x03vorbis" else b""
    return _split(complete[1], start + blank_comments(packet[len(start) : len(packet) - len(tail)]) + tail)


def _flac_changes(file: BinaryIO, stream: _Stream) -> list[tuple[int, bytes]]:
    complete = stream.packets[: len(stream.packets) - stream.open]
    changes: list[tuple[int, bytes]] = []
    for parts in complete[1:]:
        packet = _packet(file, parts)
        kind = packet[0] & 0x7F if packet else 127
        if kind == 4:
            changes += _split(parts, packet[:4] + blank_comments(packet[4:]))
        elif kind not in (0, 3) and kind != 127:
            changes += _split(parts, bytes((packet[0] & 0x80 | 1,)) + packet[1:4] + bytes(len(packet) - 4))
        if not packet or packet[0] & 0x80:
            stream.done = True
            return changes
    return []


def _packet(file: BinaryIO, parts: list[tuple[int, int]]) -> bytes:
    if sum(end - start for start, end in parts) > _MAX_HEADER_BYTES:
        raise damaged_structure()
    return b"".join(exactly(file, start, end - start) for start, end in parts)


def _split(parts: list[tuple[int, int]], packet: bytes) -> list[tuple[int, bytes]]:
    changes, position = [], 0
    for start, end in parts:
        changes.append((start, packet[position : position + end - start]))
        position += end - start
    return changes


def _rewritten(file: BinaryIO, page: _Page, changes: list[tuple[int, bytes]]) -> dict[int, bytes]:
    """The page with its changes and checksum; nothing where it has none."""
    inside = [(at, data) for at, data in changes if page.body <= at < page.end]
    if not inside:
        return {}
    new = bytearray(exactly(file, page.start, page.end - page.start))
    for at, data in inside:
        new[at - page.start : at - page.start + len(data)] = data
    new[22:26] = bytes(4)
    new[22:26] = _checksum(new).to_bytes(4, "little")
    return {page.start: bytes(new)}


def _table() -> list[int]:
    table = []
    for number in range(256):
        value = number << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 1 << 31 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_TABLE = _table()


def _checksum(data: bytes | bytearray) -> int:
    value = 0
    for byte in data:
        value = (value << 8) & 0xFFFFFFFF ^ _TABLE[value >> 24 ^ byte]
    return value
