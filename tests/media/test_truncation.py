"""Files truncated at every position are recognised; complete files are not called truncated."""

import io
from pathlib import Path

import pytest

from media.truncation import is_truncated
from tests.support.footage import Material


def truncated(data: bytes) -> bool:
    return is_truncated(io.BytesIO(data), len(data))


@pytest.fixture(params=["mp4", "mov", "webm", "mkv", "avi", "wav", "png"])
def complete(request: pytest.FixtureRequest, material: Material) -> Path:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x36:r=5:d=1")
    codec = {"png": ("-frames:v", "1"), "webm": ("-c:v", "libvpx"), "wav": ()}.get(request.param, ("-c:v", "mpeg4"))
    source = ("-f", "lavfi", "-i", "sine=duration=1") if request.param == "wav" else picture
    return material.ffmpeg(f"complete.{request.param}", *source, *codec)


def test_a_complete_file_is_not_truncated(complete: Path) -> None:
    assert not truncated(complete.read_bytes())


def test_a_truncated_file_is_recognised_wherever_it_ends(complete: Path) -> None:
    data = complete.read_bytes()
    places = range(max(64, len(data) // 10), len(data) - 2, max(1, len(data) // 40))
    # A cut exactly between two top-level boxes, or inside a very small one, cannot be recognised.
    missed = [place for place in places if not truncated(data[:place])]
    assert not missed, f"of {len(data)} bytes, not seen when cut at {missed}"


@pytest.mark.parametrize("data", [b"", b"x", b"<html>", b"\x1aE\xdf\xa3", b"RIFF", bytes(100), b"GIF89a" + bytes(50)])
def test_data_without_a_known_structure_is_not_called_truncated(data: bytes) -> None:
    assert not truncated(data)
