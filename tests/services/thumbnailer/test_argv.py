"""Whole command lines, compared with `argv.json`. `UPDATE_GOLDEN=1 pytest …` rewrites it."""

import json
import os
from pathlib import Path

import pytest

from media.allowlists import DECODERS, DEMUXERS
from media.info import VideoStream
from services.thumbnailer import argv
from services.thumbnailer.plan import FramePlan

GOLDEN = Path(__file__).with_name("argv.json")
SOURCE, PIXELS = Path("/in/clip.mov"), Path("/out/frame.rgb")

HD = VideoStream(
    index=0,
    codec="h264",
    coded_width=1920,
    coded_height=1080,
    pix_fmt="yuv420p",
    matrix="bt709",
    primaries="bt709",
    transfer="bt709",
    range="tv",
)
HDR = HD.model_copy(
    update={"pix_fmt": "yuv420p10le", "matrix": "bt2020nc", "primaries": "bt2020", "transfer": "smpte2084", "bits": 10}
)
UNTAGGED = {"matrix": None, "primaries": None, "transfer": None, "range": None}
SD = HD.model_copy(update={**UNTAGGED, "coded_width": 640, "coded_height": 480})
SCREEN = HD.model_copy(update={**UNTAGGED, "pix_fmt": "gbrp", "rgb": True, "index": 1})


P3 = HD.model_copy(update={"primaries": "smpte432"})
CLEAR = HD.model_copy(update={"codec": "vp9", "alpha": True})


def planned(start: float, preroll: float = 0, *, alpha: bool = False) -> FramePlan:
    return FramePlan(
        width=640,
        height=360,
        format="webp",
        save={},
        start=start,
        preroll=preroll,
        alpha=alpha,
        aspect=16 / 9,
        sar=True,
    )


CASES = {
    "seeks before it decodes": argv.frame(SOURCE, HD, planned(2), PIXELS, tone_maps=True),
    "does not seek to the first frame": argv.frame(SOURCE, HD, planned(0), PIXELS, tone_maps=True),
    "begins earlier where there is no index": argv.frame(SOURCE, HD, planned(32, 10), PIXELS, tone_maps=True),
    "begins at the beginning where there is no index": argv.frame(SOURCE, HD, planned(2, 10), PIXELS, tone_maps=True),
    "reads untagged small video by the old matrix": argv.frame(SOURCE, SD, planned(0), PIXELS, tone_maps=True),
    "leaves RGB as it is": argv.frame(SOURCE, SCREEN, planned(0), PIXELS, tone_maps=True),
    "tone-maps HDR": argv.frame(SOURCE, HDR, planned(1.5), PIXELS, tone_maps=True),
    "converts HDR plainly where ffmpeg cannot tone-map": argv.frame(SOURCE, HDR, planned(1.5), PIXELS, tone_maps=False),
    "narrows wide colour that is not HDR": argv.frame(
        SOURCE, HDR.model_copy(update={"transfer": "bt2020-10"}), planned(0), PIXELS, tone_maps=True
    ),
    "narrows Display P3": argv.frame(SOURCE, P3, planned(0), PIXELS, tone_maps=True),
    "keeps transparency": argv.frame(SOURCE, CLEAR, planned(0, alpha=True), PIXELS, tone_maps=True),
    "deinterlaces what is interlaced": argv.frame(
        SOURCE, HD.model_copy(update={"interlaced": True}), planned(0), PIXELS, tone_maps=True
    ),
    "writes small times in full": argv.frame(SOURCE, HD, planned(0.00001), PIXELS, tone_maps=True),
    "takes the last frame from a moment before": argv.last_frame(SOURCE, HD, planned(9.98), PIXELS, tone_maps=True),
    "takes the last frame that stands for long": argv.standing_frame(SOURCE, HD, planned(8), PIXELS, tone_maps=True),
    "takes the last frame of a very short video": argv.last_frame(SOURCE, HD, planned(0.5), PIXELS, tone_maps=True),
}


def shortened(line: list[str]) -> list[str]:
    """The lists of allowed decoders and demuxers have their own home; here it matters that they are given."""
    names = {",".join(DECODERS): "<DECODERS>", ",".join(DEMUXERS): "<DEMUXERS>"}
    return [names.get(argument, argument) for argument in line]


@pytest.mark.parametrize("case", CASES)
def test_the_command_line_is_the_recorded_one(case: str) -> None:
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    line = shortened(CASES[case])
    if os.environ.get("UPDATE_GOLDEN"):
        golden[case] = line
        kept = {name: golden[name] for name in CASES if name in golden}
        GOLDEN.write_text(json.dumps(kept, indent=1) + "\n")
    assert line == golden.get(case)
