"""Fixtures: real clips and photographs, and unusual files made from them.

`footage` has the paths of the real ones. `material` builds an unusual one at its first use, once per session; tests
must not write to them.
"""

import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg
import pytest
import pyvips

from devtools.footage import Footage, fetch_footage

CACHE = Path(__file__).parents[2] / ".bitmill" / "footage"
FLAT_COLOUR = (0xC0, 0x30, 0x20)
"""The colour of `Material.flat()`: strong red, where a wrong colour matrix is plain to see."""
GREY_STEP = 4
"""How much brighter (in limited-range luma) each frame of `Material.grey_steps()` is than the one before it."""

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
# Tags go on by filter: ffmpeg takes primaries and transfer from the frames and ignores the encoder's options.
_BT709 = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
_PQ = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"


class Material:
    """Builders of unusual files; each returns the path of a file that is made once in `folder`."""

    def __init__(self, footage: Footage, folder: Path) -> None:
        self.footage = footage
        self.folder = folder

    # Video

    def rotated(self) -> Path:
        """1 s of Big Buck Bunny, coded 1280x720, to be shown turned by 90 degrees: 720x1280."""
        return self._ffmpeg("rotated.mp4", "-display_rotation", "90", "-t", "1", "-i", self.footage.bunny, "-c", "copy")

    def anamorphic(self) -> Path:
        """1 s at 720x576 with sample aspect ratio 64:45, so 1024x576 as shown."""
        scale = "scale=720:576,setsar=64/45"
        return self._ffmpeg("anamorphic.mp4", "-t", "1", "-i", self.footage.bunny, "-an", "-vf", scale, *_X264)

    def with_sample_aspect(self, width: int, height: int) -> Path:
        """1 s at 720x576 whose container declares this sample aspect ratio; an encoder would reduce it."""
        source = self.anamorphic()
        movie = self._ffmpeg("anamorphic.mov", "-i", source, "-c", "copy", "-f", "mov")
        box = b"pasp" + struct.pack(">II", 64, 45)
        data = movie.read_bytes()
        assert data.count(box) == 1
        patched = self.folder / f"aspect-{width}-{height}.mov"
        patched.write_bytes(data.replace(box, b"pasp" + struct.pack(">II", width, height)))
        return patched

    def without_audio(self) -> Path:
        """2 s of video without an audio stream."""
        return self._ffmpeg("without_audio.mp4", "-t", "2", "-i", self.footage.bunny, "-an", "-c", "copy")

    def odd_size(self) -> Path:
        """1 s at 319x179, which 4:2:0 cannot hold: stored as 4:4:4."""
        argv = ("-t", "1", "-i", self.footage.bunny, "-an", "-vf", "scale=319:179,setsar=1", "-c:v", "libx264")
        return self._ffmpeg("odd.mp4", *argv, "-preset", "ultrafast", "-pix_fmt", "yuv444p")

    def truncated(self) -> Path:
        """The first third of a faststart clip: the header announces more data than there is."""
        return self._cut("truncated.mp4", self.faststart(), 3)

    def headless(self) -> Path:
        """The first third of a clip whose index was at the end: its content is unknown."""
        complete = self._ffmpeg("index-at-end.mp4", "-i", self.footage.bikes, "-c", "copy")
        return self._cut("headless.mp4", complete, 3)

    def faststart(self) -> Path:
        """Cyclists, with the index before the data."""
        return self._ffmpeg("faststart.mp4", "-i", self.footage.bikes, "-c", "copy", "-movflags", "+faststart")

    def flat(self) -> Path:
        """1 s at 320x180 of one colour, `FLAT_COLOUR`, in properly tagged bt709."""
        convert = "format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
        source = f"color=c=0xC03020:s=320x180:r=10:d=1,{convert},{_BT709}"
        return self._ffmpeg("flat.mp4", "-f", "lavfi", "-i", source, *_X264, "-crf", "1")

    def grey_steps(self) -> Path:
        """5 s at 160x90, 10 fps, one key frame: frame N is grey with luma 16 + N * `GREY_STEP`."""
        luma = f"geq=lum=16+N*{GREY_STEP}:cb=128:cr=128"
        source = f"color=black:s=160x90:r=10:d=5,format=yuv420p,{luma},{_BT709}"
        return self._ffmpeg("grey.mp4", "-f", "lavfi", "-i", source, *_X264, "-crf", "4", "-g", "600")

    def declared_shorter(self) -> Path:
        """`grey_steps` in a Matroska file whose header says 1 s, as recorders that break off leave it."""
        data = self._ffmpeg("grey.mkv", "-i", self.grey_steps(), "-c", "copy").read_bytes()
        # The element Duration (RFC 9559, 5.1.2.10): a double, in milliseconds.
        element = b"\x44\x89\x88"
        assert data.count(element) == 1
        at = data.index(element) + len(element)
        patched = self.folder / "declared_shorter.mkv"
        patched.write_bytes(data[:at] + struct.pack(">d", 1000.0) + data[at + 8 :])
        return patched

    def hdr(self) -> Path:
        """1 s at 320x180 tagged as HDR10: 10 bit, bt2020, PQ."""
        change = f"scale=320:180,format=yuv420p10le,{_PQ}"
        argv = ("-t", "1", "-i", self.footage.bunny, "-an", "-vf", change, "-c:v", "libx264")
        return self._ffmpeg("hdr.mp4", *argv, "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")

    def beginning(self, source: Path, seconds: float) -> Path:
        """The first seconds of a clip, with its own coded pictures and sound."""
        return self._ffmpeg(f"{source.stem}-{seconds:g}s.mp4", "-t", f"{seconds:g}", "-i", source, "-c", "copy", "-dn")

    def long(self, seconds: int = 120) -> Path:
        """Big Buck Bunny over and over for about `seconds`: enough work to be interrupted."""
        loops = max(0, round(seconds / 5.3) - 1)
        return self._ffmpeg(
            f"long-{seconds}.mp4", "-stream_loop", str(loops), "-i", self.footage.bunny, "-c", "copy", "-dn"
        )

    def tone(self) -> Path:
        """1 s of sound without a picture."""
        return self._ffmpeg("tone.mp3", "-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", "libmp3lame")

    def tone_with_cover(self) -> Path:
        """1 s of sound with a photograph as cover art, which ffmpeg shows as a video stream."""
        maps = ("-map", "0:a", "-map", "1:v", "-c:a", "copy", "-c:v", "mjpeg", "-disposition:v", "attached_pic")
        return self._ffmpeg("cover.mp3", "-i", self.tone(), "-i", self.footage.chelsea, *maps)

    # Images

    def exif_oriented(self) -> Path:
        """A JPEG coded 600x400 with an EXIF orientation of 90 degrees, so 400x600 as shown. Its EXIF names a camera."""

        def build(path: Path) -> None:
            image = pyvips.Image.new_from_file(str(self.footage.coffee)).copy()
            image.set_type(pyvips.GValue.gint_type, "orientation", 6)
            image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Model", "Secret Camera")
            image.jpegsave(str(path), Q=92)

        return self._made("exif.jpg", build)

    def cmyk(self) -> Path:
        """A CMYK JPEG, 451x300."""
        return self._vips("cmyk.jpg", lambda image: image.icc_transform("cmyk", input_profile="srgb"), Q=92)

    def sixteen_bit(self) -> Path:
        """A PNG of 16 bits a channel, 451x300."""
        return self._vips("sixteen.png", lambda image: image.colourspace("rgb16"))

    def alpha(self) -> Path:
        """A PNG, 451x300, that fades from transparent at the left to opaque at the right."""

        def fade(image: pyvips.Image) -> pyvips.Image:
            return image.bandjoin(pyvips.Image.identity().resize(451 / 256, vscale=300))

        return self._vips("alpha.png", fade)

    def grey_photo(self) -> Path:
        """A PNG of one channel, 451x300."""
        return self._vips("grey.png", lambda image: image.colourspace("b-w"))

    def wide_gamut(self) -> Path:
        """A JPEG of `FLAT_COLOUR` stored in Display P3 with its profile, 64x64."""

        def build(path: Path) -> None:
            flat = (pyvips.Image.black(64, 64, bands=3) + list(FLAT_COLOUR)).cast("uchar")
            flat = flat.copy(interpretation="srgb").icc_transform("p3", input_profile="srgb")
            flat.jpegsave(str(path), Q=100, subsample_mode="off")

        return self._made("p3.jpg", build)

    def animated_gif(self) -> Path:
        """A GIF of 1 s, 64x36: its first frame is black, later ones get lighter."""
        source = "color=black:s=64x36:r=5:d=1,format=gray,geq=lum=N*50"
        return self._ffmpeg("animated.gif", "-f", "lavfi", "-i", source)

    def webp(self) -> Path:
        """A photograph as WebP, 600x400."""
        return self._vips("photo.webp", lambda image: image, source=self.footage.coffee, Q=80)

    def large_photo(self, side: int = 3000) -> Path:
        """A photograph scaled up to `side` x `side` pixels, PNG: enough work to be measured."""
        return self._vips(
            f"large-{side}.png", lambda image: image.thumbnail_image(side, size="force"), source=self.footage.astronaut
        )

    # Not media

    def html(self) -> Path:
        """The web page of a server that no longer has the file, named like a clip."""
        page = b"<!doctype html><html><head><title>Not here</title></head><body>Sign in</body></html>"
        return self._bytes("page.mp4", page)

    def empty(self) -> Path:
        """No bytes at all."""
        return self._bytes("empty.mp4", b"")

    def playlist(self) -> Path:
        """An HLS playlist that points at a file of the machine: an attack, never to be followed."""
        return self._bytes("playlist.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n")

    def truncated_png(self) -> Path:
        """The first third of a photograph."""
        return self._cut("truncated.png", self.footage.coffee, 3)

    def ffmpeg(self, name: str, *argv: str | Path) -> Path:
        """A file of your own, made once: `name` names it and its format, `argv` stands before it."""
        return self._ffmpeg(name, *argv)

    def _ffmpeg(self, name: str, *argv: str | Path) -> Path:
        return self._made(name, lambda path: run_ffmpeg([*argv, path]))

    def _vips(
        self, name: str, change: Callable[[pyvips.Image], pyvips.Image], *, source: Path | None = None, **save: object
    ) -> Path:
        def build(path: Path) -> None:
            image = pyvips.Image.new_from_file(str(source or self.footage.chelsea))
            change(image).write_to_file(str(path), **save)

        return self._made(name, build)

    def _cut(self, name: str, complete: Path, parts: int) -> Path:
        data = complete.read_bytes()
        return self._bytes(name, data[: len(data) // parts])

    def _bytes(self, name: str, data: bytes) -> Path:
        def build(path: Path) -> None:
            path.write_bytes(data)

        return self._made(name, build)

    def _made(self, name: str, build: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if not path.exists():
            # A scratch name with the same extension: a build that fails leaves nothing that looks finished.
            scratch = self.folder / f"scratch-{name}"
            build(scratch)
            scratch.rename(path)
        return path


def run_ffmpeg(argv: Sequence[str | Path]) -> None:
    """Run ffmpeg; its error output becomes the message of the failed assertion."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@pytest.fixture(scope="session")
def footage() -> Footage:
    """The real clips and photographs, fetched once per checkout."""
    return fetch_footage(CACHE, print)


@pytest.fixture(scope="session")
def material(footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The unusual files."""
    return Material(footage, tmp_path_factory.mktemp("material"))
