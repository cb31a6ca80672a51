"""Files cut at every place: what ends too early is seen, what is whole is not."""

import io
from pathlib import Path

import pytest

from media.truncation import is_truncated
from tests.support.footage import Material


def cut(data: bytes) -> bool:
    return is_truncated(io.BytesIO(data), len(data))


@pytest.fixture(params=["mp4", "mov", "webm", "mkv", "avi", "wav", "png"])
def whole(request: pytest.FixtureRequest, material: Material) -> Path:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x36:r=5:d=1")
    codec = {"png": ("-frames:v", "1"), "webm": ("-c:v", "libvpx"), "wav": ()}.get(request.param, ("-c:v", "mpeg4"))
    source = ("-f", "lavfi", "-i", "sine=duration=1") if request.param == "wav" else picture
    return material.ffmpeg(f"whole.{request.param}", *source, *codec)


def test_a_whole_file_is_whole(whole: Path) -> None:
    assert not cut(whole.read_bytes())


def test_a_cut_file_is_cut_wherever_it_was(whole: Path) -> None:
    data = whole.read_bytes()
    places = range(max(64, len(data) // 10), len(data) - 2, max(1, len(data) // 40))
    # Between two boxes of the outermost level, or within its smallest ones, nothing can be seen.
    missed = [place for place in places if not cut(data[:place])]
    assert not missed, f"of {len(data)} bytes, not seen when cut at {missed}"


@pytest.mark.parametrize("data", [b"", b"x", b"<html>", b"\x1aE\xdf\xa3", b"RIFF", bytes(100), b"GIF89a" + bytes(50)])
def test_what_has_no_known_structure_is_not_called_cut(data: bytes) -> None:
    assert not cut(data)
