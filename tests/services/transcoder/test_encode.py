"""Encodes of real and unusual files; every output is probed again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import av
import psutil
import pytest

from chassis.adapters.sandbox.limits import ChildStalled, ChildTimedOut, Limits, SandboxError
from media.faults import MediaFault
from media.info import MediaInfo
from media.tools import ENCODE_LIMITS, Tools
from schemas.options import VideoOptions
from services.transcoder.encode import encode
from tests.services.worker_harness import ffmpeg_processes
from tests.support.footage import FLAT_COLOUR, Material
from tests.support.iso_media import top_level_boxes
from tests.support.waiting import until


async def encoded(tools: Tools, source: Path, folder: Path, **options: Any) -> tuple[MediaInfo, Path]:
    """The source encoded with the options: its facts, probed anew, and the file."""
    options_model = VideoOptions.model_validate(options)
    dest = folder / f"out.{options_model.format}"
    made = await encode(source, await tools.prober.probe(source), options_model, dest, tools)
    assert await tools.prober.probe(dest) == made.info
    return made.info, dest


async def fault_of(tools: Tools, source: Path, folder: Path, **options: Any) -> MediaFault:
    with pytest.raises(MediaFault) as fault:
        await encoded(tools, source, folder, **options)
    assert not list(folder.iterdir()), "nothing is left of a failed encode"
    return fault.value


def colour_of(path: Path) -> tuple[float, ...]:
    """The mean colour of a clip's first frame, as a player shows it."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0)).to_rgb()
    plane = frame.planes[0]
    lines = (bytes(plane)[start : start + 3 * frame.width] for start in range(0, plane.buffer_size, plane.line_size))
    pixels = b"".join(lines)
    return tuple(float(mean(pixels[band::3])) for band in range(3))


def grey_at(frame: av.VideoFrame, x: int, y: int) -> int:
    """The brightness of one pixel, 0 to 255."""
    plane = frame.reformat(format="gray").planes[0]
    return bytes(plane)[y * plane.line_size + x]


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or 1
        return sorted(
            round(float(packet.pts * base), 3) for packet in container.demux(stream) if packet.pts is not None
        )


async def test_a_clip_with_sound(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, path = await encoded(tools, material.footage.bunny, tmp_path, width=320, end=1)
    assert (info.format, info.width, info.height) == ("mp4", 320, 180)
    assert info.video is not None and (info.video.codec, info.video.pix_fmt) == ("h264", "yuv420p")
    assert [track.codec for track in info.audio] == ["aac"]
    assert info.duration == pytest.approx(1, abs=0.1)
    assert top_level_boxes(path).index("moov") < top_level_boxes(path).index("mdat"), "players can start before the end"


async def test_progress_only_grows_and_reaches_the_end(tools: Tools, material: Material, tmp_path: Path) -> None:
    seen: list[float] = []
    source = material.footage.bikes
    await encode(
        source, await tools.prober.probe(source), VideoOptions(width=320), tmp_path / "o.mp4", tools, seen.append
    )
    assert seen == sorted(set(seen)) and seen[-1] == pytest.approx(1, abs=0.1)


async def test_a_rotated_clip_is_turned_upright(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, _ = await encoded(tools, material.rotated(), tmp_path, width=90)
    assert (info.width, info.height, info.rotation) == (90, 160, 0)


async def test_anamorphic_pixels_become_square(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, _ = await encoded(tools, material.anamorphic(), tmp_path, width=480)
    assert (info.width, info.height, info.sar) == (480, 270, 1)


async def test_a_clip_without_audio_stays_without_audio(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, _ = await encoded(tools, material.without_audio(), tmp_path, width=160)
    assert info.audio == ()


@pytest.mark.parametrize(("end", "seconds"), [(None, 5), (3, 3)])
async def test_a_clip_that_is_longer_than_its_header_says_is_encoded_to_its_end(
    tools: Tools, material: Material, tmp_path: Path, end: int | None, seconds: int
) -> None:
    assert (await tools.prober.probe(material.declared_shorter())).duration == 5
    info, _ = await encoded(tools, material.declared_shorter(), tmp_path, end=end)
    assert info.duration == pytest.approx(seconds, abs=0.11)


async def test_an_odd_size_is_rounded_down(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, _ = await encoded(tools, material.odd_size(), tmp_path)
    assert (info.width, info.height) == (318, 178)


async def test_the_requested_size_is_exact_also_when_larger(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, _ = await encoded(tools, material.flat(), tmp_path, width=642, height=480)
    assert (info.width, info.height) == (642, 480)


@pytest.mark.parametrize(("format", "codec", "sound"), [("webm", "vp9", "opus"), ("mov", "h264", "aac")])
async def test_other_containers(
    tools: Tools, material: Material, tmp_path: Path, format: str, codec: str, sound: str
) -> None:
    info, _ = await encoded(
        tools, material.footage.bunny, tmp_path, format=format, width=160, end=1, quality="very_low"
    )
    assert info.format == format
    assert info.video is not None and info.video.codec == codec
    assert [track.codec for track in info.audio] == [sound]


async def test_start_and_end_are_exact_to_the_frame(tools: Tools, material: Material, tmp_path: Path) -> None:
    # Each frame is 4 steps of luma brighter than the one before; the only key frame is the first.
    info, path = await encoded(tools, material.grey_steps(), tmp_path, start=2, end=3, quality="very_high")
    assert info.duration == pytest.approx(1, abs=0.05)
    with av.open(str(path)) as container:
        frames = [grey_at(frame, 80, 45) for frame in container.decode(video=0)]
    assert len(frames) == 10
    with av.open(str(material.grey_steps())) as container:
        expected = [grey_at(frame, 80, 45) for frame in container.decode(video=0)][20:30]
    assert [int(value) for value in frames] == pytest.approx([int(value) for value in expected], abs=2)


async def test_a_start_past_the_end_is_a_fault(tools: Tools, material: Material, tmp_path: Path) -> None:
    fault = await fault_of(tools, material.flat(), tmp_path, start=7)
    assert (fault.kind, fault.message) == ("start_out_of_range", "start is at 7 s, but the input is only 1.00 s long.")


@pytest.mark.parametrize("options", [{}, {"width": 640}, {"format": "webm", "quality": "very_high"}])
async def test_colours_do_not_change(tools: Tools, material: Material, tmp_path: Path, options: dict[str, Any]) -> None:
    _, path = await encoded(tools, material.flat(), tmp_path, **options)
    assert colour_of(path) == pytest.approx(FLAT_COLOUR, abs=4)


async def test_untagged_standard_definition_keeps_its_colours_when_scaled_up(
    tools: Tools, material: Material, tmp_path: Path
) -> None:
    convert = "format=gbrp,scale=out_color_matrix=bt601:out_range=tv,format=yuv420p,setparams=colorspace=unknown"
    source = material.ffmpeg(
        "untagged.mp4", "-f", "lavfi", "-i", f"color=c=0xC03020:s=320x240:r=10:d=1,{convert}", "-crf", "1"
    )
    info, path = await encoded(tools, source, tmp_path, height=720)
    assert info.video is not None and info.video.matrix == "smpte170m"
    assert colour_of(path) == pytest.approx(FLAT_COLOUR, abs=4)


async def test_full_range_and_rgb_become_limited_range(tools: Tools, material: Material, tmp_path: Path) -> None:
    lavfi = ("-f", "lavfi", "-i", "color=c=0xC03020:s=320x180:r=10:d=1")
    full = "scale=out_color_matrix=bt709:out_range=pc,format=yuvj420p"
    for name, *argv in (
        ("full.mp4", "-vf", full, "-c:v", "libx264", "-crf", "1", "-colorspace", "bt709"),
        ("rgb.mkv", "-vf", "format=gbrp", "-c:v", "ffv1"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        info, path = await encoded(tools, material.ffmpeg(name, *lavfi, *argv), folder)
        assert info.video is not None and (info.video.range, info.video.pix_fmt) == ("tv", "yuv420p")
        assert colour_of(path) == pytest.approx(FLAT_COLOUR, abs=4), name


async def test_hdr_is_converted_to_sdr(tools: Tools, material: Material, tmp_path: Path) -> None:
    info, path = await encoded(tools, material.hdr(), tmp_path)
    assert info.video is not None and not info.video.hdr
    assert (info.video.matrix, info.video.transfer, info.video.bits) == ("bt709", "bt709", 8)
    assert 5 < mean(colour_of(path)) < 250


async def test_a_variable_frame_rate_keeps_its_timestamps(tools: Tools, material: Material, tmp_path: Path) -> None:
    keep = ("-vf", "select='lt(n,15)+not(mod(n,7))'", "-fps_mode", "vfr", "-c:v", "libx264")
    source = material.ffmpeg("vfr.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=30:d=3", *keep)
    _, path = await encoded(tools, source, tmp_path)
    assert times_of(path) == times_of(source)


async def test_of_many_tracks_the_default_one_is_kept(tools: Tools, material: Material, tmp_path: Path) -> None:
    tones = [word for pitch in (300, 600) for word in ("-f", "lavfi", "-i", f"sine=frequency={pitch}:duration=1")]
    maps = ("-map", "0", "-map", "1", "-map", "2", "-disposition:a:0", "0", "-disposition:a:1", "default")
    layouts = ("-ac:a:0", "1", "-ac:a:1", "6", "-c:v", "copy", "-c:a", "aac")
    source = material.ffmpeg("tracks.mkv", "-i", material.flat(), *tones, *maps, *layouts)
    info, _ = await encoded(tools, source, tmp_path)
    assert [track.channels for track in info.audio] == [2]


async def test_private_metadata_is_removed(tools: Tools, material: Material, tmp_path: Path) -> None:
    where = ("-metadata", "location=+59.33+018.06/", "-metadata", "title=Secret", "-movflags", "use_metadata_tags")
    source = material.ffmpeg("gps.mp4", "-i", material.flat(), "-c", "copy", *where)
    assert b"+59.33" in source.read_bytes() and b"Secret" in source.read_bytes()
    _, path = await encoded(tools, source, tmp_path)
    assert b"+59.33" not in path.read_bytes() and b"Secret" not in path.read_bytes()


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        ("truncated", "input_truncated"),
        ("headless", "input_truncated"),
        ("html", "input_unreadable"),
        ("playlist", "input_unreadable"),
        ("empty", "input_empty"),
        ("tone", "input_kind_mismatch"),
        ("tone_with_cover", "input_kind_mismatch"),
        ("alpha", "input_kind_mismatch"),
    ],
)
async def test_bad_input_has_a_published_code(
    tools: Tools, material: Material, tmp_path: Path, build: str, kind: str
) -> None:
    assert (await fault_of(tools, getattr(material, build)(), tmp_path)).kind == kind


async def test_input_that_takes_too_much_processor_time_is_beyond_the_limits(
    tools: Tools, material: Material, tmp_path: Path
) -> None:
    limited = replace(tools, limits=replace(tools.limits, cpu_seconds=0))
    fault = await fault_of(limited, material.footage.bikes, tmp_path, width=320)
    assert (fault.kind, fault.message) == (
        "input_limits_exceeded",
        "The input takes more than 0 seconds of processor time to encode.",
    )


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (replace(ENCODE_LIMITS, wall=timedelta(seconds=3)), ChildTimedOut),
        (replace(ENCODE_LIMITS, stall=timedelta(seconds=3)), ChildStalled),
    ],
)
async def test_an_encode_that_a_busy_machine_did_not_end_in_time_is_no_fault_of_the_input(
    tools: Tools, material: Material, tmp_path: Path, limits: Limits, error: type[SandboxError]
) -> None:
    """The machine is busy to the extreme: ffmpeg is stopped as soon as it runs."""
    limited = replace(tools, limits=limits)
    encoding = asyncio.create_task(encoded(limited, material.footage.bikes, tmp_path, width=640))
    process = await until(ffmpeg_process, within=60)
    process.suspend()
    with pytest.raises(error):
        await encoding
    assert not list(tmp_path.iterdir())


def ffmpeg_process() -> psutil.Process | None:
    """The running ffmpeg."""
    return next(iter(ffmpeg_processes()), None)


async def test_input_that_is_corrupt_in_the_middle_ends(tools: Tools, material: Material, tmp_path: Path) -> None:
    data = bytearray(material.faststart().read_bytes())
    middle = len(data) // 2
    data[middle : middle + 50_000] = bytes(50_000)
    source = tmp_path / "broken.mp4"
    source.write_bytes(data)
    folder = tmp_path / "out"
    folder.mkdir()
    try:
        info, _ = await encoded(tools, source, folder, width=160)
    except MediaFault as fault:
        assert fault.kind in ("input_unreadable", "input_truncated")
    else:
        assert info.width == 160


async def test_cancelling_kills_ffmpeg_and_leaves_nothing(tools: Tools, material: Material, tmp_path: Path) -> None:
    source = material.long()
    info = await tools.prober.probe(source)
    begun = asyncio.Event()
    options = VideoOptions(width=1920, quality="very_high")
    task = asyncio.create_task(
        encode(source, info, options, tmp_path / "o.mp4", tools, lambda _: begun.set()), name="encode"
    )
    await asyncio.wait_for(begun.wait(), 60)
    running = [process for process in psutil.Process().children(recursive=True) if "ffmpeg" in process.name()]
    assert running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(process.is_running() for process in running)
    assert not list(tmp_path.iterdir())
