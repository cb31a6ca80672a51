"""What stripping does to a file, as values: parts that are overwritten or cleared, or the parts that a new file has."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

from media.faults import MediaFault, tags_unremovable

_BLOCK = 1024 * 1024
_ZEROS = bytes(_BLOCK)

Piece: TypeAlias = bytes | tuple[int, int]
"""A part of a new file: these bytes, or those of the old file from one offset up to another."""


@dataclass
class Edits:
    """Changes of a file in place. `cut` is its new length in bytes, None where that stays.

    Collected while the file is read, and applied once all of it was understood.
    """

    writes: list[tuple[int, bytes]] = field(default_factory=list)
    clears: list[tuple[int, int]] = field(default_factory=list)
    cut: int | None = None

    def write(self, at: int, data: bytes) -> None:
        self.writes.append((at, data))

    def clear(self, start: int, end: int) -> None:
        """Overwrites with zeros."""
        if end > start:
            self.clears.append((start, end))


def damaged_structure() -> MediaFault:
    """The fault of a file whose parts cannot be followed."""
    return tags_unremovable("The structure of the file is damaged or unusual.")


def apply_edits(path: Path, edits: Edits) -> None:
    """Clears first, then writes."""
    with path.open("r+b") as file:
        for start, end in edits.clears:
            file.seek(start)
            for position in range(start, end, _BLOCK):
                file.write(_ZEROS[: end - position])
        for at, data in edits.writes:
            file.seek(at)
            file.write(data)
        if edits.cut is not None:
            file.truncate(edits.cut)


def write_pieces(source: Path, dest: Path, pieces: Iterable[Piece]) -> None:
    """Writes the new file."""
    with source.open("rb") as old, dest.open("wb") as new:
        for piece in pieces:
            if isinstance(piece, bytes):
                new.write(piece)
                continue
            position, end = piece
            old.seek(position)
            while position < end and (block := old.read(min(_BLOCK, end - position))):
                new.write(block)
                position += len(block)


def exactly(file: BinaryIO, at: int, length: int) -> bytes:
    """So many bytes of a file. Raises MediaFault where it has fewer."""
    # Asked first: numbers of a damaged file are larger than any file, and than memory.
    if at + length > os.fstat(file.fileno()).st_size:
        raise damaged_structure()
    file.seek(at)
    return file.read(length)


def gaps(kept: Sequence[tuple[int, int]], end: int) -> Iterable[tuple[int, int]]:
    """The parts of a file of `end` bytes that lie in none of the `kept` ones."""
    position = 0
    for start, stop in sorted(kept):
        if start > position:
            yield position, min(start, end)
        position = max(position, stop)
    if position < end:
        yield position, end
