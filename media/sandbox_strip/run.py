"""What the fork server calls: removes the tags of one file, or says why that is not possible."""

import struct
from collections.abc import Callable, Iterable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from media.faults import MediaFault, tags_unremovable
from media.formats import FORMATS
from media.sandbox_strip import chunked_images, films, heif, jpeg, matroska, ogg, riff, sound_tags, tiff
from media.sandbox_strip.changes import Edits, Piece, apply_edits, damaged_structure, write_pieces

_REWRITTEN: dict[str, Callable[[mmap], Iterable[Piece]]] = {
    "jpeg": jpeg.pieces,
    "png": chunked_images.png_pieces,
    "webp": chunked_images.webp_pieces,
    "gif": chunked_images.gif_pieces,
}
_EDITED: dict[str, Callable[[BinaryIO, int], Edits]] = {
    **dict.fromkeys(("mp4", "mov", "m4a"), films.edits),
    **dict.fromkeys(("webm", "mkv", "weba", "mka"), matroska.edits),
    **dict.fromkeys(("heic", "avif"), heif.edits),
    **dict.fromkeys(("mp3", "aac"), sound_tags.mpeg_edits),
    **dict.fromkeys(("ogg", "ogv"), ogg.edits),
    "tiff": tiff.edits,
    "wav": riff.wav_edits,
    "avi": riff.avi_edits,
    "aiff": riff.aiff_edits,
    "caf": riff.caf_edits,
    "flac": sound_tags.flac_edits,
}
_WITHOUT_TAGS = frozenset({"bmp", "amr"})
"""Formats that have no place for tags."""
STRIPPED = frozenset({*_REWRITTEN, *_EDITED, *_WITHOUT_TAGS})
"""Names of the formats whose tags can be removed."""


def strip(path: str, dest: str, format: str) -> bool:
    """Removes the tags of the file at `path`, whose format the probe named: in place, or into the new file `dest`.

    Returns whether `dest` was written. Raises MediaFault for a file whose tags cannot be removed; it is as it was then.
    """
    source = Path(path)
    try:
        if format in _REWRITTEN:
            with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                write_pieces(source, Path(dest), list(_REWRITTEN[format](data)))
            return True
        if format in _EDITED:
            with source.open("rb") as file:
                edits = _EDITED[format](file, source.stat().st_size)
            apply_edits(source, edits)
            return False
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise damaged_structure() from error
    except MemoryError as error:
        raise MediaFault("input_limits_exceeded", "The input takes too much memory.") from error
    if format in _WITHOUT_TAGS:
        return False
    raise tags_unremovable(f"The file is of the type {FORMATS[format].content_type}.")
