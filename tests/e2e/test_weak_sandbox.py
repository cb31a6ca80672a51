"""A machine without Landlock: nothing that reads customers' files starts, unless SANDBOX=weak is set."""

import sys
from pathlib import Path

import pytest

from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell

SAFETY_SECONDS = 300
WITHOUT_LANDLOCK = Path(__file__).parents[1] / "support" / "without_landlock.py"
CAN_DO = "input that takes a decoder over could read a file, list a folder, write a file, create a file"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is of Linux")


async def bitmill(*arguments: str, sandbox: str) -> tuple[int | None, str]:
    """The exit status and everything that the command printed, on a kernel without Landlock."""
    command = [sys.executable, str(WITHOUT_LANDLOCK), sys.executable, "-m", "cli", *arguments]
    ended = await shell(command, cwd=Path.cwd(), env=clean_environment() | {"SANDBOX": sandbox}, seconds=SAFETY_SECONDS)
    return ended.returncode, ended.stdout + ended.stderr


async def test_a_local_job_is_refused_before_it_reads_its_input(tmp_path: Path, uploads: FileServer) -> None:
    target = tmp_path / "made.webp"
    status, output = await bitmill("image", "-i", str(uploads.path("clip.mov")), "-o", str(target), sandbox="required")
    assert status == 2, output
    assert CAN_DO in output and "set SANDBOX=weak" in output
    assert "Traceback" not in output and not target.exists()


async def test_a_local_job_works_with_a_warning_if_weak_is_set(tmp_path: Path, uploads: FileServer) -> None:
    target = tmp_path / "made.webp"
    status, output = await bitmill("image", "-i", str(uploads.path("clip.mov")), "-o", str(target), sandbox="weak")
    assert status == 0, output
    assert f"sandbox: WEAK: {CAN_DO}" in output and target.exists()


async def test_up_is_refused_before_it_starts_its_servers(tmp_path: Path) -> None:
    data = tmp_path / "data"
    status, output = await bitmill("up", "--data", str(data), "--port", "0", sandbox="required")
    assert status == 2, output
    assert CAN_DO in output and "Traceback" not in output
    assert not (data / "postgres").exists() and not (data / "kafka").exists()


async def test_a_wrong_mode_is_named(tmp_path: Path) -> None:
    status, output = await bitmill("up", "--data", str(tmp_path), "--port", "0", sandbox="off")
    assert status == 2
    assert "SANDBOX must be one of 'required', 'weak' (it is 'off')" in output
