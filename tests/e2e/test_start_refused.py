"""Commands that make files, on a machine whose ffmpeg or libvips cannot be used: a sentence and no traceback."""

import sys
from pathlib import Path

import pytest

from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell

SAFETY_SECONDS = 300


async def bitmill(*arguments: str, **environment: str) -> tuple[int | None, str]:
    """The exit status and everything that the command printed."""
    command = [sys.executable, "-m", "cli", *arguments]
    ended = await shell(command, cwd=Path.cwd(), env=clean_environment() | environment, seconds=SAFETY_SECONDS)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", ["video", "image"])
async def test_a_local_job_without_ffmpeg_is_refused(kind: str, tmp_path: Path, uploads: FileServer) -> None:
    path = Path("/bin/true").resolve()
    source = uploads.path("clip.mov")
    target = tmp_path / ("made.mp4" if kind == "video" else "made.webp")
    status, output = await bitmill(kind, "-i", str(source), "-o", str(target), FFMPEG_BINARY=str(path))
    assert status == 2
    assert f"{path} does not answer as ffmpeg does. Set FFMPEG_BINARY" in output
    assert "Traceback" not in output and not target.exists()


async def test_up_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    missing, data = tmp_path / "ffmpeg", tmp_path / "data"
    options = ("--data", str(data), "--port", "0", "--log-format", "json")
    status, output = await bitmill("up", *options, FFMPEG_BINARY=str(missing))
    assert status == 2, output
    assert f"bitmill: {missing} cannot be run as ffmpeg" in output
    assert "Traceback" not in output
    assert not (data / "postgres").exists() and not (data / "kafka").exists()
