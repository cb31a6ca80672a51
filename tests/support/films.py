"""Unusual films, made with the machine's own ffmpeg; a fixture `films` makes each once per session.

Each stands for a kind of upload that people reported of media systems. Tests must not write to the files.
"""

import random
import struct
from pathlib import Path

import pytest

from tests.support.footage import run_ffmpeg

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p")
_PARENTS = (b"stbl", b"minf", b"mdia", b"trak", b"moov")
HIDDEN = (0, 255, 0)
"""The colour of the transparent half of `Films.transparent`: never to be seen."""


def picture(seconds: float = 2, size: str = "160x120", rate: int = 30) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds},format=yuv420p")


def tone(seconds: float = 2, pitch: int = 440, rate: int = 44_100) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=f={pitch}:d={seconds}:sample_rate={rate}")


class Films:
    """Builders; each returns the path of a file that is made once in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, *argv: str | Path) -> Path:
        path = self.folder / name
        if not path.exists():
            scratch = self.folder / f"scratch-{name}"
            run_ffmpeg([*argv, scratch])
            scratch.rename(path)
        return path

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def plain(self) -> Path:
        """2 s with sound, H.264 and AAC in mp4, the index before the data."""
        return self.make("plain.mp4", *picture(), *tone(), *_X264, "-c:a", "aac", "-movflags", "+faststart")

    def static_tail(self, *, reordered: bool = False) -> Path:
        """Frames at 0, 0.5 and 1.0 s, of which the last stands for 9 s; no sound. A phone's recording of its screen."""
        name = f"static-{reordered}.mp4"
        frames = "testsrc2=s=320x240:r=2:d=1.5,format=yuv420p"
        order = ("-bf", "2", "-x264-params", "b-adapt=0") if reordered else ("-bf", "0")
        source = self.make(f"short-{name}", "-f", "lavfi", "-i", frames, "-c:v", "libx264", *order)
        return self.write(name, _with_long_last_sample(source.read_bytes(), 9))

    def joined(self, extension: str, *codecs: str) -> Path:
        """Two recordings of 2 s, joined as `cat` does: the clock starts again."""
        part = self.make(f"part.{extension}", *picture(), *tone(), *codecs, "-shortest")
        return self.write(f"joined.{extension}", part.read_bytes() * 2)

    def empty_sound(self) -> Path:
        """2 s whose sound track holds no packet: a recorder's muted microphone."""
        full = self.make("sound.webm", *picture(), *tone(rate=48_000), *_VP8, "-c:a", "libopus")
        return self.make("empty-sound.webm", "-i", full, "-c", "copy", "-bsf:a", "noise=drop=1")

    def damaged_start(self) -> Path:
        """6 s, 30 frames a second: the first 30 frames' data are noise."""
        codecs = (*_X264, "-g", "30", "-c:a", "aac", "-movflags", "+faststart")
        data = bytearray(self.make("whole.mp4", *picture(6, "320x240"), *tone(6), *codecs).read_bytes())
        noise, at = random.Random(1), data.index(b"mdat") + 4
        data[at + 700 : at + 6000] = noise.randbytes(5300)
        return self.write("damaged-start.mp4", bytes(data))

    def turned(self) -> Path:
        """VP8: 1 s of 320x240 in red, then 1 s of 240x320 in blue. A turned phone in a browser's recording."""
        frames = b""
        for number, (colour, size) in enumerate((("red", "320x240"), ("blue", "240x320"))):
            part = self.make(f"{colour}.ivf", "-f", "lavfi", "-i", f"color={colour}:s={size}:r=30:d=1", *_VP8)
            frames += _renumbered(part.read_bytes(), 30 * number)
        head = (self.folder / "red.ivf").read_bytes()[:32]
        return self.make("turned.webm", "-i", self.write("turned.ivf", head + frames), "-c", "copy")

    def transparent(self, name: str, *codec: str) -> Path:
        """1 s of 320x240, the left half red, the right one transparent over `HIDDEN`."""
        halves = (
            "color=red:s=160x240:r=30:d=1,format=rgba[l];"
            "color=lime:s=160x240:r=30:d=1,format=rgba,colorchannelmixer=aa=0[r];[l][r]hstack"
        )
        return self.make(name, "-f", "lavfi", "-i", halves, *codec)


def _with_long_last_sample(data: bytes, seconds: int) -> bytes:
    """An mp4 whose index is at its end and has one entry of sample durations: the last sample lasts `seconds`."""
    film = bytearray(data)
    (scale,) = struct.unpack_from(">I", film, film.index(b"mdhd") + 16)
    (movie_scale,) = struct.unpack_from(">I", film, film.index(b"mvhd") + 16)
    at = film.index(b"stts") - 4
    length, _, _, entries, count, delta = struct.unpack_from(">I4sIIII", film, at)
    assert entries == 1
    box = struct.pack(">I4sIIIIII", 32, b"stts", 0, 2, count - 1, delta, 1, seconds * scale)
    film[at : at + length] = box
    for name in _PARENTS:
        parent = film.index(name) - 4
        (size,) = struct.unpack_from(">I", film, parent)
        struct.pack_into(">I", film, parent, size + len(box) - length)
    total = (count - 1) * delta + seconds * scale
    struct.pack_into(">I", film, film.index(b"mdhd") + 20, total)
    for name, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"elst", 12)):
        if name in film:
            struct.pack_into(">I", film, film.index(name) + offset, total * movie_scale // scale)
    return bytes(film)


def _renumbered(ivf: bytes, first: int) -> bytes:
    """The frames of an IVF file with numbers from `first` on, without its header."""
    frames, position, number = b"", 32, first
    while position < len(ivf):
        (size,) = struct.unpack_from("<I", ivf, position)
        frames += struct.pack("<IQ", size, number) + ivf[position + 12 : position + 12 + size]
        position, number = position + 12 + size, number + 1
    return frames


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """The unusual films."""
    return Films(tmp_path_factory.mktemp("films"))
