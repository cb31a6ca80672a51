"""Whole command lines, compared with `argv.json`."""

from pathlib import Path
from typing import Any

import pytest

from media.allowlists import DECODERS, DEMUXERS
from media.info import MediaInfo
from schemas.options import VideoOptions
from services.transcoder.argv import argv
from services.transcoder.plan import plan
from tests.services.transcoder.media_infos import track, video
from tests.support import golden

PQ: dict[str, Any] = {
    "pix_fmt": "yuv420p10le",
    "matrix": "bt2020nc",
    "primaries": "bt2020",
    "transfer": "smpte2084",
    "bits": 10,
}
CASES: dict[str, tuple[MediaInfo, dict[str, Any]]] = {
    "plain": (video(), {}),
    "no audio": (video(audio=()), {}),
    "turned by 90 degrees": (video(display=(1080, 1920), rotation=90), {"width": 480}),
    "sample aspect 64:45": (video(display=(1024, 576), sar=64 / 45, coded_width=720, coded_height=576), {"width": 480}),
    "odd size": (video(display=(1279, 719), coded_width=1279, coded_height=719), {}),
    "upscaled": (video(display=(320, 180), coded_width=320, coded_height=180), {"width": 1920, "quality": "high"}),
    "width only": (video(), {"width": 640}),
    "height only": (video(), {"height": 480}),
    "both sides": (video(), {"width": 300, "height": 300}),
    "from a start": (video(), {"start": 2.5}),
    "to an end": (video(), {"end": 4}),
    "from a start to an end": (video(), {"start": 0.000125, "end": 4.25}),
    "webm": (video(), {"format": "webm", "quality": "low"}),
    "mov": (video(), {"format": "mov", "quality": "very_high"}),
    "very low": (video(), {"quality": "very_low"}),
    "HDR": (video(**PQ), {"height": 720}),
    "wide gamut without HDR": (video(**{**PQ, "transfer": "bt2020-10"}), {}),
    "screen recording in RGB": (video(rgb=True, pix_fmt="gbrp", matrix="gbr", range="pc"), {}),
    "full range": (video(pix_fmt="yuvj420p", range="pc"), {}),
    "standard definition with tags": (
        video(display=(640, 480), coded_width=640, coded_height=480, matrix="smpte170m"),
        {},
    ),
    "standard definition without tags": (
        video(
            display=(720, 576),
            coded_width=720,
            coded_height=576,
            matrix=None,
            primaries=None,
            transfer=None,
            range=None,
        ),
        {"height": 1080},
    ),
    "interlaced": (video(interlaced=True), {}),
    "cover art before the video": (video(index=1, audio=(track(2),)), {}),
    "many tracks": (video(audio=(track(1), track(2, default=True, channels=6), track(3))), {}),
    "transparent": (video(alpha=True, codec="vp9"), {"background": "#204060"}),
    "transparent, kept in webm": (video(alpha=True, rgb=True, pix_fmt="rgba"), {"format": "webm"}),
    "transparent, kept in mov": (video(alpha=True, rgb=True, pix_fmt="rgba"), {"format": "mov"}),
    "frames that stand for unequal times": (video(uneven=True, end=9.5), {}),
    "ambisonic": (video(audio=(track(1, channels=4, layout="ambisonic 1"),)), {}),
    "joined": (
        video(start=0.021, audio=(track(1, start=0.0),)).model_copy(update={"joined": True}),
        {"start": 2},
    ),
    "one channel": (video(audio=(track(1, channels=1),)), {"format": "webm"}),
}


def line(info: MediaInfo, options: dict[str, Any]) -> list[str]:
    made = argv(
        plan(VideoOptions.model_validate(options), info, tone_maps=True), Path("/in/clip.mov"), Path("/out/video")
    )
    # The long allowlists are replaced: only their position matters here.
    shown = {",".join(DECODERS): "DECODERS", ",".join(DEMUXERS): "DEMUXERS"}
    return [shown.get(word, word) for word in made]


def test_whole_command_lines() -> None:
    golden.check(Path(__file__).with_name("argv.json"), {name: line(*case) for name, case in CASES.items()})


@pytest.mark.parametrize("name", ["http:clip.mp4", "-y.mp4", "%d.mp4", "a b;c'd\".mp4"])
def test_a_file_name_is_never_parsed_as_anything_else(name: str) -> None:
    made = argv(plan(VideoOptions(), video(), tone_maps=True), Path("/in") / name, Path("/out") / name)
    assert f"file:/in/{name}" in made and made[-1] == f"file:/out/{name}"
