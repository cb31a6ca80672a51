"""The shell against a running system: uploads, media items, several inputs, Ctrl-C, an upload through the gateway."""

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.file_server import FileServer
from tests.support.processes import killed_process, shell
from tests.support.system import BitmillUp
from tests.support.waiting import until

ITTYBIT = [sys.executable, "-m", "cli"]
ROOT = Path(__file__).parents[2]


async def ittybit(up: BitmillUp, cwd: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """The exit status, the lines that are no progress, and standard error."""
    done = await shell([*ITTYBIT, *words], cwd=cwd, env=environment(up))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [line for line in lines if line.get("object") != "progress"], done.stderr


def environment(up: BitmillUp) -> dict[str, str]:
    return {**up.env, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def folder(uploads: FileServer, tmp_path: Path) -> Path:
    """A folder with a film and two photographs."""
    for name in ("clip.mov", "photo.png", "coffee.png"):
        shutil.copy(uploads.path(name), tmp_path / name)
    return tmp_path


async def test_an_upload_is_the_input_of_jobs_and_of_a_media_item(up: BitmillUp, folder: Path) -> None:
    status, (upload,), stderr = await ittybit(up, folder, "upload", "photo.png")
    assert (status, upload["status"]) == (0, "stored"), stderr
    jobs = [
        await ittybit(up, folder, "image", "-i", upload["address"], "--width", width, "--format", "webp")
        for width in ("64", "32")
    ]
    assert [(status, ends[0]["output"]["width"]) for status, ends, _ in jobs] == [(0, 64), (0, 32)]
    assert {path.name for path in folder.iterdir()} == {"clip.mov", "photo.png", "coffee.png"}
    status, (item,), stderr = await ittybit(up, folder, "media", "create", "-i", upload["address"], "--title", "T")
    assert (status, item["status"], item["kind"], item["title"]) == (0, "active", "image", "T"), stderr
    assert item["filesize"] == (folder / "photo.png").stat().st_size


async def test_an_upload_of_another_project_or_without_its_file_is_no_input(up: BitmillUp, folder: Path) -> None:
    waiting = await up.api.post("/uploads", {})
    status, _, stderr = await ittybit(up, folder, "image", "-i", waiting["address"])
    assert status == 1
    assert "input is the address of an upload of this project whose file has not arrived" in stderr
    key = await shell([*ITTYBIT, "keys", "create", "--project", "other-shell", "--json"], cwd=ROOT, env=environment(up))
    assert key.returncode == 0, key.stderr
    other = {**environment(up), "ITTYBIT_API_KEY": json.loads(key.stdout)["key"]}
    done = await shell([*ITTYBIT, "upload", "photo.png"], cwd=folder, env=other)
    address = json.loads(done.stdout.splitlines()[-1])["address"]
    status, _, stderr = await ittybit(up, folder, "image", "-i", address)
    assert status == 1
    assert "[invalid_input]" in stderr


async def test_several_files_are_uploaded_encoded_and_downloaded(up: BitmillUp, folder: Path) -> None:
    (folder / "made").mkdir()
    (folder / "broken.png").write_bytes(b"no image")
    words = ("image", "-i", "*.png", "-o", "made/", "--width", "32", "--format", "webp")
    status, ends, stderr = await ittybit(up, folder, *words)
    assert status == 1, stderr
    assert ends[-1] == {"object": "summary", "inputs": 3, "done": 2, "failed": 1}
    assert {path.name for path in (folder / "made").iterdir()} == {"photo-image.webp", "coffee-image.webp"}


@pytest.mark.parametrize("mode", ["--cloud", "--local"])
async def test_ctrl_c_cancels_and_leaves_nothing(up: BitmillUp, uploads: FileServer, folder: Path, mode: str) -> None:
    shutil.copy(uploads.path("film.mov"), folder / "film.mov")
    command = [*ITTYBIT, "video", "-i", "film.mov", "-o", "out.mp4", "--quality", "very_high", mode, "--json"]
    command += ["--width", "3840"]
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    async with killed_process(*command, cwd=folder, env=environment(up), **pipes) as process, asyncio.timeout(120):
        assert process.stdout is not None
        assert process.stderr is not None
        started = b'"step":"video"' if mode == "--local" else b'"step":"processing"'
        async for line in process.stdout:
            if started in line:
                break
        process.send_signal(signal.SIGINT)
        stderr = (await process.stderr.read()).decode()
        assert await process.wait() == 130, stderr
    assert {path.name for path in folder.iterdir()} == {"clip.mov", "film.mov", "photo.png", "coffee.png"}
    if mode == "--cloud":
        id = stderr.split("cancelling ")[1].split()[0]
        assert (await up.api.finished(id))["status"] == "cancelled"
    assert "Traceback" not in stderr


async def test_debug_shows_the_command_of_ffmpeg(up: BitmillUp, folder: Path) -> None:
    done = await shell(
        [*ITTYBIT, "video", "-i", "clip.mov", "--end", "0.2", "--local", "--debug"], cwd=folder, env=environment(up)
    )
    assert done.returncode == 0, done.stderr
    assert "ffmpeg" in done.stderr
    assert "-progress" in done.stderr


async def test_tasks_on_this_machine_take_the_output_of_one_another(up: BitmillUp, folder: Path) -> None:
    script = """
set -euo pipefail
output() { tail -1 | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["output"]))'; }
file=$(ittybit task probe -i "{\\"url\\": \\"file://$PWD/clip.mov\\"}" --local --json | output)
made=$(ittybit task video -i "$file" --width 64 --end 0.2 --local --json | output)
ittybit task export -i "$made" -o exported.mp4 --local --json | tail -1
"""
    bin = folder / "bin"
    bin.mkdir()
    (bin / "ittybit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    (bin / "ittybit").chmod(0o755)
    env = {**environment(up), "PATH": f"{bin}{os.pathsep}{environment(up)['PATH']}"}
    done = await shell(["bash", "-c", script], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    task = json.loads(done.stdout)
    assert (task["object"], task["kind"], task["status"], task["output"]["width"]) == (
        "task",
        "export",
        "succeeded",
        64,
    )
    assert (folder / "exported.mp4").stat().st_size == task["output"]["filesize"]


async def test_an_unfinished_job_keeps_its_upload(up: BitmillUp, folder: Path) -> None:
    status, (upload,), _ = await ittybit(up, folder, "upload", "clip.mov")
    assert status == 0
    status, (job,), _ = await ittybit(up, folder, "video", "-i", upload["address"], "--width", "64", "--async")
    assert (status, job["status"]) == (0, "queued")
    await until(lambda: up.api.finished(job["id"]), within=120)
