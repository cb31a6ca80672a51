"""Makes inputs: with ffmpeg and libvips, or byte by byte. A recipe is a function that writes one file."""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media.ffmpeg import binary

Recipe = Callable[["Workshop"], None]
Change = Callable[[bytes], bytes]

X264 = "-c:v libx264 -preset ultrafast -crf 6"
_HEX = ("C03020", "30A040", "3040C0", "E0E0D0")
_BOXES = (
    "format=gbrp,drawbox=iw/2:0:iw/2:ih/2:0x{1}:fill,drawbox=0:ih/2:iw/2:ih/2:0x{2}:fill,"
    "drawbox=iw/2:ih/2:iw/2:ih/2:0x{3}:fill"
)
ONSET = 1.0
"""Seconds: until then the picture of `film` is black and its sound silent."""
SINE = "aevalsrc='if(gte(t,{onset}),0.5*sin(2*PI*1000*t),0)':s={rate}:d={seconds}"
SINE_DB = -9.0
"""RMS of a sine of half the full amplitude."""


@dataclass(frozen=True)
class Workshop:
    """Where one input is made: `path` is the file, `folder` an empty folder for what it is made from."""

    path: Path
    folder: Path

    def ffmpeg(self, *argv: str | Path, to: Path | None = None) -> Path:
        """Runs ffmpeg; each argument that is text may hold several, as in a shell. Returns the file that was made."""
        made = to or self.path
        words = [word for text in argv for word in ([str(text)] if isinstance(text, Path) else shlex.split(text))]
        command = [str(binary()), "-nostdin", "-v", "error", "-y", *words, str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
        return made

    def part(self, name: str) -> Path:
        """A file beside the input."""
        return self.folder / name


def quarters(
    width: int = 320,
    height: int = 240,
    *,
    fps: str = "30",
    seconds: float = 2.0,
    matrix: str = "bt709",
    range: str = "tv",
    pixels: str = "yuv420p",
    tags: str | None = None,
    onset: float = 0.0,
    then: str = "",
    colours: Sequence[Sequence[int]] = (),
) -> str:
    """The input arguments of a film of four colours (`case.quarters`), exactly converted and tagged.

    `tags` are the arguments of ffmpeg's `setparams`, "" for none; `then` are further filters; `colours` are others.
    """
    coded = [bytes(rgb).hex().upper() for rgb in colours] or _HEX
    boxes = _BOXES.format(*coded)
    black = f",drawbox=0:0:iw:ih:black:fill:enable='lt(t,{onset})'" if onset else ""
    named = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020"}.get(matrix, matrix)
    flags = "accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
    convert = f",scale=out_color_matrix={named}:out_range={range}:flags={flags}" if matrix != "gbr" else ""
    if tags is None:
        tags = f"colorspace={matrix}:range={range}" + _PRIMARIES.get(matrix, "")
    tagged = f",setparams={tags}" if tags else ",setparams=colorspace=unknown:range=unknown"
    more = f",{then}" if then else ""
    graph = (
        f"color=c=0x{coded[0]}:s={width}x{height}:r={fps}:d={seconds},{boxes}{black}{convert},format={pixels}{tagged}"
    )
    return f"-f lavfi -i {shlex.quote(graph + more)}"


_PRIMARIES = {
    "bt709": ":color_primaries=bt709:color_trc=bt709",
    "smpte170m": ":color_primaries=smpte170m:color_trc=smpte170m",
    "bt470bg": ":color_primaries=bt470bg:color_trc=smpte170m",
    "gbr": ":color_primaries=bt709:color_trc=iec61966-2-1",
}


def sine(seconds: float = 2.0, *, rate: int = 48000, onset: float = ONSET, then: str = "") -> str:
    """The input arguments of a tone of 1 kHz, sample exact."""
    graph = SINE.format(onset=onset, rate=rate, seconds=seconds)
    return f"-f lavfi -i {shlex.quote(graph + (',' + then if then else ''))}"


def made(*argv: str) -> Recipe:
    """One run of ffmpeg."""

    def make(shop: Workshop) -> None:
        shop.ffmpeg(*argv)

    return make


def film(*codec: str, sound: str = "-c:a aac", seconds: float = 2.0, rate: int = 48000, **picture: Any) -> Recipe:
    """A film whose picture and sound begin at `ONSET`; `codec` are the arguments that follow the inputs."""
    picture = {"onset": ONSET, "seconds": seconds, **picture}
    inputs = (quarters(**picture), sine(seconds, rate=rate))
    return made(*inputs, *(codec or (X264,)), sound)


def silent(*codec: str, **picture: Any) -> Recipe:
    """A film without a sound track."""
    return made(quarters(**picture), *(codec or (X264,)))


def changed(recipe: Recipe, *changes: Change, via: str = "") -> Recipe:
    """What another recipe makes, with its bytes changed. `via` is the extension of its format if it differs."""

    def make(shop: Workshop) -> None:
        before = shop.part(f"before{via or shop.path.suffix}")
        recipe(Workshop(before, shop.folder))
        data = before.read_bytes()
        for change in changes:
            data = change(data)
        shop.path.write_bytes(data)

    return make


def remuxed(recipe: Recipe, via: str, argv: str = "-c copy", *, read: str = "") -> Recipe:
    """What another recipe makes in a file of the extension `via`, copied by ffmpeg. `read` are options of the input."""

    def make(shop: Workshop) -> None:
        before = shop.part(f"before{via}")
        recipe(Workshop(before, shop.folder))
        shop.ffmpeg(read, "-i", before, argv)

    return make


def joined(*recipes: Recipe) -> Recipe:
    """Files of the same format, one behind the other, as `cat` would join them."""

    def make(shop: Workshop) -> None:
        parts = []
        for number, recipe in enumerate(recipes):
            part = shop.part(f"{number}{shop.path.suffix}")
            recipe(Workshop(part, shop.folder))
            parts.append(part.read_bytes())
        shop.path.write_bytes(b"".join(parts))

    return make


def with_files(*argv: str, **files: str | Recipe) -> Recipe:
    """A film with further inputs; `{name}` in an argument is the file `name`, made from its text or recipe."""

    def make(shop: Workshop) -> None:
        paths = {}
        for name, content in files.items():
            path = shop.part(name.replace("_", "."))
            if isinstance(content, str):
                path.write_text(content)
            else:
                content(Workshop(path, shop.folder))
            paths[name] = path
        shop.ffmpeg(quarters(onset=ONSET), sine(), *(word.format_map(paths) for word in argv))

    return make


def content(data: bytes) -> Recipe:
    """These bytes."""

    def make(shop: Workshop) -> None:
        shop.path.write_bytes(data)

    return make
