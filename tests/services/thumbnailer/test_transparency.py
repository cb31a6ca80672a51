"""Transparent images and films: hidden colours never come out."""

from pathlib import Path
from typing import Any

import pytest
import pyvips

from tests.services.thumbnailer.image_maker import ImageMaker, quarters
from tests.support.footage import Material

RED, WHITE, CLEAR = (255, 0, 0), (255, 255, 255), [0, 0, 0, 0]
HALF_CLEAR = (
    "color=red:s=160x240:r=10:d=1,format=rgba[l];"
    "color=lime:s=160x240:r=10:d=1,format=rgba,colorchannelmixer=aa=0[r];[l][r]hstack"
)
"""Red, and at the right transparent over green."""
CODECS = {
    "qtrle.mov": ("-c:v", "qtrle"),
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-pix_fmt", "yuva420p"),
    "vp8.webm": ("-c:v", "libvpx", "-auto-alt-ref", "0", "-pix_fmt", "yuva420p"),
    "png.mov": ("-c:v", "png"),
}


def film(material: Material, name: str) -> Path:
    return material.ffmpeg(f"half-clear-{name}", "-f", "lavfi", "-i", HALF_CLEAR, *CODECS[name])


def logo(folder: Path, colour: int) -> Path:
    """320x200, transparent over green, with a rectangle of a grey in the middle."""
    square = (pyvips.Image.black(200, 100) + 255).embed(60, 50, 320, 200)
    pixels = (square > 0).ifthenelse([colour] * 3, [0, 255, 0]).bandjoin(square)
    path = folder / "logo.png"
    pixels.cast("uchar").copy(interpretation="srgb").pngsave(str(path))
    return path


@pytest.mark.parametrize("name", CODECS)
async def test_a_transparent_film_is_flattened_on_white(image_maker: ImageMaker, material: Material, name: str) -> None:
    made, image = await image_maker(film(material, name), palette=True, quality="very_high")
    assert made.info.format == "jpeg"
    assert quarters(image)[0] == pytest.approx(RED, abs=5)
    assert quarters(image)[1] == pytest.approx(WHITE, abs=3)
    # Nothing of the green, not even where the halves meet.
    assert (image[1] - image[0]).max() < 12


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("format", ["png", "webp", "avif"])
async def test_a_transparent_film_keeps_its_transparency(
    image_maker: ImageMaker, material: Material, name: str, format: str
) -> None:
    made, image = await image_maker(film(material, name), format=format, width=500, quality="very_high")
    assert made.info.image is not None and made.info.image.alpha
    assert quarters(image)[0] == pytest.approx((*RED, 255), abs=5)
    assert quarters(image)[1][3] == 0
    assert max(quarters(image)[1][:3]) < 12


async def test_a_film_without_transparency_gives_an_image_without_it(
    image_maker: ImageMaker, material: Material
) -> None:
    made, _ = await image_maker(material.flat(), format="png")
    assert made.info.image is not None and not made.info.image.alpha


@pytest.mark.parametrize(("background", "expected"), [("#0000FF", (0, 0, 255)), ("#f80", (255, 136, 0))])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
async def test_the_background_that_is_asked_for_is_put_behind(
    image_maker: ImageMaker, material: Material, tmp_path: Path, background: str, expected: tuple[int, ...], format: str
) -> None:
    for source in (logo(material.folder, 0), film(material, "qtrle.mov")):
        _, image = await image_maker(source, format=format, background=background, quality="very_high")
        assert image.bands == 3
        assert image(image.width - 5, 5) == pytest.approx(expected, abs=6)


async def test_a_black_logo_is_seen_on_white(image_maker: ImageMaker, material: Material) -> None:
    made, image = await image_maker(logo(material.folder, 0), format="jpeg", palette=True)
    assert image(160, 100) == pytest.approx((0, 0, 0), abs=3)
    assert image(20, 20) == pytest.approx(WHITE, abs=3)
    assert made.background in ("#FFFFFF", "#FEFEFE")


@pytest.mark.parametrize("options", [{}, {"width": 100}, {"width": 900}])
@pytest.mark.parametrize("format", ["png", "webp"])
async def test_hidden_colours_are_gone(
    image_maker: ImageMaker, material: Material, options: dict[str, Any], format: str
) -> None:
    _, image = await image_maker(logo(material.folder, 0), format=format, **options)
    assert image.bands == 4
    hidden = image[3] == 0
    assert (hidden & image[1]).max() < 12
    assert image.flatten(background=[255, 255, 255])(5, 5) == [255, 255, 255]


async def test_grey_with_transparency_is_flattened_on_a_colour(
    image_maker: ImageMaker, tmp_path: Path, material: Material
) -> None:
    source = material.folder / "grey-alpha.png"
    grey = (pyvips.Image.black(40, 40) + 100).bandjoin(pyvips.Image.black(40, 40)).cast("uchar")
    grey.copy(interpretation="b-w").pngsave(str(source))
    _, image = await image_maker(source, format="jpeg", background="#FF0000")
    assert image(20, 20) == pytest.approx(RED, abs=3)
