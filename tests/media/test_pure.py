"""Pure functions: geometry, colours, formats, classification of failures, progress."""

from typing import Literal

import pytest

from chassis.adapters.failure_policy import classify
from chassis.adapters.sandbox.child import Finished
from chassis.adapters.sandbox.limits import ChildExceeded, says_disk_full
from media import colour, geometry
from media.faults import MediaFault, from_child, from_excess
from media.ffmpeg import FfmpegFailed, ProgressParser, failure_of
from media.formats import FORMATS, container_format
from media.info import AudioStream, MediaInfo, VideoStream


@pytest.mark.parametrize(
    ("coded", "sar", "rotation", "shown"),
    [
        ((1280, 720), 1, 0, (1280, 720)),
        ((1280, 720), 1, 90, (720, 1280)),
        ((1280, 720), 1, -90, (720, 1280)),
        ((1280, 720), 1, 180, (1280, 720)),
        ((720, 576), 64 / 45, 0, (1024, 576)),
        ((720, 576), 64 / 45, 270, (576, 1024)),
    ],
)
def test_display_sizes(coded: tuple[int, int], sar: float, rotation: int, shown: tuple[int, int]) -> None:
    assert geometry.display_size(coded, sar, rotation) == shown


@pytest.mark.parametrize(("orientation", "shown"), [(1, (3, 2)), (4, (3, 2)), (5, (2, 3)), (8, (2, 3)), (99, (3, 2))])
def test_oriented_sizes(orientation: int, shown: tuple[int, int]) -> None:
    assert geometry.oriented((3, 2), orientation) == shown


@pytest.mark.parametrize(
    ("width", "height", "even", "size"),
    [
        (None, None, False, (451, 299)),
        (None, None, True, (450, 298)),
        (100, None, False, (100, 66)),
        (None, 100, False, (151, 100)),
        (7, 9, True, (7, 9)),
    ],
)
def test_fitted_sizes(width: int | None, height: int | None, even: bool, size: tuple[int, int]) -> None:
    assert geometry.fit((451, 299), width, height, even=even) == size


def stream(**changes: object) -> VideoStream:
    facts = {"index": 0, "codec": "h264", "coded_width": 640, "coded_height": 480, "pix_fmt": "yuv420p"}
    return VideoStream.model_validate(facts | changes)


def test_untagged_colours_are_what_players_assume() -> None:
    assert colour.infer(stream()).matrix == "smpte170m"
    assert colour.infer(stream(coded_height=576)).matrix == "bt470bg"
    assert colour.infer(stream(coded_width=1280, coded_height=544)) == colour.BT709
    assert colour.infer(stream(pix_fmt="yuvj420p")).range == "pc"
    assert colour.infer(stream(rgb=True)).matrix == "gbr"


@pytest.mark.parametrize(
    ("demuxer", "brand", "has_video", "name"),
    [
        ("mov,mp4,m4a,3gp,3g2,mj2", "isom", True, "mp4"),
        ("mov,mp4,m4a,3gp,3g2,mj2", "qt  ", True, "mov"),
        ("mov,mp4,m4a,3gp,3g2,mj2", "M4A ", False, "m4a"),
        ("matroska,webm", "webm", True, "webm"),
        ("matroska,webm", "", True, "mkv"),
        ("ogg", "", False, "ogg"),
        ("mp3", "", False, "mp3"),
    ],
)
def test_container_formats(demuxer: str, brand: str, has_video: bool, name: str) -> None:
    assert container_format(demuxer, brand, has_video=has_video) == name
    assert name in FORMATS


def test_a_stored_file_has_the_codecs_of_its_main_streams() -> None:
    tracks = tuple(
        AudioStream(index=n, codec=c, channels=2, sample_rate=48_000, default=n == 2)
        for n, c in [(1, "aac"), (2, "opus")]
    )
    info = MediaInfo(
        kind="video",
        format="mkv",
        content_type="video/x-matroska",
        filesize=9,
        width=2,
        height=2,
        video=stream(),
        audio=tracks,
    )
    file = info.to_file("file_x", "key")
    assert file.codecs is not None and (file.codecs.video, file.codecs.audio) == ("h264", "opus")


@pytest.mark.parametrize(
    ("returncode", "output", "kind"),
    [
        (183, "moov atom not found\nError opening input: Invalid data found when processing input", "input_truncated"),
        (183, "Error opening input: Invalid data found when processing input", "input_damaged"),
        (69, "Error while decoding stream #0:0", "input_damaged"),
        (-25, "", "output_too_large"),
        (-9, "Invalid data found when processing input", None),
        (8, "Unrecognized option 'nope'", None),
        (1, "something new", None),
    ],
)
def test_a_failed_run_is_classified_by_its_status_and_output(returncode: int, output: str, kind: str | None) -> None:
    fault = failure_of(Finished(returncode, b"", output, 1.0))
    if kind is None:
        assert isinstance(fault, FfmpegFailed) and output in str(fault)
    else:
        assert isinstance(fault, MediaFault) and (fault.kind, fault.detail) == (kind, output)


@pytest.mark.parametrize(
    "output",
    [
        "av_interleaved_write_frame(): No space left on device\nInvalid data found",
        "[out#0/mp4 @ 0x55d] Error writing trailer: No space left on device",
        "Error closing file: Disk quota exceeded.",
        "[vf#0:0] Task finished with error code: -28 (No space left on device)\n[out#0/mp4] Nothing was written",
    ],
)
def test_a_full_disk_is_an_outage(output: str) -> None:
    error = failure_of(Finished(228, b"", output, 1.0))
    assert classify(error) == "outage" and output in str(error)


def test_a_full_disk_is_recognised_in_the_error_of_libvips() -> None:
    error = (
        "Error: unable to call jpegsave\n  /x/y.jpg: write error\nsystem error: No space left on device\n"
        "VipsJpeg: unable to write to target\nwbuffer_write: write failed\nsystem error: Unknown error -1\n"
    )
    assert says_disk_full(error)


def test_a_file_that_speaks_of_a_full_disk_is_no_outage() -> None:
    error = failure_of(Finished(1, b"", "No space left on device: the title of a film\nsomething new", 1.0))
    assert isinstance(error, FfmpegFailed)


@pytest.mark.parametrize(
    ("resource", "kind"),
    [("memory", "input_limits_exceeded"), ("threads", "input_limits_exceeded"), ("files", "output_too_large")],
)
def test_an_excess_is_the_fault_of_the_input(resource: Literal["memory", "threads", "files"], kind: str) -> None:
    assert from_excess(ChildExceeded(resource, "it used too much")).kind == kind


def test_a_child_that_was_killed_for_a_forbidden_system_call_is_not_retried() -> None:
    fault = failure_of(Finished(-31, b"", "", 1.0))
    assert isinstance(fault, MediaFault) and fault.kind == "input_damaged"


def test_progress_grows_and_only_growing_counters_count() -> None:
    reported: list[float] = []
    progress = ProgressParser(2.0, reported.append)
    lines = ["frame=1", "out_time_us=N/A", "frame=1", "out_time_us=500000", "out_time_us=400000", "out_time_us=9000000"]
    assert [progress.parse_line(line) for line in lines] == [True, False, False, True, False, True]
    assert reported == [0.25, 1.0]


def test_a_child_cannot_report_an_unpublished_fault() -> None:
    assert isinstance(from_child("input_empty", "no"), MediaFault)
    assert isinstance(from_child("all_is_well", "no"), RuntimeError)
