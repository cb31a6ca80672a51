"""The demo ends at its first failure, with the reason and the lines of the log that explain it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console
from rich.progress import Progress

from cli.errors import CliError
from devtools.demo import scenario
from devtools.demo.__main__ import log_of, print_failure, run_demo
from devtools.demo.bitmill_process import Api
from devtools.demo.failures import DemoFailed, explanation, until_failure
from devtools.demo.platform_server import PlatformServer, platform_server
from devtools.footage import Footage
from tests.support.footage import Material

SAFETY_SECONDS = 60
UPLOADS = [scenario.Upload("one.mov", "usr_ada", "Example/iOS"), scenario.Upload("two.mov", "usr_bob", "Example/Web")]
FAULT = {"kind": "internal_error", "message": "Something on our side failed each time it was tried."}


class FakeApi:
    """Answers as the API does: images fail at once, videos are processed for ever, media items get no poster."""

    def __init__(self, failing: str = "image") -> None:
        self._failing = failing
        self._jobs: dict[str, dict[str, Any]] = {}

    async def post_job(self, request: web.Request) -> web.Response:
        body = await request.json()
        id = f"job_{len(self._jobs)}"
        failed = body["kind"] == self._failing
        status, error = ("failed", FAULT) if failed else ("processing", None)
        self._jobs[id] = {"id": id, "status": status, "error": error, "progress": None, "media_id": None}
        return web.json_response(self._jobs[id])

    async def get_job(self, request: web.Request) -> web.Response:
        return web.json_response(self._jobs[request.match_info["id"]])

    async def get_jobs(self, request: web.Request) -> web.Response:
        assert request.query["status"] == "failed"
        poster = {"id": "job_poster", "status": "failed", "error": FAULT, "media_id": "med_1"}
        return web.json_response([poster])

    async def get_item(self, request: web.Request) -> web.Response:
        item = {"id": request.match_info["id"], "status": "ready", "error": None}
        return web.json_response({"data": item})

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/jobs", self.post_job)
        application.router.add_get("/jobs", self.get_jobs)
        application.router.add_get("/jobs/{id}", self.get_job)
        application.router.add_get("/media/{id}", self.get_item)
        return application


@asynccontextmanager
async def demo_parts(fake: FakeApi, folder: Path) -> AsyncIterator[tuple[Api, PlatformServer]]:
    async with (
        TestServer(fake.application()) as server,
        platform_server(folder) as platform,
        aiohttp.ClientSession() as session,
    ):
        yield Api(str(server.make_url("/")).rstrip("/"), "secret", session), platform


def bars() -> Progress:
    return Progress(console=Console(file=io.StringIO()))


async def test_the_first_failing_job_ends_the_others_with_its_reason(tmp_path: Path) -> None:
    async with demo_parts(FakeApi(), tmp_path) as (api, platform), asyncio.timeout(SAFETY_SECONDS):
        with pytest.raises(DemoFailed) as failed:
            await scenario.run_jobs(api, platform, UPLOADS, bars())
    sentence = f"the job 'thumbnail' of one.mov failed: {FAULT['message']} [internal_error]"
    assert str(failed.value) in (sentence, sentence.replace("one", "two"))
    (id,) = failed.value.ids
    assert id.startswith("job_")


async def test_jobs_that_do_not_move_end_the_demo_with_their_ids(tmp_path: Path) -> None:
    async with demo_parts(FakeApi("none"), tmp_path) as (api, platform), asyncio.timeout(SAFETY_SECONDS):
        with pytest.raises(DemoFailed, match=r"no job has made any progress for 0\.5 s") as failed:
            await scenario.run_jobs(api, platform, UPLOADS, bars(), silent_s=0.5)
    assert len(failed.value.ids) == len(UPLOADS) * len(scenario.JOBS)


async def test_a_poster_that_cannot_be_made_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
    async with demo_parts(FakeApi(), tmp_path) as (api, _), asyncio.timeout(SAFETY_SECONDS):
        with pytest.raises(DemoFailed, match=r"a job for the media item Cat failed: .* \[internal_error\]") as failed:
            await scenario.wait_for_posters(api, [{"id": "med_1", "title": "Cat"}, {"id": "med_2", "title": "Dog"}])
    assert failed.value.ids == ("job_poster", "med_1")


async def test_a_webhook_with_a_wrong_signature_ends_the_demo(tmp_path: Path) -> None:
    async with demo_parts(FakeApi("none"), tmp_path) as (api, platform), asyncio.timeout(SAFETY_SECONDS):
        running = asyncio.create_task(scenario.run_jobs(api, platform, UPLOADS, bars()))
        async with api.session.post(platform.webhook_url, data=b"{}") as response:
            assert response.status == 401
        with pytest.raises(DemoFailed, match="a webhook arrived with a wrong signature"):
            await running


async def test_a_bitmill_that_ends_is_a_sentence(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        api = Api("http://127.0.0.1:1", "secret", session)
        with pytest.raises(CliError, match="GET /jobs/job_1 got no response: "):
            await api.get("/jobs/job_1")


def event(level: str, code: str, **fields: Any) -> str:
    return json.dumps({"time": "2026-01-01T00:00:00Z", "level": level, "event": code, **fields}) + "\n"


async def test_an_unexpected_failure_in_the_log_ends_the_demo_before_its_job_has_failed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    traceback = "Traceback (most recent call last):\n  File …\nError: webpsave does not support keep\n"
    log.write_text("a line for the user\n" + event("warning", "retry_started") + event("info", "process_ready"))
    with log.open("a") as opened:
        opened.write(event("error", "queue_item_attempt_failed", job_id="job_7", exception=traceback) + '{"half": ')
    with pytest.raises(DemoFailed, match="queue_item_attempt_failed, Error: webpsave does not support keep") as failed:
        await asyncio.wait_for(until_failure(log, asyncio.Event().wait()), SAFETY_SECONDS)
    assert failed.value.ids == ("job_7",)
    assert explanation(log, failed.value.ids) == [
        "error queue_item_attempt_failed job_id=job_7 Error: webpsave does not support keep"
    ]


async def test_the_reason_of_the_api_is_preferred_to_the_log(tmp_path: Path) -> None:
    async def fails() -> None:
        raise DemoFailed("the job failed: a reason", "job_1")

    log = tmp_path / "log"
    log.write_text(event("error", "queue_item_given_up", job_id="job_1"))
    with pytest.raises(DemoFailed, match="the job failed: a reason"):
        await until_failure(log, fails())


def test_a_failure_without_a_message_is_not_printed_as_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(event("warning", "retry_started", operation="storage"))
    output = io.StringIO()
    print_failure(Console(file=output, width=200), CliError(), log)
    assert "The demo stopped: CliError" in output.getvalue()
    assert "warning retry_started operation=storage" in output.getvalue()
    assert str(log) in output.getvalue()


async def test_the_demo_with_an_upload_that_is_no_video_ends_with_the_reason_and_the_log(
    tmp_path: Path, footage: Footage
) -> None:
    broken = tmp_path / "broken.mov"
    broken.write_text("<html>This is a web page and not a video.</html>")
    output = io.StringIO()
    console = Console(file=output, width=200)
    with pytest.raises(DemoFailed) as failed:
        await run_demo(console, tmp_path, replace(footage, carphone=broken))
    assert "of car.mov failed: " in str(failed.value) and "[input_unreadable]" in str(failed.value)
    print_failure(console, failed.value, log_of(tmp_path))
    assert "info job_failed service=" in output.getvalue().partition("The log says:")[2]
    assert failed.value.ids[0] in output.getvalue()


async def test_the_demo_with_a_photograph_that_cannot_be_imported_ends_with_the_reason_of_the_item(
    tmp_path: Path, footage: Footage, material: Material
) -> None:
    """Its jobs succeed, so that the whole first part of the demo is run as well; of short films."""
    short = {name: material.beginning(getattr(footage, name), 2.5) for name in ("bunny", "bikes", "carphone")}
    broken = tmp_path / "broken.png"
    broken.write_text("This is no photograph.")
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(DemoFailed, match=r"the media item cat\.png failed: .* \[input_unreadable\]"):
        await run_demo(console, tmp_path, replace(footage, chelsea=broken, **short))
