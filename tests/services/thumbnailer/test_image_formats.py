"""Formats that libvips does not decode itself, whole images in damaged files, and very large ones."""

import struct
from pathlib import Path
from typing import Any

import pytest
import pyvips
from PIL import Image

from tests.services.thumbnailer.image_maker import ImageMaker, quarters, size
from tests.support.footage import Material

QUARTERS = ((255, 0, 0), (0, 192, 0), (0, 0, 255), (255, 255, 255))


def picture(width: int = 320, height: int = 200) -> Image.Image:
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(QUARTERS):
        left, top = number % 2 * width // 2, number // 2 * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def saved(path: Path, image: Image.Image | None = None, **options: Any) -> Path:
    (image or picture()).save(path, **options)
    return path


async def assert_quarters(image_maker: ImageMaker, source: Path, tolerance: int = 3, **options: Any) -> None:
    _, image = await image_maker(source, **{"format": "png", **options})
    for found, expected in zip(quarters(image), QUARTERS, strict=True):
        assert found[:3] == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
async def test_bmp(image_maker: ImageMaker, material: Material, mode: str) -> None:
    await assert_quarters(
        image_maker, saved(material.folder / f"{mode}.bmp", picture().convert(mode, palette=Image.Palette.ADAPTIVE))
    )


async def test_a_bmp_whose_fourth_byte_means_nothing_is_opaque(image_maker: ImageMaker, material: Material) -> None:
    image = picture().convert("RGBA")
    image.putalpha(0)
    _, made = await image_maker(saved(material.folder / "x.bmp", image), format="png")
    assert made.bands == 3


async def test_bmp_becomes_jpeg_unless_another_format_is_asked(image_maker: ImageMaker, material: Material) -> None:
    made, _ = await image_maker(saved(material.folder / "plain.bmp"), palette=True)
    assert made.info.format == "jpeg" and made.placeholder and made.background


async def test_the_largest_icon_is_taken_and_its_transparency_kept(image_maker: ImageMaker, material: Material) -> None:
    image = picture(64, 64).convert("RGBA")
    image.paste((0, 255, 0, 0), (32, 0, 64, 32))
    source = saved(material.folder / "app.ico", image, sizes=[(16, 16), (64, 64)])
    made, icon = await image_maker(source, format="png")
    assert size(made) == (64, 64)
    assert quarters(icon)[1] == [0, 0, 0, 0]
    assert quarters(icon)[2] == pytest.approx((0, 0, 255, 255), abs=3)
    _, flat = await image_maker(source)
    assert quarters(flat)[1] == pytest.approx((255, 255, 255), abs=3)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"])
async def test_tiff_of_each_compression(image_maker: ImageMaker, material: Material, compression: str) -> None:
    source = saved(material.folder / f"{compression}.tif", compression=compression)
    await assert_quarters(image_maker, source, tolerance=5)


async def test_big_tiff_cmyk_lab_and_fax(image_maker: ImageMaker, material: Material) -> None:
    await assert_quarters(image_maker, saved(material.folder / "big.tif", big_tiff=True))
    cmyk = saved(material.folder / "cmyk.tif", Image.new("CMYK", (32, 32), (0, 0, 0, 0)))
    _, white = await image_maker(cmyk, format="png")
    assert white(5, 5) == pytest.approx((255, 255, 255), abs=3)
    lab = saved(material.folder / "lab.tif", Image.new("LAB", (32, 32), (255, 128, 128)))
    assert (await image_maker(lab, format="png"))[1](5, 5) == pytest.approx((255, 255, 255), abs=6)
    fax = saved(material.folder / "fax.tif", picture().convert("1"), compression="group4")
    assert quarters((await image_maker(fax, format="png"))[1])[3] == [255, 255, 255]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
async def test_a_jpeg_without_its_end_marker_is_not_truncated(
    image_maker: ImageMaker, material: Material, progressive: bool, missing: int
) -> None:
    whole = saved(material.folder / "whole.jpg", quality=95, progressive=progressive).read_bytes()
    source = material.folder / "no-end.jpg"
    source.write_bytes(whole[:-missing])
    await assert_quarters(image_maker, source, tolerance=4)
    assert [path.name for path in image_maker.folder.iterdir()] == ["image"]


async def test_a_png_without_its_iend_chunk_is_not_truncated(image_maker: ImageMaker, material: Material) -> None:
    source = material.folder / "no-end.png"
    source.write_bytes(saved(material.folder / "whole.png").read_bytes()[:-12])
    await assert_quarters(image_maker, source)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp", "ico", "avif"])
async def test_trailing_bytes_after_an_image_are_ignored(
    image_maker: ImageMaker, material: Material, suffix: str
) -> None:
    side = 256 if suffix == "ico" else 320
    source = material.folder / f"trailing.{suffix}"
    if suffix == "avif":
        pyvips.Image.new_from_memory(picture().tobytes(), 320, 200, 3, "uchar").copy(interpretation="srgb").heifsave(
            str(source), compression="av1", Q=95, subsample_mode="off", effort=0
        )
    else:
        saved(source, picture(side, 200))
    source.write_bytes(source.read_bytes() + b"SEFT" + bytes(range(256)) * 20)
    await assert_quarters(image_maker, source, tolerance=5)


@pytest.mark.parametrize("suffix", ["bmp", "tif"])
async def test_half_an_image_is_truncated(image_maker: ImageMaker, material: Material, suffix: str) -> None:
    source = saved(material.folder / f"half.{suffix}")
    source.write_bytes(source.read_bytes()[: 320 * 200])
    assert (await image_maker.fault(source)).kind == "input_truncated"


async def test_video_that_begins_like_icons_is_not_taken_for_them(image_maker: ImageMaker, material: Material) -> None:
    source = material.folder / "x.ico"
    source.write_bytes(b"\0\0\1\0" + struct.pack("<HBBBB", 1, 16, 16, 0, 7) + bytes(60))
    assert (await image_maker.fault(source)).kind == "input_unreadable"


# Large


def large(material: Material, name: str, width: int, height: int) -> Path:
    path = material.folder / name
    if not path.exists():
        colour: Any = [200, 100, 50]
        flat = (pyvips.Image.black(width, height, bands=3) + colour).cast("uchar")
        flat.copy(interpretation="srgb").write_to_file(str(path))
    return path


@pytest.mark.parametrize(("width", "height"), [(12_000, 9_000), (16_320, 12_240)])
async def test_photographs_of_108_and_200_megapixels_are_made_small(
    image_maker: ImageMaker, material: Material, width: int, height: int
) -> None:
    made, image = await image_maker(large(material, f"{width}.jpg", width, height), width=640)
    assert size(made) == (640, 480)
    assert image(300, 200) == pytest.approx((200, 100, 50), abs=3)


@pytest.mark.parametrize(("width", "height"), [(790, 12_000), (16_382, 3_628)])
async def test_long_screenshots_and_panoramas_stay_as_they_are(
    image_maker: ImageMaker, material: Material, width: int, height: int
) -> None:
    made, _ = await image_maker(large(material, f"{width}.jpg", width, height))
    assert size(made) == (width, height)


async def test_what_the_format_cannot_hold_is_refused_with_its_limit(
    image_maker: ImageMaker, material: Material
) -> None:
    fault = await image_maker.fault(large(material, "long.png", 20, 17_000), format="webp")
    assert fault.kind == "output_too_large"
    assert fault.message == (
        "The image would be 20x17000 pixels; the longest side of webp may be 16383. Ask for a smaller width or height."
    )
    assert size((await image_maker(large(material, "long.png", 20, 17_000)))[0]) == (20, 17_000)


async def test_more_pixels_than_a_photograph_has_are_refused(image_maker: ImageMaker, material: Material) -> None:
    header = bytearray(saved(material.folder / "small.bmp").read_bytes())
    struct.pack_into("<ii", header, 18, 100_000, 100_000)
    source = material.folder / "huge.bmp"
    source.write_bytes(header)
    fault = await image_maker.fault(source)
    assert fault.kind == "input_limits_exceeded"
    assert "10000000000 pixels; at most 268435456 are allowed" in fault.message
