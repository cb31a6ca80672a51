"""HDR and wide gamut in stills of film, measured on patches and on photographs."""

from pathlib import Path

import pytest

from devtools.footage import Footage
from tests.services.thumbnailer.image_maker import ImageMaker, quarters
from tests.support.footage import Material

# Ten-bit codes of 203, 100, 18 and 1000 nits, by SMPTE ST 2084 and by ITU-R BT.2100 for a display of 1000 nits.
CODES = {"smpte2084": (573, 509, 369, 723), "arib-std-b67": (721, 616, 349, 940)}
DISPLAY_GAMMA = 2.4


def patches(material: Material, transfer: str) -> Path:
    """Grey of diffuse white, 100 nits / 18 nits and 1000 nits, 320x200."""
    one, two, three, four = CODES[transfer]
    luma = f"if(lt(Y\\,100)\\,if(lt(X\\,160)\\,{one}\\,{two})\\,if(lt(X\\,160)\\,{three}\\,{four}))"
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    source = f"color=black:s=320x200:r=10:d=0.3,format=yuv420p10le,geq=lum={luma}:cb=512:cr=512,{tags}"
    return material.ffmpeg(f"{transfer}.mkv", "-f", "lavfi", "-i", source, "-c:v", "ffv1")


@pytest.mark.parametrize("transfer", CODES)
async def test_diffuse_white_is_nine_tenths_of_white_and_middle_grey_stays(
    image_maker: ImageMaker, material: Material, transfer: str
) -> None:
    _, image = await image_maker(patches(material, transfer), format="png")
    white, grey, dark, light = (quarter[0] / 255 for quarter in quarters(image))
    assert white == pytest.approx(0.9, abs=0.02)
    assert dark == pytest.approx((18 / 203) ** (1 / DISPLAY_GAMMA), abs=0.01)
    assert grey == pytest.approx((100 / 203) ** (1 / DISPLAY_GAMMA), abs=0.02)
    assert light > 0.99
    for red, green, blue in quarters(image):
        assert red == pytest.approx(green, abs=2) and green == pytest.approx(blue, abs=2)


async def test_a_photograph_shot_as_hdr_looks_like_the_photograph(
    image_maker: ImageMaker, footage: Footage, material: Material
) -> None:
    to_pq = (
        "format=gbrp,setparams=color_primaries=bt709:color_trc=bt709:colorspace=gbr:range=pc,"
        "zscale=t=linear:npl=203,format=gbrpf32le,"
        "zscale=p=bt2020:t=smpte2084:m=bt2020nc:r=tv:npl=203,format=yuv444p10le"
    )
    clip = material.ffmpeg("photo-pq.mkv", "-i", footage.coffee, "-vf", to_pq, "-frames:v", "1", "-c:v", "ffv1")
    _, still = await image_maker(clip, format="png")
    _, photo = await image_maker(footage.coffee, format="png")
    # All that differs are lights, which are rolled off. With a curve that compresses all of it the mean is 30 off.
    assert (still.extract_band(0, n=3) - photo.extract_band(0, n=3)).abs().avg() < 4
    dark = (photo.extract_band(0, n=3) < 140).bandand()
    assert ((still.extract_band(0, n=3) - photo.extract_band(0, n=3)).abs() * (dark / 255)).max() <= 6


@pytest.mark.parametrize(
    ("primaries", "coded", "expected"),
    [
        ("smpte432", (177, 61, 43), (192, 48, 32)),
        ("bt709", (192, 48, 32), (192, 48, 32)),
        # Standard definition is shown as it is.
        ("smpte170m", (192, 48, 32), (192, 48, 32)),
    ],
)
async def test_tagged_primaries_are_converted(
    image_maker: ImageMaker, material: Material, primaries: str, coded: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    colour = "0x" + "".join(f"{part:02X}" for part in coded)
    convert = "format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv444p"
    tags = f"setparams=colorspace=bt709:color_primaries={primaries}:color_trc=bt709:range=tv"
    source = f"color=c={colour}:s=64x64:r=10:d=0.3,{convert},{tags}"
    clip = material.ffmpeg(f"{primaries}.mkv", "-f", "lavfi", "-i", source, "-c:v", "ffv1")
    for format in ("png", "jpeg"):
        _, image = await image_maker(clip, format=format, quality="very_high")
        assert image(32, 32) == pytest.approx(expected, abs=3)
