"""Still images: orientation, profiles, depths, formats, sizes, animation."""

from dataclasses import replace
from typing import Any

from tests.corpus import heic, pictures
from tests.corpus.case import BLUE, GREEN, LIGHT, RED, Case, Check, Film, Item, Patch, Refused, Still, quarters, turned
from tests.corpus.colours import to_display_p3
from tests.corpus.pictures import drawn, still
from tests.corpus.workshop import Recipe, changed, content, made
from tests.corpus.workshop import quarters as picture

_HEIC, _BIG, _FORMATS, _ANIMATED = "2 HEIC", "9 large", "10 format", "12 animated"
_SIZE = (320, 200)
_ORDERS = {1: (0, 1, 2, 3), 2: (1, 0, 3, 2), 3: (3, 2, 1, 0), 4: (2, 3, 0, 1), 5: (0, 2, 1, 3), 6: (2, 0, 3, 1)}
_ORDERS |= {7: (3, 1, 2, 0), 8: (1, 3, 0, 2)}
_ITEM = Item(size=_SIZE, patches=quarters(within=4))
_AVIF: dict[str, Any] = {"compression": "av1", "effort": 0}


def _right(format: str = "jpeg", *, within: int = 3, item: bool = False, jpeg: bool = True) -> tuple[Check, ...]:
    """The four colours, in the own format and as a JPEG."""
    own = Still(format=format, size=_SIZE, patches=quarters(within=within))
    other = Still({"format": "jpeg", "quality": "high"}, size=_SIZE, patches=quarters(within=within))
    checks: tuple[Check, ...] = (own, other) if format != "jpeg" and jpeg else (own,)
    poster = Item(size=_SIZE, patches=quarters(within=max(within, 4)))
    return (*checks, poster) if item else checks


def _oriented(number: int) -> Case:
    size = (200, 320) if number >= 5 else _SIZE
    patches = quarters(order=turned(*_ORDERS[number]))
    return Case(
        f"exif_{number}.jpg",
        "EXIF orientation",
        still(pictures.oriented(number), Q=95),
        (Still(size=size, patches=patches), *((Item(size=size, patches=patches),) if number in (6, 7) else ())),
    )


def _ico() -> bytes:
    """An icon file that holds one PNG, as browsers ask for."""
    png: bytes = pictures.quarters(48, 48).pngsave_buffer()
    return (
        b"\0\0\1\0\1\0"
        + bytes([48, 48, 0, 0, 1, 0, 32, 0])
        + len(png).to_bytes(4, "little")
        + (22).to_bytes(4, "little")
        + png
    )


def _large(width: int, height: int) -> Recipe:
    return made(f"-f lavfi -i color=gray:s={width}x{height}:r=1,format=yuvj420p", "-frames:v 1 -q:v 5")


_HEIC_RIGHT = (
    Still(size=_SIZE, patches=quarters(within=4)),
    Still({"format": "png", "width": 160}, format="png", size=(160, 100), patches=quarters(within=4)),
    Item(size=_SIZE, patches=quarters(within=4), background=None),
)
_GREYS = tuple(Patch(x, 0.5, (grey, grey, grey)) for x, grey in ((0.12, 0), (0.38, 80), (0.62, 160), (0.88, 255)))

_CMYK = Still(size=_SIZE, patches=quarters(within=14, order=(RED, GREEN, (51, 75, 149), LIGHT)))
"""Inks cannot print this blue."""

_CODE_POINTS = "colours by code points"
_HDR_WHITE = Still(
    format="png",
    size=_SIZE,
    patches=(Patch(0.25, 0.5, (0, 0, 0)), Patch(0.75, 0.5, (228, 228, 228), within=4)),
)


def _refused(words: str) -> tuple[Check, ...]:
    """Formats that are not decoded are named to the uploader."""
    return tuple(Refused(job=job, code="input_codec_unsupported", words=words) for job in ("image", "item", "video"))


CASES = (
    *(_oriented(number) for number in _ORDERS),
    Case(
        "exif_6.webp",
        "EXIF orientation",
        still(pictures.oriented(6), lossless=True),
        (Still(format="webp", size=(200, 320), patches=quarters(order=turned(2, 0, 3, 1))),),
    ),
    Case("private.jpg", "private tags", still(pictures.tagged, Q=95), _right()),
    Case("progressive.jpg", "progressive", still(interlace=True, Q=95), _right(item=True)),
    Case("yuv444.jpg", "4:4:4", still(subsample_mode="off", Q=95), _right()),
    Case("p3.jpg", "P3", still(pictures.in_profile("p3"), Q=98, subsample_mode="off"), _right(item=True)),
    Case("p3.png", "P3", still(pictures.in_profile("p3")), _right("png")),
    Case("adobe_rgb.jpg", "Adobe RGB", still(pictures.adobe_rgb, Q=98, subsample_mode="off"), _right()),
    Case(
        "cmyk.jpg", "CMYK", still(pictures.in_profile("cmyk"), Q=98), (_CMYK, Item(size=_SIZE, patches=_CMYK.patches))
    ),
    Case("cmyk.tif", "CMYK", still(pictures.in_profile("cmyk")), (_CMYK,)),
    Case("sixteen_bit.png", "16 bit", still(lambda image: image.colourspace("rgb16")), _right("png")),
    Case("sixteen_bit.tif", "16 bit", still(lambda image: image.colourspace("rgb16")), _right()),
    Case("indexed.png", "indexed", still(palette=True), _right("png")),
    Case(
        "one_bit.png",
        "1 bit",
        drawn(
            lambda: (pictures.grey_levels() > 100).ifthenelse(255, 0).cast("uchar").copy(interpretation="b-w"),
            bitdepth=1,
        ),
        (
            Still(format="png", size=_SIZE, patches=(Patch(0.12, 0.5, (0, 0, 0)), Patch(0.88, 0.5, (255, 255, 255)))),
            Still({"format": "jpeg"}, patches=(Patch(0.12, 0.5, (0, 0, 0)),)),
        ),
    ),
    Case(
        "grey.png",
        "grey",
        drawn(pictures.grey_levels),
        (
            Still(format="png", size=_SIZE, patches=_GREYS),
            Still({"format": "webp"}, format="webp", patches=_GREYS),
            Item(size=_SIZE, patches=_GREYS),
        ),
    ),
    Case(
        "grey.jpg",
        "grey",
        drawn(pictures.grey_levels, Q=95),
        (Still(size=_SIZE, patches=_GREYS), Still({"format": "avif"}, format="avif", patches=_GREYS)),
    ),
    Case("interlaced.png", "interlaced", still(interlace=True), _right("png")),
    Case(
        "one_pixel.png",
        "1x1",
        drawn(lambda: pictures.flat(1, 1, RED)),
        (Still(format="png", size=(1, 1), patches=(Patch(0.5, 0.5, RED),)), Item(background=RED)),
    ),
    Case("lossless.webp", "WebP", still(lossless=True), _right("webp")),
    Case(
        "animated.webp",
        "animated",
        drawn(lambda: pictures.frames(3), lossless=True),
        (*_right("webp", item=True), Film(size=_SIZE, frames=2, patches=quarters())),
    ),
    Case(
        "animated.gif",
        "animated",
        drawn(lambda: pictures.frames(3)),
        (
            Still(size=_SIZE, patches=quarters(within=6)),
            Film(
                size=_SIZE,
                frames=2,
                seconds=0.3,
                patches=(*quarters(within=6), Patch(0.25, 0.25, BLUE, 0.15, within=6)),
            ),
            Item(size=_SIZE),
        ),
    ),
    Case(
        "animated.png",
        "animated",
        made(picture(320, 200, fps="10", seconds=0.5, pixels="rgb24", matrix="gbr"), "-f apng -plays 0"),
        (*_right("png"), Film(size=_SIZE, frames=5, seconds=0.5, patches=quarters())),
    ),
    Case("plain.avif", "AVIF", still(Q=90, subsample_mode="off", **_AVIF), _right("avif")),
    Case(
        "ten_bit.avif",
        "10 bit",
        still(lambda image: image.colourspace("rgb16"), bitdepth=10, Q=90, **_AVIF),
        _right("avif"),
    ),
    Case("lzw.tif", "TIFF", still(compression="lzw"), _right()),
    Case("jpeg_in.tif", "TIFF", still(compression="jpeg", Q=95), _right()),
    Case("tiled.tif", "TIFF", still(compression="deflate", tile=True, tile_width=128, tile_height=128), _right()),
    Case("two_pages.tif", "TIFF", drawn(lambda: pictures.frames(2), compression="none"), _right()),
    Case(
        "big_endian.tif",
        "TIFF",
        made(
            picture(320, 200, seconds=0.1, pixels="rgb24", matrix="gbr"),
            "-frames:v 1 -c:v tiff -compression_algo packbits",
        ),
        _right(),
    ),
    Case(
        "b_bmp.bmp",
        _FORMATS,
        made(picture(320, 200, seconds=0.1, pixels="bgr24", matrix="gbr"), "-frames:v 1 -c:v bmp"),
        _right(item=True),
    ),
    Case(
        "indexed.bmp",
        _FORMATS,
        made(picture(320, 200, seconds=0.1, pixels="bgr8", matrix="gbr"), "-frames:v 1 -c:v bmp"),
        (Still(size=_SIZE),),
    ),
    Case(
        "p3_code_points.png",
        _CODE_POINTS,
        changed(
            drawn(lambda: pictures.quarters(colours=[to_display_p3(rgb) for rgb in (RED, GREEN, BLUE, LIGHT)])),
            pictures.with_code_points(12, 13),
        ),
        _right("png", item=True),
    ),
    *(
        Case(
            f"{name}_code_points.png",
            _CODE_POINTS,
            changed(still(pictures.deep_grey(black, white)), pictures.with_code_points(9, transfer)),
            (_HDR_WHITE, replace(_HDR_WHITE, options={"format": "jpeg", "quality": "high"}, format="jpeg")),
        )
        # Of diffuse white: ITU-R BT.2408-7, table 1.
        for name, transfer, black, white in (("pq", 16, 0.0, 0.5807), ("hlg", 18, 0.0, 0.75))
    ),
    Case("sdr_code_points.png", _CODE_POINTS, changed(still(), pictures.with_code_points(1, 13)), _right("png")),
    *(
        Case(
            name,
            _FORMATS,
            made(picture(320, 200, seconds=0.1, pixels="rgb24", matrix="gbr"), f"-frames:v 1 -c:v {encoder}"),
            _refused(words),
        )
        for name, encoder, words in (
            ("photo.jxl", "libjxl", "JPEG XL"),
            ("photo.jp2", "libopenjpeg -format jp2 -f image2", "JPEG 2000"),
            ("photo.j2k", "libopenjpeg -format j2k -f image2", "JPEG 2000"),
        )
    ),
    Case("photo.dng", _FORMATS, pictures.raw_photograph(), _refused("raw format (DNG)")),
    Case("photo.nef", _FORMATS, pictures.raw_photograph(mosaic=True), _refused("raw format")),
    Case("photo.cr3", _FORMATS, content(bytes(3) + b"\x18ftypcrx \0\0\0\1crx isom" + bytes(64)), _refused("CR3")),
    Case("favicon.ico", _FORMATS, content(_ico()), (Still(size=(48, 48), patches=quarters()),)),
    Case("h_plain.heic", _HEIC, heic.plain(320, 200), _HEIC_RIGHT),
    Case("h_ten_bit.heic", _HEIC, heic.plain(320, 200, pixels="yuv420p10le"), _HEIC_RIGHT[:1]),
    Case(
        "h_rotated.heic",
        _HEIC,
        heic.plain(320, 200, heic.rotation(1)),
        (Still(size=(200, 320), patches=quarters(order=turned(1, 3, 0, 2), within=4)),),
    ),
    Case("h_grid.heic", _HEIC, heic.grid(2, 2, 320, 200), _HEIC_RIGHT),
    Case(
        "h_grid_odd.heic",
        _HEIC,
        heic.grid(3, 2, 400, 300),
        (Still(size=(400, 300), patches=quarters(within=4)),),
    ),
    Case(
        "h_as_video.heic",
        _HEIC,
        heic.plain(320, 200),
        (Refused(code="input_kind_mismatch", words="image"),),
    ),
    Case(
        "big_108mp.jpg",
        _BIG,
        _large(12000, 9000),
        (Still({"width": 640}, size=(640, 480)), Item(size=(1280, 960))),
        short=False,
    ),
    Case(
        "big_200mp.jpg",
        _BIG,
        _large(16320, 12240),
        (Still({"width": 640}, size=(640, 480)),),
        short=False,
    ),
    Case(
        "big_tall.jpg",
        _BIG,
        made("-f lavfi -i color=red:s=790x12000:r=1,format=yuvj420p -frames:v 1"),
        (Item(), Still({"width": 79}, size=(79, 1200))),
    ),
    Case(
        "panorama.jpg",
        _BIG,
        _large(16382, 3628),
        (Item(size=(1280, 283)), Still({"width": 1000}, size=(1000, 221))),
        short=False,
    ),
    Case("wrong_extension.png", "wrong extension", changed(still(Q=95), via=".jpg"), _right()),
)
