"""Makes still images with libvips: the four colours in every form that cameras and editors store."""

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pyvips
from PIL import Image as PillowImage

from tests.corpus.case import BLUE, GREEN, LIGHT, RED, Rgb
from tests.corpus.colours import to_adobe_rgb
from tests.corpus.workshop import Recipe, Workshop

Image = Any
Step = Callable[[Image], Image]


def flat(width: int, height: int, rgb: Rgb) -> Image:
    """One colour."""
    return (pyvips.Image.black(width, height, bands=3) + list(rgb)).cast("uchar").copy(interpretation="srgb")


def quarters(width: int = 320, height: int = 200, colours: Sequence[Rgb] = (RED, GREEN, BLUE, LIGHT)) -> Image:
    """The four colours of `case.quarters`, in sRGB, or others."""
    half, rest = (width // 2, height // 2), (width - width // 2, height - height // 2)
    top = flat(half[0], half[1], colours[0]).join(flat(rest[0], half[1], colours[1]), "horizontal")
    bottom = flat(half[0], rest[1], colours[2]).join(flat(rest[0], rest[1], colours[3]), "horizontal")
    return top.join(bottom, "vertical")


def still(*steps: Step, width: int = 320, height: int = 200, **save: Any) -> Recipe:
    """The four colours after some steps, saved in the format of the file's name."""

    def make(shop: Workshop) -> None:
        image = quarters(width, height)
        for step in steps:
            image = step(image)
        image.write_to_file(str(shop.path), **save)

    return make


def drawn(image: Callable[[], Image], **save: Any) -> Recipe:
    """Another image, saved in the format of the file's name."""

    def make(shop: Workshop) -> None:
        image().write_to_file(str(shop.path), **save)

    return make


def oriented(orientation: int) -> Step:
    """With an EXIF orientation; the pixels stay as they are."""

    def step(image: Image) -> Image:
        tagged = image.copy()
        tagged.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        return tagged

    return step


def tagged(image: Image) -> Image:
    """With private EXIF fields."""
    copy = image.copy()
    copy.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Model", "Secret Camera")
    copy.set_type(pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitude", "59/1 19/1 0/1")
    return copy


def deep_grey(*levels: float) -> Step:
    """Columns of grey of 16 bits, each of a level from 0 to 1."""

    def step(image: Image) -> Image:
        columns = [
            (pyvips.Image.black(image.width // len(levels), image.height, bands=3) + level * 65535) for level in levels
        ]
        return pyvips.Image.arrayjoin(columns, across=len(levels)).cast("ushort").copy(interpretation="rgb16")

    return step


def with_code_points(primaries: int, transfer: int) -> Callable[[bytes], bytes]:
    """A PNG whose colours a chunk `cICP` describes."""
    body = b"cICP" + bytes((primaries, transfer, 0, 1))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    return lambda data: data[:33] + chunk + data[33:]


def raw_photograph(*, mosaic: bool = False) -> Recipe:
    """A TIFF as cameras write raw files: it has a version of DNG, or pixels of a sensor in a second directory."""

    def make(shop: Workshop) -> None:
        picture = PillowImage.new("L", (64, 48), 90)
        if not mosaic:
            picture.save(shop.path, "TIFF", tiffinfo={50706: (1, 4, 0, 0)})
            return
        sensor = PillowImage.new("L", (640, 480), 90)
        picture.save(shop.path, "TIFF", save_all=True, append_images=[sensor])
        entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
        before, found, after = shop.path.read_bytes().rpartition(entry)
        assert found
        shop.path.write_bytes(before + struct.pack("<HHIHH", 262, 3, 1, 32803, 0) + after)

    return make


def in_profile(name: str) -> Step:
    """Converted to a profile that libvips has built in (`p3`, `cmyk`), which is embedded."""
    return lambda image: image.icc_transform(name, input_profile="srgb")


def adobe_rgb(image: Image) -> Image:
    """The four colours coded in Adobe RGB (1998), with a profile that says so."""
    recoded = quarters(image.width, image.height, [to_adobe_rgb(rgb) for rgb in (RED, GREEN, BLUE, LIGHT)]).copy()
    recoded.set_type(pyvips.GValue.blob_type, "icc-profile-data", _adobe_profile())
    return recoded


def _adobe_profile() -> bytes:
    """A profile of ICC.1:2001 with three primaries, adapted to D50, and one gamma."""

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(value * 65536) for value in values))

    text = b"Adobe RGB"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    gamma = b"curv" + bytes(4) + struct.pack(">IH", 1, round(563 / 256 * 256)) + bytes(2)
    tags = [
        (b"desc", description + bytes(-len(description) % 4)),
        (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"),
        (b"wtpt", xyz(0.9642, 1.0, 0.8249)),
        (b"rXYZ", xyz(0.60974, 0.31111, 0.01947)),
        (b"gXYZ", xyz(0.20528, 0.62567, 0.06087)),
        (b"bXYZ", xyz(0.14919, 0.06322, 0.74457)),
        *((name, gamma) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">iii", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + table + data


def transparent(rgb: Rgb) -> Image:
    """The four colours at the left, and at the right transparent pixels that hide a colour."""
    left = quarters(160, 200).bandjoin(255)
    right = flat(160, 200, rgb).bandjoin(0)
    return left.join(right, "horizontal").copy(interpretation="srgb")


def logo() -> Image:
    """A black rectangle on transparent black: the commonest logo."""
    alpha = pyvips.Image.black(320, 200).draw_rect(255, 60, 50, 200, 100, fill=True)
    return flat(320, 200, (0, 0, 0)).bandjoin(alpha).copy(interpretation="srgb")


def grey_levels() -> Image:
    """Four greys, one channel."""
    levels = [pyvips.Image.black(80, 200) + value for value in (0, 80, 160, 255)]
    return pyvips.Image.arrayjoin(levels, across=4).cast("uchar").copy(interpretation="b-w")


def frames(count: int) -> Image:
    """An animation: the first frame has the four colours, later ones are flat."""
    pages = [quarters(), *(flat(320, 200, BLUE) for _ in range(count - 1))]
    joined = pyvips.Image.arrayjoin(pages, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", 200)
    joined.set_type(pyvips.GValue.array_int_type, "delay", [100] * count)
    return joined
