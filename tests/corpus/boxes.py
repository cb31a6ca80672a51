"""Edits the boxes of ISO base media files (ISO/IEC 14496-12), as recorders write them and ffmpeg does not."""

import struct
from collections.abc import Callable

Change = Callable[[bytes], bytes]
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def last_frame_lasts(seconds: float) -> Change:
    """The last sample of the only track gets this duration, in all headers: a recorder of a screen that stands still.

    The file must have its index behind the data, so that no offset changes.
    """

    def change(data: bytes) -> bytes:
        file = bytearray(data)
        scale = struct.unpack_from(">I", file, file.index(b"mdhd") + 16)[0]
        at = file.index(b"stts")
        entries, count, delta = struct.unpack_from(">III", file, at + 8)
        assert entries == 1, "the frames have one duration"
        last = round(seconds * scale)
        table = struct.pack(">I4sIIIIII", 32, b"stts", 0, 2, count - 1, delta, 1, last)
        old = struct.unpack_from(">I", file, at - 4)[0]
        file[at - 4 : at - 4 + old] = table
        for name in _PARENTS:
            position = file.index(name) - 4
            struct.pack_into(">I", file, position, struct.unpack_from(">I", file, position)[0] + len(table) - old)
        _set_durations(file, (count - 1) * delta + last, scale)
        return bytes(file)

    return change


def _set_durations(file: bytearray, length: int, scale: int) -> None:
    struct.pack_into(">I", file, file.index(b"mdhd") + 20, length)
    movie = file.index(b"mvhd")
    ticks = length * struct.unpack_from(">I", file, movie + 16)[0] // scale
    struct.pack_into(">I", file, movie + 20, ticks)
    struct.pack_into(">I", file, file.index(b"tkhd") + 24, ticks)
    edit = file.find(b"elst")
    if edit > 0:
        struct.pack_into(">I", file, edit + 12, ticks)


def movie_lasts(seconds: float) -> Change:
    """Only the movie's header says so: tracks and samples do not."""

    def change(data: bytes) -> bytes:
        file = bytearray(data)
        movie = file.index(b"mvhd")
        struct.pack_into(">I", file, movie + 20, round(seconds * struct.unpack_from(">I", file, movie + 16)[0]))
        return bytes(file)

    return change


def sample_aspect(width: int, height: int) -> Change:
    """Replaces the sample aspect ratio of a box `pasp`."""

    def change(data: bytes) -> bytes:
        at = data.index(b"pasp") + 4
        return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]

    return change


def without(name: bytes) -> Change:
    """Turns the boxes of this name into `free` ones, which readers skip."""
    return lambda data: data.replace(name, b"free")
