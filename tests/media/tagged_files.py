"""Makes files of each format with tags of place and device in all places where phones and cameras write them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image as PillowImage

from media.libvips import pyvips
from tests.corpus import heic, pictures
from tests.corpus.workshop import Change, Recipe, Workshop, changed, film, quarters, sine, with_files

CAMERA, PLACE = "SecretCam", "+59.3293+018.0686"
LATITUDE = (5933, 97)
SECRETS = (
    CAMERA.encode(),
    b"59.3293",
    *(struct.pack(f"{order}II", *LATITUDE) for order in "<>"),
    CAMERA.encode("utf-16-le"),
)
"""What must not be in a file any more."""
TAGS = f"-metadata location={PLACE} -metadata make={CAMERA} -metadata artist={CAMERA} -metadata title={PLACE}"
_XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf>{CAMERA} {PLACE}</rdf></x:xmpmeta>'.encode()
_JPEG_APP13 = b"\xff\xed\x00\x1bPhotoshop 3.0\x00SecretCam  "
_CHAPTERS = ((0, "Morning"), (1, "Evening"))
_FILM = "-c:v libx264 -preset ultrafast -crf 20 -c:a aac"


def exif(orientation: int = 1) -> bytes:
    """EXIF data with a camera, a position, and the orientation."""
    data = PillowImage.Exif()
    data[0x010F] = data[0x0110] = CAMERA
    data[0x0112] = orientation
    data[0x8825] = {1: "N", 2: (LATITUDE[0] / LATITUDE[1], 0.0, 0.0), 29: f"{CAMERA}"}
    data[0x8769] = {0x927C: f"{CAMERA} note".encode(), 0xA434: CAMERA}
    return data.tobytes().removeprefix(b"Exif\0\0")


def tagged_image(orientation: int = 1) -> Callable[[pyvips.Image], pyvips.Image]:
    """An image with EXIF, XMP, IPTC and a profile for libvips' savers."""

    def change(image: pyvips.Image) -> pyvips.Image:
        copy = pictures.in_profile("p3")(image).copy()
        blob = pyvips.GValue.blob_type
        copy.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Model", CAMERA)
        copy.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", CAMERA)
        copy.set_type(pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitude", f"{LATITUDE[0]}/{LATITUDE[1]} 19/1 0/1")
        copy.set_type(blob, "xmp-data", _XMP)
        copy.set_type(blob, "iptc-data", b"Photoshop 3.0\0" + CAMERA.encode())
        if orientation != 1:
            copy.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        return copy

    return change


def jpeg(orientation: int = 6, then: bytes = b"", **save: bool) -> Recipe:
    """A photograph as phones write it; `then` follows the end marker."""

    def insert(data: bytes) -> bytes:
        comment = b"\xff\xfe\x00\x0b" + CAMERA.encode()
        multi_picture = b"\xff\xe2\x00\x0fMPF\0" + CAMERA.encode()
        return data[:2] + comment + multi_picture + _JPEG_APP13 + data[2:] + then

    return changed(pictures.still(tagged_image(orientation), Q=90, **save), insert)


def png(orientation: int = 6) -> Recipe:
    def insert(data: bytes) -> bytes:
        text = _png_chunk(b"tEXt", b"Comment\0" + CAMERA.encode()) + _png_chunk(b"zzZz", CAMERA.encode())
        return data[:33] + text + data[33:] + CAMERA.encode()

    return changed(pictures.still(tagged_image(orientation)), insert)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def gif() -> Recipe:
    """An animation with a comment and an application's own data."""

    def insert(data: bytes) -> bytes:
        private = b"\x21\xff\x0bXMP DataXMP" + bytes((len(CAMERA),)) + CAMERA.encode() + b"\0"
        comment = b"\x21\xfe" + bytes((len(CAMERA),)) + CAMERA.encode() + b"\0"
        at = data.index(b"\x21")
        return data[:at] + comment + private + data[at:]

    return changed(_run(quarters(seconds=0.5, fps="10"), "-loop 3"), insert)


def animated_webp() -> Recipe:
    def make(shop: Workshop) -> None:
        frames = [pictures.quarters(64, 48), pictures.quarters(64, 48).invert()]
        image = tagged_image()(pyvips.Image.arrayjoin(frames, across=1).copy())
        image.set_type(pyvips.GValue.gint_type, "page-height", 48)
        image.webpsave(str(shop.path), lossless=True)

    return make


def tiff() -> Recipe:
    def make(shop: Workshop) -> None:
        picture = PillowImage.new("RGB", (64, 48))
        picture.putdata([(x * 3, y * 5, 90) for y in range(48) for x in range(64)])
        tags = PillowImage.Exif()
        tags.load(b"Exif\0\0" + exif(6))
        picture.save(shop.path, exif=tags, software=CAMERA, description=f"{CAMERA} {PLACE}")

    return make


def heic_photograph() -> Recipe:
    item = bytes(4) + exif(6)
    return heic.plain(320, 240, heic.rotation(1), tags=[(b"Exif", item), (b"mimeapplication/rdf+xml\0", _XMP)])


def movie(more: str = "") -> Recipe:
    """A film with sound and ffmpeg's tags."""
    return film(f"{_FILM} {TAGS} {more}", sound="")


def rotated(recipe: Recipe) -> Recipe:
    def make(shop: Workshop) -> None:
        before = shop.part(f"upright{shop.path.suffix}")
        recipe(Workshop(before, shop.folder))
        shop.ffmpeg("-display_rotation 90", "-i", before, "-map 0 -c copy -movflags use_metadata_tags")

    return make


def with_text_track(words: str, *changes: Change, more: str = "") -> Recipe:
    """A film with subtitles, as drones write their position."""
    subtitles = f"1\n00:00:00,000 --> 00:00:01,000\n{words}\n\n"
    coded = f"-map 0 -map 1 -map 2 {_FILM} -c:s mov_text {TAGS} {more}"
    tracks = with_files("-i {subs_srt}", coded, subs_srt=subtitles)
    return changed(tracks, *changes)


def with_chapters() -> Recipe:
    """A film in two chapters."""
    chapters = [f"[CHAPTER]\nTIMEBASE=1/1\nSTART={at}\nEND={at + 1}\ntitle={title}" for at, title in _CHAPTERS]
    listed = "\n".join((";FFMETADATA1", *chapters, ""))
    return with_files(f"-f ffmetadata -i {{list_txt}} -map 0 -map 1 -map_chapters 2 {_FILM} {TAGS}", list_txt=listed)


def as_data_track(data: bytes) -> bytes:
    """The text track as one of timed metadata."""
    assert data.count(b"sbtl") == 1
    return data.replace(b"sbtl", b"meta")


def with_device_boxes(data: bytes) -> bytes:
    """Boxes behind the film, and bytes that are none, as cameras append them."""
    private = CAMERA.encode() * 4
    return data + heic.box(b"uuid", bytes(16), private) + heic.box(b"free", private) + b"\xff\xff\xff\xffSecretCam"


def live_webm() -> Recipe:
    """As browsers record: no lengths of segment and clusters."""

    def make(shop: Workshop) -> None:
        shop.ffmpeg(
            quarters(), sine(), f"-c:v libvpx -deadline realtime -c:a libopus {TAGS} -f webm -live 1", to=shop.path
        )

    return make


def matroska() -> Recipe:
    def make(shop: Workshop) -> None:
        cover = shop.part("cover.jpg")
        jpeg()(Workshop(cover, shop.folder))
        attach = f"-attach {cover} -metadata:s:t mimetype=image/jpeg"
        shop.ffmpeg(quarters(), sine(), f"{_FILM} {TAGS} -metadata:s:v title={CAMERA} {attach}")

    return make


def sound(codec: str, more: str = "") -> Recipe:
    return _run(sine(onset=0), f"{codec} {TAGS} {more}")


def sound_with_cover(codec: str) -> Recipe:
    def make(shop: Workshop) -> None:
        cover = shop.part("cover.jpg")
        jpeg()(Workshop(cover, shop.folder))
        shop.ffmpeg(sine(onset=0), "-i", cover, f"-map 0 -map 1 -c:v copy {codec} {TAGS} -disposition:v attached_pic")

    return make


def _run(*argv: str) -> Recipe:
    def make(shop: Workshop) -> None:
        shop.ffmpeg(*argv)

    return make


def made(recipe: Recipe, name: str, folder: Path) -> Path:
    """The file of this name, alone in a folder."""
    parts, alone = folder / "parts", folder / "alone"
    parts.mkdir()
    alone.mkdir()
    recipe(Workshop(alone / name, parts))
    return alone / name
