"""HEIC: what phones and cameras write. The images are described in `heic/README.md`."""

from pathlib import Path

import pytest

from tests.services.thumbnailer.image_maker import ImageMaker, quarters, size
from tests.support.footage import Material

HEIC = Path(__file__).with_name("heic")
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 192, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("name", ["plain", "grid", "ten_bit", "camera_422"])
async def test_heic_is_decoded(image_maker: ImageMaker, name: str) -> None:
    made, image = await image_maker(HEIC / f"{name}.heic", format="png", palette=True)
    assert size(made) == (320, 200)
    for found, expected in zip(quarters(image), (RED, GREEN, BLUE, WHITE), strict=True):
        assert found == pytest.approx(expected, abs=3)
    assert made.placeholder is not None and made.background is not None


async def test_a_phone_s_grid_is_turned_and_its_profile_converted(image_maker: ImageMaker) -> None:
    made, image = await image_maker(HEIC / "phone.heic", format="png")
    assert size(made) == (200, 320)
    for found, expected in zip(quarters(image), (BLUE, (192, 48, 32), WHITE, GREEN), strict=True):
        assert found == pytest.approx(expected, abs=3)


async def test_transparent_heic_is_flattened_on_white_or_stays_transparent(image_maker: ImageMaker) -> None:
    _, flat = await image_maker(HEIC / "alpha.heic")
    assert quarters(flat)[0] == pytest.approx(RED, abs=3)
    assert quarters(flat)[1] == pytest.approx(WHITE, abs=3)
    _, clear = await image_maker(HEIC / "alpha.heic", format="png")
    assert quarters(clear)[1] == [0, 0, 0, 0]


async def test_a_heic_that_is_made_smaller_has_the_size_asked(image_maker: ImageMaker) -> None:
    made, image = await image_maker(HEIC / "grid.heic", format="png", width=100)
    assert size(made) == (100, 62)
    assert quarters(image)[2] == pytest.approx(BLUE, abs=3)


async def test_display_p3_by_code_points_is_converted(image_maker: ImageMaker) -> None:
    _, image = await image_maker(HEIC / "p3_code_points.heic", format="png")
    # Green of 192 in Display P3 is beyond sRGB in red and blue; computed with the sRGB curve and BT.709's primaries.
    assert quarters(image)[1] == pytest.approx((0, 196, 0), abs=3)


async def test_grey_with_code_points_stays_grey(image_maker: ImageMaker) -> None:
    _, image = await image_maker(HEIC / "grey_code_points.heic", format="png")
    for found, expected in zip(quarters(image), (54, 137, 18, 255), strict=True):
        assert found == pytest.approx((expected,) * 3, abs=3)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
async def test_diffuse_white_of_hdr_images_is_nine_tenths_of_white(image_maker: ImageMaker, suffix: str) -> None:
    _, image = await image_maker(HEIC / f"pq.{suffix}", format="png")
    white, grey, dark, light = (quarter[0] / 255 for quarter in quarters(image))
    assert white == pytest.approx(0.9, abs=0.02)
    assert dark == pytest.approx((18 / 203) ** (1 / 2.4), abs=0.01)
    assert dark < grey < white < light == 1


async def test_damaged_heic_is_refused_in_our_words(image_maker: ImageMaker, material: Material) -> None:
    data = bytearray((HEIC / "plain.heic").read_bytes())
    settings = data.index(b"hvcC") + 30
    data[settings : settings + 60] = bytes(60)
    damaged = material.folder / "damaged.heic"
    damaged.write_bytes(data)
    fault = await image_maker.fault(damaged)
    assert fault.kind == "input_damaged"
    assert fault.message == "The image cannot be decoded: its data is damaged, or of a kind that is not supported."


async def test_trailing_bytes_after_a_heic_are_ignored(image_maker: ImageMaker, tmp_path: Path) -> None:
    trailing = tmp_path / "trailing.heic"
    trailing.write_bytes((HEIC / "plain.heic").read_bytes() + b"\0\0\x40\0mpvd" + bytes(0x4000 - 8))
    _, image = await image_maker(trailing, format="png")
    assert quarters(image)[0] == pytest.approx(RED, abs=3)
