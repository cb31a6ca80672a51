"""MP4, QuickTime and M4A: user data, metadata and tracks of data become empty space; the tracks of picture and sound
keep their tables, so that every packet stays where it is.

Sources: ISO/IEC 14496-12; QuickTime File Format (Apple), "Movie Atoms", "Metadata", "User Data Atoms".
"""

from collections.abc import Iterator
from typing import BinaryIO

from media.faults import tags_unremovable
from media.sandbox_strip import samples
from media.sandbox_strip.boxes import EMPTY_BOXES, Box, box_at, boxes, child, children, content, empty
from media.sandbox_strip.changes import Edits, damaged_structure, exactly

_OUTER = frozenset({b"ftyp", b"styp", b"sidx", b"ssix", b"moov", b"moof", b"mdat", b"mfra", b"pdin", b"prft", b"imda"})
_MOVIE = frozenset({b"mvhd", b"trak", b"mvex", b"iods", b"pssh", b"clip", b"ctab", b"prfl"})
_TRACK = frozenset({b"tkhd", b"edts", b"mdia", b"tref", b"tapt", b"load", b"imap", b"clip", b"matt", b"trgr"})
_MEDIA = frozenset({b"mdhd", b"hdlr", b"minf", b"elng"})
_FRAGMENT = frozenset({b"mfhd", b"traf", b"pssh"})
_SPHERICAL = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
"""The identifier of the box by which players know films of 360 degrees (Spherical Video V1)."""
_PICTURE, _SOUND, _TEXT = b"vide", b"soun", frozenset({b"text", b"sbtl", b"subt", b"clcp"})
_OTHER_TRACKS = frozenset({b"tmcd", b"auxv", b"pict"})
_COMPRESSOR_NAME = slice(42, 74)
"""In the description of a picture track, a name of the encoder, which often is that of the device."""
_NAMES_THAT_DECODERS_READ = (b"Planar Y'CbCr", b"Sorenson H263")
_GAPLESS = b"iTunSMPB"
"""The item of iTunes that says how much silence an encoder put before the sound."""
_USER_DATA = (_GAPLESS, b"chpl")
_MAX_DESCRIPTION, _MAX_USER_DATA = 1024 * 1024, 64 * 1024 * 1024


def edits(file: BinaryIO, size: int) -> Edits:
    """The changes that leave picture, sound and subtitles. Raises MediaFault where that cannot be told."""
    result, movie, data = Edits(), None, list[Box]()
    for box in _outer_boxes(file, size, result):
        if box.name == b"moov":
            movie = box
        elif box.name in (b"mdat", b"imda"):
            data.append(box)
        elif box.name == b"moof":
            _keep(file, box, _FRAGMENT, result)
    if movie is None:
        raise damaged_structure()
    movie_edits(file, movie, data, result)
    return result


def movie_edits(file: BinaryIO, movie: Box, data: list[Box], result: Edits) -> None:
    """Adds the changes of the box `moov`, whose samples lie in the boxes `data`."""
    fragmented = any(box.name == b"mvex" for box in children(file, movie))
    kept: list[Box] = []
    dropped: list[Box] = []
    for box in children(file, movie):
        match box.name:
            case b"trak":
                (kept if _is_kept(file, box) else dropped).append(box)
            case b"udta":
                _user_data(file, box, result)
            case b"mvhd":
                _clear_times(file, box, result)
            case b"cmov":
                raise tags_unremovable("The index of the film is compressed.")
            case name if name not in _MOVIE:
                empty(result, box)
    if dropped and fragmented:
        raise tags_unremovable("The film has a track of data, in fragments.")
    for track in kept:
        _track(file, track, result)
    for track in dropped:
        empty(result, track)
    for start, end in samples.of_dropped(file, kept, dropped, data):
        result.clear(start, end)


def _outer_boxes(file: BinaryIO, size: int, result: Edits) -> Iterator[Box]:
    """The outermost boxes that are kept. What follows the last one, as some devices write it, is cleared."""
    position = 0
    while position + 8 <= size:
        box = box_at(file, position, size)
        if box is None:
            head = exactly(file, position, 8)
            if head[:4] == bytes(4) and head[4:] == b"mdat":
                yield Box(b"mdat", position, position + 8, size)
                return
            break
        if box.name in _OUTER:
            yield box
        else:
            empty(result, box)
        position = box.end
    result.clear(position, size)


def _keep(file: BinaryIO, box: Box, names: frozenset[bytes], result: Edits) -> None:
    for each in children(file, box):
        if each.name not in names:
            empty(result, each)


def _is_kept(file: BinaryIO, track: Box) -> bool:
    handler = child(file, track, b"mdia", b"hdlr")
    if handler is None:
        raise damaged_structure()
    kind = exactly(file, handler.body + 8, 4)
    if kind in _TEXT:
        # Drones write their position into subtitles.
        return not samples.tell_positions(file, track)
    return kind in (_PICTURE, _SOUND) or kind in _OTHER_TRACKS


def _track(file: BinaryIO, track: Box, result: Edits) -> None:
    for box in children(file, track):
        if box.name == b"tkhd":
            _clear_times(file, box, result)
        elif box.name == b"mdia":
            _media(file, box, result)
        elif box.name == b"uuid" and exactly(file, box.body, 16) == _SPHERICAL:
            continue
        elif box.name not in _TRACK:
            empty(result, box)


def _media(file: BinaryIO, media: Box, result: Edits) -> None:
    handler = child(file, media, b"hdlr")
    kind = exactly(file, handler.body + 8, 4) if handler else b""
    for box in children(file, media):
        if box.name == b"mdhd":
            _clear_times(file, box, result)
        elif box.name == b"hdlr":
            # Behind the type and three reserved numbers: a name, often that of the device.
            result.clear(box.body + 24, box.end)
        elif box.name == b"minf":
            for each in children(file, box):
                if each.name == b"hdlr":
                    result.clear(each.body + 24, each.end)
                elif each.name in (b"udta", b"meta", b"uuid") or each.name in EMPTY_BOXES:
                    empty(result, each)
        elif box.name not in _MEDIA:
            empty(result, box)
    descriptions = child(file, media, b"minf", b"stbl", b"stsd")
    if kind == _PICTURE and descriptions is not None:
        _encoder_names(file, descriptions, result)


def _encoder_names(file: BinaryIO, descriptions: Box, result: Edits) -> None:
    for entry in children(file, descriptions, skip=8):
        head = content(file, entry, _MAX_DESCRIPTION)[: _COMPRESSOR_NAME.stop]
        name = head[_COMPRESSOR_NAME]
        if len(head) == _COMPRESSOR_NAME.stop and not any(known in name for known in _NAMES_THAT_DECODERS_READ):
            result.clear(entry.body + _COMPRESSOR_NAME.start, entry.body + _COMPRESSOR_NAME.stop)


def _clear_times(file: BinaryIO, header: Box, result: Edits) -> None:
    """When it was made and changed: two numbers behind version and flags, in `mvhd`, `tkhd` and `mdhd` alike."""
    wide = exactly(file, header.body, 1) == b"\1"
    result.clear(header.body + 4, header.body + (20 if wide else 12))


def _user_data(file: BinaryIO, box: Box, result: Edits) -> None:
    """Empties user data but for the chapters, and the item that gapless playing needs."""
    if box.end - box.body > _MAX_USER_DATA or not any(
        name in content(file, box, _MAX_USER_DATA) for name in _USER_DATA
    ):
        empty(result, box)
        return
    for each in children(file, box):
        if each.name == b"chpl":
            continue
        if each.name != b"meta" or _GAPLESS not in content(file, each, _MAX_USER_DATA):
            empty(result, each)
            continue
        for inner in children(file, each, skip=4):
            if inner.name == b"ilst":
                _items(file, inner, result)
            elif inner.name != b"hdlr":
                empty(result, inner)


def _items(file: BinaryIO, items: Box, result: Edits) -> None:
    for item in boxes(file, items.body, items.end):
        if item.name != b"----" or _GAPLESS not in content(file, item, _MAX_USER_DATA):
            empty(result, item)
