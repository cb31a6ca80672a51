"""Matroska and WebM: tags, titles, attached pictures and names become `Void` elements of the same length.

Sources: EBML (RFC 8794), Matroska (RFC 9559).
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from media.sandbox_strip.changes import Edits, damaged_structure, exactly

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SEEK_HEAD, _CUES, _CHAPTERS, _TAGS, _ATTACHMENTS = 0x114D9B74, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469
_KEPT = frozenset({_SEEK_HEAD, _CUES, _CHAPTERS, _CLUSTER})
_OF_SEGMENT = _KEPT | {_INFO, _TRACKS, _TAGS, _ATTACHMENTS, _EBML, _SEGMENT}
_VOID, _CRC = 0xEC, 0xBF
_TRACK_ENTRY, _ATTACHED_FILE, _FILE_TYPE, _TRACK_TYPE = 0xAE, 0x61A7, 0x4660, 0x83
_METADATA_TRACK = 0x21
# Title, date, and names of files.
_INFO_TAGS = frozenset({0x7BA9, 0x4461, 0x7384, 0x3C83AB, 0x3E83BB})
_WRITING_APP = 0x5741
# Name, name and settings of the codec, addresses.
_TRACK_TAGS = frozenset({0x536E, 0x258688, 0x3A9697, 0x3B4040, 0x26B240})
_FONTS = (b"font", b"truetype", b"opentype", b"ttf", b"otf")
_MAX_ELEMENTS, _MAX_NAME_BYTES = 5_000_000, 256


class Element(NamedTuple):
    """`start` of its id, `body` of its content, `end`: offsets in the file. `open`: its length is not declared."""

    id: int
    start: int
    body: int
    end: int
    open: bool


def edits(file: BinaryIO, size: int) -> Edits:
    """The changes that leave the tracks. Raises MediaFault where the elements cannot be followed."""
    result = Edits()
    for outer in _elements(file, 0, size):
        if outer.id == _SEGMENT:
            for element in _elements(file, outer.body, outer.end):
                _part(file, element, result)
        elif outer.id != _EBML:
            _void(outer, result)
    return result


def _part(file: BinaryIO, element: Element, result: Edits) -> None:
    """Changes one part of a segment."""
    match element.id:
        case id if id == _INFO:
            _info(file, element, result)
        case id if id == _TRACKS:
            _tracks(file, element, result)
        case id if id == _ATTACHMENTS:
            _attachments(file, element, result)
        case id if id == _VOID:
            result.clear(element.body, element.end)
        case id if id not in _KEPT:
            _void(element, result)


def _info(file: BinaryIO, info: Element, result: Edits) -> None:
    for element in _elements(file, info.body, info.end):
        if element.id == _WRITING_APP:
            # A file must have it; strings may end with zeros.
            result.clear(element.body, element.end)
        elif element.id in _INFO_TAGS or element.id in (_VOID, _CRC):
            _void(element, result)


def _tracks(file: BinaryIO, tracks: Element, result: Edits) -> None:
    for track in _elements(file, tracks.body, tracks.end):
        if track.id == _CRC:
            _void(track, result)
        if track.id != _TRACK_ENTRY:
            continue
        for element in _elements(file, track.body, track.end):
            if element.id == _TRACK_TYPE and exactly(file, element.end - 1, 1)[0] == _METADATA_TRACK:
                raise damaged_structure()
            if element.id in _TRACK_TAGS or element.id in (_VOID, _CRC):
                _void(element, result)


def _attachments(file: BinaryIO, attachments: Element, result: Edits) -> None:
    """Fonts stay, which subtitles need."""
    found = list(_elements(file, attachments.body, attachments.end))
    fonts = [each for each in found if each.id == _ATTACHED_FILE and _is_font(file, each)]
    if not fonts:
        _void(attachments, result)
        return
    for each in found:
        if each not in fonts:
            _void(each, result)


def _is_font(file: BinaryIO, attached: Element) -> bool:
    for element in _elements(file, attached.body, attached.end):
        if element.id == _FILE_TYPE and element.end - element.body <= _MAX_NAME_BYTES:
            kind = exactly(file, element.body, element.end - element.body).lower()
            return any(font in kind for font in _FONTS)
    return False


def _void(element: Element, result: Edits) -> None:
    """Overwrites an element, its header included."""
    if element.open:
        raise damaged_structure()
    total = element.end - element.start
    length_bytes = 8 if total >= 9 else 1
    content = total - 1 - length_bytes
    result.write(element.start, bytes((_VOID,)) + (content | 1 << 7 * length_bytes).to_bytes(length_bytes, "big"))
    result.clear(element.start + 1 + length_bytes, element.end)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements between two offsets. A cluster without a length, as live recorders write it, ends at the next part
    of the segment."""
    for _ in range(_MAX_ELEMENTS):
        if start >= end:
            return
        element = _element(file, start, end)
        if element.open and element.id == _CLUSTER:
            element = element._replace(end=_end_of_cluster(file, element), open=False)
        yield element
        start = element.end
    raise damaged_structure()


def _element(file: BinaryIO, start: int, end: int) -> Element:
    file.seek(start)
    head = file.read(min(12, end - start))
    id_length = 9 - head[0].bit_length() if head and head[0] else 9
    if id_length > 4 or len(head) <= id_length:
        raise damaged_structure()
    first = head[id_length]
    size_length = 9 - first.bit_length()
    if size_length > 8 or len(head) < id_length + size_length:
        raise damaged_structure()
    size = int.from_bytes(head[id_length : id_length + size_length], "big") & (1 << 7 * size_length) - 1
    body, is_open = start + id_length + size_length, size == (1 << 7 * size_length) - 1
    # The last one of a recording that was broken off reaches beyond the end.
    return Element(
        int.from_bytes(head[:id_length], "big"), start, body, end if is_open else min(body + size, end), is_open
    )


def _end_of_cluster(file: BinaryIO, cluster: Element) -> int:
    position = cluster.body
    while position < cluster.end:
        element = _element(file, position, cluster.end)
        if element.id in _OF_SEGMENT:
            return position
        position = element.end
    return cluster.end
