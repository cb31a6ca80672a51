"""The faults of bad input, from ffmpeg and libvips in their sandboxes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.adapters.sandbox.limits import ChildTimedOut
from devtools.footage import Footage
from tests.services.thumbnailer.image_maker import ImageMaker
from tests.support.footage import Material


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("html", "input_unreadable"),
        ("empty", "input_empty"),
        ("playlist", "input_unreadable"),
        ("truncated", "input_truncated"),
        ("headless", "input_truncated"),
        ("truncated_png", "input_truncated"),
        ("tone", "input_kind_mismatch"),
        ("tone_with_cover", "input_kind_mismatch"),
    ],
)
async def test_bad_input_is_refused_with_a_published_code(
    image_maker: ImageMaker, material: Material, name: str, kind: str
) -> None:
    fault = await image_maker.fault(getattr(material, name)())
    assert fault.kind == kind
    assert fault.message.endswith((".", ")."))


async def test_an_image_with_damaged_pixels_is_damaged(
    image_maker: ImageMaker, footage: Footage, material: Material
) -> None:
    data = footage.coffee.read_bytes()
    inside = data.index(b"IDAT", len(data) // 2) + 100
    damaged = material.folder / "damaged.png"
    damaged.write_bytes(data[:inside] + bytes(400) + data[inside + 400 :])
    fault = await image_maker.fault(damaged, width=100)
    assert fault.kind == "input_damaged"
    assert str(material.folder) not in fault.message


async def test_an_incomplete_jpeg_is_truncated(image_maker: ImageMaker, footage: Footage, material: Material) -> None:
    cut = material.folder / "cut.jpg"
    cut.write_bytes(footage.rocket.read_bytes()[:60_000])
    assert (await image_maker.fault(cut)).kind == "input_truncated"


async def test_an_image_that_takes_too_much_processor_time_is_beyond_the_limits(
    image_maker: ImageMaker, material: Material
) -> None:
    image_maker.tools = replace(image_maker.tools, image_limits=replace(image_maker.tools.image_limits, cpu_seconds=1))
    fault = await image_maker.fault(material.large_photo(), format="avif", quality="very_high", width=8000)
    assert fault.kind == "input_limits_exceeded"


async def test_an_image_that_a_busy_machine_did_not_make_in_time_is_no_fault_of_the_input(
    image_maker: ImageMaker, material: Material
) -> None:
    short = replace(image_maker.tools.image_limits, wall=timedelta(milliseconds=1))
    image_maker.tools = replace(image_maker.tools, image_limits=short)
    with pytest.raises(ChildTimedOut):
        await image_maker(material.large_photo(), width=2000)


async def test_a_frame_that_takes_too_much_processor_time_is_beyond_the_limits(
    image_maker: ImageMaker, footage: Footage
) -> None:
    image_maker.tools = replace(image_maker.tools, limits=replace(image_maker.tools.limits, cpu_seconds=0))
    assert (await image_maker.fault(footage.bunny)).kind == "input_limits_exceeded"
