"""The probe on real and unusual files, in the sandbox."""

import asyncio
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildTimedOut, Limits, SandboxError
from media.faults import MediaFault
from media.probe import IMAGE_HEADER_CPU_SECONDS, Prober, to_media_info
from media.tools import Tools
from tests.media.slow_images import SLOW_IMAGES, jpeg_with_looping_exif
from tests.support.footage import Material


async def fault_kind(tools: Tools, path: Path) -> str:
    with pytest.raises(MediaFault) as fault:
        await tools.prober.probe(path)
    return fault.value.kind


@pytest.mark.parametrize("make", SLOW_IMAGES)
async def test_an_image_whose_header_takes_seconds_is_refused(
    tools: Tools, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    path = tmp_path / "image"
    path.write_bytes(make())
    with pytest.raises(MediaFault, match="takes too much processor time to read") as fault:
        await Prober(tools.fork_server, image_cpu_seconds=1).probe(path)
    assert fault.value.kind == "input_limits_exceeded"


async def test_the_time_for_images_is_three_seconds_and_films_have_more(
    tools: Tools, material: Material, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(jpeg_with_looping_exif())
    assert IMAGE_HEADER_CPU_SECONDS == 3
    assert await fault_kind(tools, path) == "input_limits_exceeded"
    without_time = Prober(tools.fork_server, image_cpu_seconds=0)
    assert (await without_time.probe(material.footage.bunny)).kind == "video"


async def test_a_clip_with_sound(tools: Tools, material: Material) -> None:
    info = await tools.prober.probe(material.footage.bunny)
    assert (info.kind, info.format, info.content_type) == ("video", "mp4", "video/mp4")
    assert (info.width, info.height, info.rotation, info.sar) == (1280, 720, 0, 1)
    assert info.filesize == material.footage.bunny.stat().st_size
    assert info.duration == pytest.approx(5.3, abs=0.1) and info.fps == pytest.approx(25, abs=0.1)
    assert info.video is not None and info.video.codec == "h264" and not info.video.hdr
    assert [track.codec for track in info.audio] == ["aac"]


async def test_display_sizes_have_rotation_and_sample_aspect_applied(tools: Tools, material: Material) -> None:
    assert (await tools.prober.probe(material.rotated())).display == (720, 1280)
    assert (await tools.prober.probe(material.anamorphic())).display == (1024, 576)
    assert (await tools.prober.probe(material.odd_size())).display == (319, 179)


@pytest.mark.parametrize("name", ["photo[page=3]", "x]", "it's [0]", "with % and : and\nmore"])
async def test_a_file_name_is_never_parsed_as_options(
    tools: Tools, material: Material, tmp_path: Path, name: str
) -> None:
    for build in (material.alpha, material.flat):
        path = tmp_path / name
        shutil.copy(build(), path)
        assert await tools.prober.probe(path) == await tools.prober.probe(build())


async def test_hdr_is_recognised(tools: Tools, material: Material) -> None:
    video = (await tools.prober.probe(material.hdr())).video
    assert video is not None and video.hdr
    assert (video.matrix, video.primaries, video.transfer, video.bits) == ("bt2020nc", "bt2020", "smpte2084", 10)


async def test_cover_art_is_not_a_video(tools: Tools, material: Material) -> None:
    info = await tools.prober.probe(material.tone_with_cover())
    assert (info.kind, info.format, info.video, info.width) == ("audio", "mp3", None, None)


@pytest.mark.parametrize(
    ("aspect", "display"),
    [
        ((64, 45), (1024, 576)),
        ((2_147_483_647, 1), (720, 576)),
        ((1, 2_147_483_647), (720, 576)),
        ((100, 1), (720, 576)),  # 72,000 pixels wide
        ((16, 1), (11_520, 576)),
        ((17, 1), (720, 576)),
        ((1, 16), (45, 576)),
        ((1, 17), (720, 576)),
    ],
)
async def test_a_sample_aspect_that_no_player_applies_is_ignored(
    tools: Tools, material: Material, aspect: tuple[int, int], display: tuple[int, int]
) -> None:
    info = await tools.prober.probe(material.with_sample_aspect(*aspect))
    assert info.display == display
    assert info.sar == (1.0 if display == (720, 576) else pytest.approx(aspect[0] / aspect[1]))
    file = info.to_file("file_x", "key")
    assert (file.width, file.height) == display


async def test_a_duration_that_the_file_does_not_declare_is_found(tools: Tools, material: Material) -> None:
    live = ("-i", material.flat(), "-c:v", "libvpx", "-f", "webm", "-live", "1")
    source = material.ffmpeg("live.webm", *live)
    assert (await tools.prober.probe(source)).duration == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("build", "format", "size", "pages", "orientation", "alpha"),
    [
        ("exif_oriented", "jpeg", (400, 600), 1, 6, False),
        ("alpha", "png", (451, 300), 1, 1, True),
        ("webp", "webp", (600, 400), 1, 1, False),
        ("animated_gif", "gif", (64, 36), 5, 1, None),
        ("cmyk", "jpeg", (451, 300), 1, 1, False),
    ],
)
async def test_images(
    tools: Tools,
    material: Material,
    build: str,
    format: str,
    size: tuple[int, int],
    pages: int,
    orientation: int,
    alpha: bool | None,
) -> None:
    info = await tools.prober.probe(getattr(material, build)())
    assert (info.kind, info.format, info.display) == ("image", format, size)
    assert (info.video is not None) == (pages > 1)
    assert info.image is not None and (info.image.pages, info.image.orientation) == (pages, orientation)
    assert alpha is None or info.image.alpha == alpha


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        ("html", "input_unreadable"),
        ("playlist", "input_unreadable"),
        ("empty", "input_empty"),
        ("truncated", "input_truncated"),
        ("headless", "input_truncated"),
        ("truncated_png", "input_truncated"),
    ],
)
async def test_unreadable_files_have_a_published_code(tools: Tools, material: Material, build: str, kind: str) -> None:
    assert await fault_kind(tools, getattr(material, build)()) == kind


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n",
        "plain words",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.sdp", "a.svg"])
async def test_texts_that_name_other_files_are_refused(tools: Tools, tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    (tmp_path / "other.mp4").write_bytes(b"\0" * 100)
    assert await fault_kind(tools, path) == "input_unreadable"


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        f"<!-- {'x' * 200} -->\n<svg/>",
        "\n<svg><image href='file:///etc/passwd'/></svg>",
    ],
)
async def test_svg_is_refused_by_its_name(tools: Tools, tmp_path: Path, text: str) -> None:
    path = tmp_path / "logo.png"
    path.write_text(text)
    with pytest.raises(MediaFault) as fault:
        await tools.prober.probe(path)
    assert (fault.value.kind, fault.value.message) == (
        "input_codec_unsupported",
        "The picture is in SVG, a format that is not supported.",
    )


async def test_a_codec_that_is_not_allowed_is_refused_by_its_name(tools: Tools, material: Material) -> None:
    source = material.ffmpeg("magic.avi", "-f", "lavfi", "-i", "testsrc2=d=0.2", "-c:v", "magicyuv")
    with pytest.raises(MediaFault) as fault:
        await tools.prober.probe(source)
    assert (fault.value.kind, fault.value.message) == (
        "input_codec_unsupported",
        "The picture is in MagicYUV video, a codec that is not supported.",
    )


def bomb(path: Path, side: int) -> Path:
    """A small PNG whose header declares `side` x `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    lines = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b""))
    return path


async def test_an_image_that_declares_a_huge_size_is_refused_before_it_is_decoded(tools: Tools, tmp_path: Path) -> None:
    assert await fault_kind(tools, bomb(tmp_path / "bomb.png", 30_000)) == "input_limits_exceeded"


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"duration": 100 * 3600.0}, "input_limits_exceeded"),
        ({"streams": 1000}, "input_limits_exceeded"),
        ({"coded": [10_000, 10_000]}, "input_limits_exceeded"),
        ({"format": "exe"}, "input_unreadable"),
        ({"coded": ["wide", 1]}, "input_unreadable"),
        ({"kind": "program"}, "input_unreadable"),
    ],
)
def test_facts_from_the_sandbox_are_validated(facts: dict[str, object], kind: str) -> None:
    valid = {"kind": "audio", "format": "mp3", "filesize": 10}
    assert to_media_info(dict(valid)).format == "mp3"
    with pytest.raises(MediaFault) as fault:
        to_media_info(valid | facts)
    assert fault.value.kind == kind


VIDEO = {
    "kind": "video",
    "format": "mp4",
    "filesize": 10,
    "coded": [320, 180],
    "video": {"index": 0, "codec": "h264", "coded_width": 320, "coded_height": 180, "pix_fmt": "yuv420p"},
}
TRACK = {"index": 1, "codec": "aac", "channels": 2, "sample_rate": 48_000}


@pytest.mark.parametrize("fps", [0.0, -1.0, 1e9, float("inf"), float("nan")])
def test_an_absurd_frame_rate_is_taken_for_unknown(fps: float) -> None:
    assert to_media_info({**VIDEO, "fps": fps}).fps is None
    assert to_media_info({**VIDEO, "fps": 960.0}).fps == 960.0


@pytest.mark.parametrize("duration", [0.0, -5.0, float("nan")])
def test_a_duration_below_zero_is_taken_for_unknown(duration: float) -> None:
    assert to_media_info({**VIDEO, "duration": duration}).duration is None


@pytest.mark.parametrize("change", [{"channels": 0}, {"channels": 2**31}, {"sample_rate": 0}, {"sample_rate": 2**31}])
def test_an_audio_track_that_cannot_be_played_is_ignored(change: dict[str, int]) -> None:
    info = to_media_info({**VIDEO, "audio": [TRACK | change, TRACK | {"index": 2}]})
    assert [track.index for track in info.audio] == [2]
    with pytest.raises(MediaFault) as fault:
        to_media_info({"kind": "audio", "format": "mp3", "filesize": 10, "audio": [TRACK | change]})
    assert fault.value.kind == "input_unreadable"


@pytest.mark.parametrize(
    "facts",
    [
        {"duration": float("inf")},
        {"rotation": 10**30},
        {"sar": float("nan")},
        {"sar": 1e300},
        {"coded": [2**40, 1]},
        {"filesize": 2**70},
        {"video": VIDEO["video"] | {"frames": 2**70}},  # type: ignore[operator]
        {"video": VIDEO["video"] | {"codec": "a\0"}},  # type: ignore[operator]
        {"audio": [TRACK | {"language": "\0"}]},
    ],
)
def test_every_number_and_text_of_a_verdict_can_be_stored_or_is_a_fault(facts: dict[str, Any]) -> None:
    try:
        info = to_media_info(VIDEO | facts)
    except MediaFault as fault:
        assert fault.kind in ("input_unreadable", "input_limits_exceeded")
    else:
        assert info.to_file("file_x", "key").width == 320


async def test_many_files_are_probed_at_the_same_time(tools: Tools, material: Material) -> None:
    found = await asyncio.gather(*(tools.prober.probe(material.flat()) for _ in range(10)))
    assert {info.display for info in found} == {(320, 180)}


class FailingForkServer(ForkServer):
    """Every call ends with this error."""

    def __init__(self, error: SandboxError) -> None:
        super().__init__("media.sandbox_probe")
        self._error = error

    async def call(self, function: str, args: Mapping[str, Any], limits: Limits) -> Any:
        raise self._error


async def test_only_processor_time_makes_a_probe_that_takes_too_long_a_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(MediaFault) as fault:
        await Prober(FailingForkServer(ChildCpuExceeded("it used 30 s"))).probe(tmp_path / "file")
    assert fault.value.kind == "input_limits_exceeded"
    with pytest.raises(ChildTimedOut):
        await Prober(FailingForkServer(ChildTimedOut("it had not ended"))).probe(tmp_path / "file")
