"""Images made by ffmpeg and libvips in their sandboxes."""

import base64
from pathlib import Path
from typing import Any

import pytest
import pyvips

from devtools.footage import Footage
from schemas.options import ImageFormat, ImageOptions
from services.thumbnailer.encode import encode
from tests.services.thumbnailer.image_maker import ImageMaker, size
from tests.support.footage import FLAT_COLOUR, GREY_STEP, Material

LOSSY: tuple[ImageFormat, ...] = ("jpeg", "webp", "avif")
FORMATS: tuple[ImageFormat, ...] = (*LOSSY, "png")


def difference(image: pyvips.Image, reference: pyvips.Image) -> float:
    """The mean difference of two pictures of the same size, in units of 255."""
    return float((image.extract_band(0, n=3) - reference.extract_band(0, n=3)).abs().avg())


# Sizes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1280, 720)),
        ({"width": 640}, (640, 360)),
        ({"width": 333}, (333, 187)),
        ({"height": 51}, (91, 51)),
        ({"width": 1501}, (1501, 844)),
        ({"width": 64, "height": 200}, (64, 200)),
    ],
)
async def test_a_frame_has_exactly_the_size_asked(
    image_maker: ImageMaker, footage: Footage, options: dict[str, Any], expected: tuple[int, int]
) -> None:
    made, _ = await image_maker(footage.bunny, start=1, format="webp", **options)
    assert size(made) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (451, 300)),
        ({"width": 101}, (101, 67)),
        ({"width": 1000}, (1000, 665)),
        ({"height": 3}, (5, 3)),
        ({"width": 40, "height": 300}, (40, 300)),
    ],
)
async def test_an_image_has_exactly_the_size_asked(
    image_maker: ImageMaker, footage: Footage, options: dict[str, Any], expected: tuple[int, int]
) -> None:
    made, _ = await image_maker(footage.chelsea, **options)
    assert size(made) == expected
    assert made.info.format == "png"


async def test_rotated_video_is_turned_upright(image_maker: ImageMaker, footage: Footage, material: Material) -> None:
    made, turned = await image_maker(material.rotated(), format="png", width=360)
    assert size(made) == (360, 640)
    _, plain = await image_maker(footage.bunny, format="png", height=360)
    assert difference(turned, plain.rot270()) < 2


async def test_anamorphic_video_is_not_squashed(image_maker: ImageMaker, footage: Footage, material: Material) -> None:
    made, shown = await image_maker(material.anamorphic(), format="png", width=320)
    assert size(made) == (320, 180)
    _, plain = await image_maker(footage.bunny, format="png", width=320)
    assert difference(shown, plain) < 4


async def test_video_of_odd_size_keeps_it(image_maker: ImageMaker, material: Material) -> None:
    made, _ = await image_maker(material.odd_size())
    assert size(made) == (319, 179)


# Colours


@pytest.mark.parametrize("format", FORMATS)
async def test_a_flat_bt709_colour_comes_out_as_it_was(
    image_maker: ImageMaker, material: Material, format: ImageFormat
) -> None:
    _, image = await image_maker(material.flat(), format=format, quality="very_high")
    assert image(160, 90)[:3] == pytest.approx(FLAT_COLOUR, abs=4)


@pytest.mark.parametrize("format", FORMATS)
async def test_a_wide_gamut_profile_is_converted_not_dropped(
    image_maker: ImageMaker, material: Material, format: ImageFormat
) -> None:
    _, image = await image_maker(material.wide_gamut(), format=format, quality="very_high")
    assert image(32, 32)[:3] == pytest.approx(FLAT_COLOUR, abs=4)


async def test_cmyk_looks_like_the_photograph(image_maker: ImageMaker, footage: Footage, material: Material) -> None:
    _, image = await image_maker(material.cmyk(), format="png")
    _, original = await image_maker(footage.chelsea)
    assert difference(image, original) < 6


@pytest.mark.parametrize("format", FORMATS)
async def test_sixteen_bits_look_like_eight(
    image_maker: ImageMaker, footage: Footage, material: Material, format: ImageFormat
) -> None:
    _, image = await image_maker(material.sixteen_bit(), format=format, quality="very_high")
    _, original = await image_maker(footage.chelsea)
    assert image.format == "uchar"
    assert difference(image, original) < 4


async def test_grey_stays_grey(image_maker: ImageMaker, material: Material) -> None:
    _, image = await image_maker(material.grey_photo(), format="jpeg", width=200)
    red, green, blue = image(100, 60)
    assert red == green == blue


async def test_hdr_is_converted_to_sdr(image_maker: ImageMaker, material: Material) -> None:
    # Grey of 100 nits, which is 0.51 of the range by the PQ curve: taken as it stands it would be 130, dark.
    tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    grey = f"color=black:s=64x64:r=10:d=0.3,format=yuv420p10le,geq=lum=509:cb=512:cr=512,{tags}"
    clip = material.ffmpeg("pq-grey.mp4", "-f", "lavfi", "-i", grey, "-c:v", "libx264", "-preset", "ultrafast")
    _, image = await image_maker(clip, format="png")
    red, green, blue = image(32, 32)
    assert red == pytest.approx(green, abs=2) and green == pytest.approx(blue, abs=2)
    assert red > 150


# Orientation, transparency, metadata, animation


async def test_exif_orientation_is_applied_and_metadata_is_gone(image_maker: ImageMaker, material: Material) -> None:
    made, image = await image_maker(material.exif_oriented(), width=200, quality="very_high")
    assert size(made) == (200, 300)
    fields = " ".join(image.get_fields())
    assert "exif" not in fields and "icc" not in fields and "xmp" not in fields
    upright = pyvips.Image.new_from_file(str(material.exif_oriented())).autorot().thumbnail_image(200, height=300)
    assert difference(image, upright) < 4


@pytest.mark.parametrize("format", ["png", "webp", "avif"])
async def test_transparency_stays_where_the_format_has_it(
    image_maker: ImageMaker, material: Material, format: ImageFormat
) -> None:
    made, image = await image_maker(material.alpha(), format=format, quality="very_high")
    assert made.info.image is not None and made.info.image.alpha
    assert image(2, 150)[3] < 10 and image(448, 150)[3] > 245


async def test_transparency_becomes_white_where_the_format_has_none(
    image_maker: ImageMaker, material: Material
) -> None:
    _, image = await image_maker(material.alpha(), format="jpeg")
    assert image.bands == 3
    assert min(image(2, 150)) > 243


@pytest.mark.parametrize("format", [None, "webp"])
async def test_an_animation_gives_its_first_frame(
    image_maker: ImageMaker, material: Material, format: ImageFormat | None
) -> None:
    made, image = await image_maker(material.animated_gif(), format=format, width=128)
    assert made.info.image is not None and made.info.image.pages == 1
    assert size(made) == (128, 72)
    assert made.info.format == (format or "jpeg")
    assert max(image(64, 36)[:3]) < 3


# The right frame


@pytest.mark.parametrize(("start", "number"), [(0, 0), (0.1, 1), (2, 20), (2.3, 23), (2.35, 24), (4.9, 49)])
async def test_the_frame_is_the_first_at_or_after_start(
    image_maker: ImageMaker, material: Material, start: float, number: int
) -> None:
    _, image = await image_maker(material.grey_steps(), start=start, format="png")
    assert image(80, 45)[0] == pytest.approx(number * GREY_STEP * 255 / 219, abs=1.5)


async def test_interlaced_video_is_deinterlaced(image_maker: ImageMaker, material: Material) -> None:
    # Two fields that differ: woven together, rows alternate between black and grey.
    fields = "color=black:s=160x96:r=50:d=1,geq=lum=16+mod(N\\,2)*120:cb=128:cr=128,tinterlace=interleave_top"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p")
    clip = material.ffmpeg("interlaced.mkv", "-f", "lavfi", "-i", fields, *coding)
    _, image = await image_maker(clip, start=0.5, format="png")
    column = image.extract_band(0).crop(80, 20, 1, 40)
    assert column.max() - column.min() < 40


async def test_between_the_last_frame_and_the_end_it_is_the_last_frame(
    image_maker: ImageMaker, material: Material
) -> None:
    _, image = await image_maker(material.grey_steps(), start=4.97, format="png")
    assert image(80, 45)[0] == pytest.approx(49 * GREY_STEP * 255 / 219, abs=1.5)


async def test_a_start_past_the_end_is_refused(image_maker: ImageMaker, footage: Footage) -> None:
    fault = await image_maker.fault(footage.bunny, start=60)
    assert fault.kind == "start_out_of_range"
    assert "the video ends at 5.3" in fault.message


async def test_a_start_in_audio_that_is_longer_than_the_video_is_refused(
    image_maker: ImageMaker, material: Material
) -> None:
    sound = ("-f", "lavfi", "-i", "sine=duration=8")
    clip = material.ffmpeg("outlasted.mp4", "-i", material.flat(), *sound, "-c:v", "copy", "-c:a", "aac")
    fault = await image_maker.fault(clip, start=6)
    assert fault.kind == "start_out_of_range"


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mpg"])
async def test_a_clip_that_does_not_begin_at_zero_counts_from_its_beginning(
    image_maker: ImageMaker, material: Material, suffix: str
) -> None:
    codec = ("-c:v", "mpeg2video", "-q:v", "1", "-r", "25") if suffix == "mpg" else ("-c", "copy")
    late = material.ffmpeg(f"late.{suffix}", "-i", material.grey_steps(), *codec, "-output_ts_offset", "100")
    _, image = await image_maker(late, start=2, format="png")
    assert image(80, 45)[0] == pytest.approx(20 * GREY_STEP * 255 / 219, abs=3)


# Palette, progress, names


async def test_a_poster_comes_with_placeholder_and_background(image_maker: ImageMaker, material: Material) -> None:
    made, _ = await image_maker(material.flat(), palette=True, width=300)
    assert made.background is not None
    channels = [int(made.background[place : place + 2], 16) for place in (1, 3, 5)]
    assert channels == pytest.approx(FLAT_COLOUR, abs=3)
    assert made.placeholder is not None and len(made.placeholder) < 400
    kind, _, data = made.placeholder.partition(";base64,")
    tiny = pyvips.Image.new_from_buffer(base64.b64decode(data), "")
    assert kind == "data:image/webp"
    assert (tiny.width, tiny.height) == (16, 9)
    assert tiny(8, 4)[:3] == pytest.approx(FLAT_COLOUR, abs=8)


async def test_a_palette_is_made_only_on_request(image_maker: ImageMaker, footage: Footage) -> None:
    made, _ = await image_maker(footage.rocket, width=50)
    assert made.placeholder is None and made.background is None


async def test_progress_only_rises_and_ends_at_one(image_maker: ImageMaker, footage: Footage) -> None:
    await image_maker(footage.bikes, width=100)
    assert image_maker.progress == sorted(image_maker.progress)
    assert image_maker.progress[-1] == 1.0


async def test_nothing_but_the_image_is_left(image_maker: ImageMaker, footage: Footage) -> None:
    await image_maker(footage.bikes, width=100)
    assert [path.name for path in image_maker.folder.iterdir()] == ["image"]


async def test_a_file_name_is_never_parsed_as_options(
    image_maker: ImageMaker, footage: Footage, tmp_path: Path
) -> None:
    source = tmp_path / "photo[page=3]"
    source.write_bytes(footage.rocket.read_bytes())
    info = await image_maker.tools.prober.probe(footage.rocket)
    made = await encode(
        source, info, ImageOptions(width=100), tmp_path / "out", image_maker.tools, image_maker.progress.append
    )
    assert size(made) == (100, 67)
