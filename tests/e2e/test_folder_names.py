"""`bitmill up` in a folder whose name has what shells, URLs, patterns and configuration files give a meaning."""

import shutil
from pathlib import Path

from tests.support.file_server import FileServer
from tests.support.processes import shell
from tests.support.system import bitmill_up
from tests.support.waiting import until

NAME = """a "folder" of it's [x] own, 100%d ä#?&"""


async def test_jobs_and_media_items_succeed_in_a_folder_with_any_name(tmp_path: Path, uploads: FileServer) -> None:
    folder = tmp_path / NAME
    async with bitmill_up(folder / "data") as up:
        video = await up.api.post(
            "/jobs", {"input": uploads.url("clip.mov"), "kind": "video", "options": {"width": 64}}
        )
        image = await up.api.post(
            "/jobs", {"input": uploads.url("photo.png"), "kind": "image", "options": {"width": 64}}
        )
        item = (await up.api.post("/media", {"url": uploads.url("clip.mov")}))["data"]

        async def has_poster() -> object:
            return (await up.api.get(f"/media/{item['id']}"))["data"].get("poster")

        assert await until(has_poster, within=300)
        for job in (await up.api.finished(video["id"]), await up.api.finished(image["id"])):
            assert job["status"] == "succeeded", job["error"]
            async with up.api.session.get(job["output"]["url"]) as response:
                assert len(await response.read()) == job["output"]["filesize"]
        # From a shell in that folder, with a file of that name.
        shutil.copy(uploads.path("photo.png"), folder / f"{NAME}.png")
        command = ["ittybit", "image", "-i", f"{NAME}.png", "-o", "out [1].webp", "--local"]
        done = await shell(command, cwd=folder, env=up.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (folder / "out [1].webp").stat().st_size > 0
