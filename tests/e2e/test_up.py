"""`bitmill up` as a person runs it: its output, its folder, and what happens to it under signals."""

import asyncio
import json
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil
import pytest

from chassis.adapters.sandbox import self_test
from cli import env_file
from embedded.data_folder import has_ended
from tests.support import file_server as answers
from tests.support.file_server import FileServer
from tests.support.processes import DEADLINE_SECONDS, clean_environment, killed_process, shell
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver


async def _post(up: BitmillUp, uploads: FileServer, upload: str = "clip.mov", **options: object) -> str:
    body = {"input": uploads.url(upload), "kind": "video", "options": {"width": 320, **options}}
    job: dict[str, str] = await up.api.post("/jobs", body)
    return job["id"]


async def _post_long(up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver) -> str:
    """A film that takes minutes, once it is being encoded."""
    options = {"width": 3840, "quality": "very_high"}
    body = {"input": uploads.url("film.mov"), "kind": "video", "options": options, "webhook_url": hooks.url()}
    job: dict[str, str] = await up.api.post("/jobs", body)

    async def encoding() -> bool:
        steps = {step["kind"]: step["status"] for step in (await up.api.get(f"/jobs/{job['id']}"))["tasks"]}
        return bool(steps["video"] == "processing" and _encoders(up))

    await until(encoding, within=DEADLINE_SECONDS, poll=0.05)
    return job["id"]


def _encoders(up: BitmillUp) -> list[psutil.Process]:
    """The running ffmpeg processes."""
    found = []
    for child in up.children():
        with suppress(psutil.Error):
            if "ffmpeg" in Path(child.exe()).name:
                found.append(child)
    return found


async def _status(up: BitmillUp, job: str) -> str:
    found: dict[str, str] = await up.api.get(f"/jobs/{job}")
    return found["status"]


async def _until_status(up: BitmillUp, job: str, wanted: str) -> None:
    async def reached() -> bool:
        return await _status(up, job) == wanted

    await until(reached, within=DEADLINE_SECONDS, poll=0.05)


async def _until_ended(children: list[psutil.Process]) -> None:
    await until(lambda: all(has_ended(child) for child in children))


async def test_a_cancelled_film_ends_its_process_and_sends_the_webhook(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    job = await _post_long(up, uploads, hooks)
    encoders = _encoders(up)
    assert encoders
    cancelled = await up.api.post(f"/jobs/{job}/cancel", {})
    assert cancelled["id"] == job and cancelled["status"] in ("cancelling", "cancelled")
    await _until_ended(encoders)
    body = await hooks.webhook(job)
    assert (body["status"], body["output"]) == ("cancelled", None)
    await _until_status(up, job, "cancelled")
    assert not list((up.data / "storage").rglob(f"*{job}*.mp4"))


async def test_ctrl_c_in_the_shell_cancels_the_job_that_it_waits_for(
    up: BitmillUp, uploads: FileServer, tmp_path: Path
) -> None:
    options = ("--width", "3840", "--quality", "very_high", "--cloud", "--json")
    command = (sys.executable, "-m", "cli", "video", "-i", uploads.url("film.mov"), *options)
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    async with killed_process(*command, env=up.env, **pipes) as process:
        assert process.stdout is not None and process.stderr is not None
        assert b"progress" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        message = (await process.stderr.read()).decode()
        assert await process.wait() == 130, message
    job = message.removeprefix("bitmill: cancelling ").strip()
    await _until_status(up, job, "cancelled")
    again = await shell([sys.executable, "-m", "cli", "jobs", "cancel", job], cwd=tmp_path, env=up.env)
    assert (again.returncode, json.loads(again.stdout)) == (0, {"id": job, "status": "cancelled"}), again.stderr


async def test_a_job_whose_file_was_not_there_runs_again_once_it_is(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver, tmp_path: Path
) -> None:
    url = uploads.answer("late.mov", answers.status(404))
    body = {"input": url, "kind": "video", "options": {"width": 320}, "webhook_url": hooks.url()}
    job = (await up.api.post("/jobs", body))["id"]
    await _until_status(up, job, "failed")
    first = await hooks.webhook(job)
    uploads.answer("late.mov", answers.redirect(uploads.url("clip.mov")))
    retried = await shell([sys.executable, "-m", "cli", "jobs", "retry", job], cwd=tmp_path, env=up.env)
    assert retried.returncode == 0, retried.stderr
    shown = await up.api.get(f"/jobs/{job}")
    assert json.loads(retried.stdout.splitlines()[-1]) == shown
    assert (shown["status"], shown["run"], shown["error"]) == ("succeeded", 2, None)
    assert [(run["status"], run["error"]) for run in shown["earlier_runs"]] == [("failed", first["error"])]

    async def both() -> bool:
        return len({each.headers["webhook-id"] for each in hooks.of(job)}) == 2

    await until(both, within=DEADLINE_SECONDS)
    # A webhook may come twice, with the same id.
    runs = {each.headers["webhook-id"]: each.json["run"] for each in hooks.of(job)}
    assert sorted(runs.values()) == [1, 2]


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BitmillUp]:
    """One that is stopped and killed."""
    async with bitmill_up(tmp_path_factory.mktemp("own") / "data") as system:
        yield system


async def test_it_stops_without_leaving_children_and_continues_at_the_next_start(
    own: BitmillUp, uploads: FileServer
) -> None:
    finished = await _post(own, uploads)
    await _until_status(own, finished, "succeeded")
    unfinished = await _post(own, uploads, "film.mov", width=1920)
    await _until_status(own, unfinished, "processing")
    children = own.children()
    await own.stop()
    assert own.process.returncode == 0
    await _until_ended(children)
    key = own.headers
    await own.start()
    assert own.headers == key, "the API key stays valid"
    assert await _status(own, finished) == "succeeded"
    await _until_status(own, unfinished, "succeeded")


async def test_after_a_sigkill_the_next_start_finishes_all_work(own: BitmillUp, uploads: FileServer) -> None:
    jobs = [await _post(own, uploads, "film.mov", width=1280) for _ in range(2)]
    await _until_status(own, jobs[0], "processing")
    children = own.children()
    await own.stop(signal.SIGKILL)
    await own.start()
    await _until_ended(children)
    for job in jobs:
        await _until_status(own, job, "succeeded")


async def test_every_event_of_its_start_has_the_format_that_was_asked_for(up: BitmillUp) -> None:
    events = [line for line in up.log.splitlines() if "sandbox_checked" in line or "sandbox_weak" in line]
    assert len(events) > 1, "of the check before the start, and of the services"
    assert [line for line in events if not line.startswith("{")] == []


async def test_a_second_bitmill_up_on_the_same_folder_is_refused_with_a_sentence(up: BitmillUp) -> None:
    command = [sys.executable, "-m", "cli", "up", "--port", "0", "--data", str(up.data)]
    done = await shell(command, cwd=up.data, env=clean_environment())
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_printed_curl_works_as_it_is_printed(up: BitmillUp, tmp_path: Path) -> None:
    pattern = re.compile(r"\s+(source |curl \S+/jobs -H)")  # the key is in the sourced file, because this is a log
    source, command = [line.strip() for line in up.log.splitlines() if pattern.match(line)][:2]
    done = await shell(["bash", "-c", f"{source}\n{command} -sS"], cwd=tmp_path, env=clean_environment())
    assert done.returncode == 0
    assert done.stdout.startswith("[")


async def test_the_env_file_is_readable_by_its_owner_only(up: BitmillUp) -> None:
    assert stat.S_IMODE(os.stat(env_file.path(up.data)).st_mode) == 0o600


async def test_a_revoked_key_is_refused_for_reads_and_writes(up: BitmillUp, tmp_path: Path) -> None:
    done = await shell(["bitmill", "keys", "create", "--name", "short-lived"], cwd=tmp_path, env=up.env)
    assert done.returncode == 0, done.stderr
    key, about = done.stdout.splitlines()[:2]
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def statuses() -> set[int]:
            async with session.get(f"{up.api.address}/jobs") as query:
                pass
            async with session.post(f"{up.api.address}/jobs", json={}) as command:
                pass
            return {query.status, command.status}

        assert await statuses() == {200, 400}
        revoked = await shell(["bitmill", "keys", "revoke", about.split()[0]], cwd=tmp_path, env=up.env)
        assert revoked.returncode == 0, revoked.stderr

        async def refused() -> bool:
            return await statuses() == {401}

        await until(refused, poll=0.05)
    listed = await shell(["bitmill", "keys", "list"], cwd=tmp_path, env=up.env)
    assert key not in listed.stdout
    assert "short-lived" in listed.stdout


async def test_a_project_sees_nothing_of_another(up: BitmillUp, uploads: FileServer, tmp_path: Path) -> None:
    job = await up.api.post("/jobs", {"input": uploads.url("photo.png"), "kind": "image"})
    media = await up.api.post("/media", {"url": uploads.url("photo.png")})
    command = ["bitmill", "keys", "create", "--project", "other"]
    key = (await shell(command, cwd=tmp_path, env=up.env)).stdout.split()[0]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for path in (f"/jobs/{job['id']}", f"/media/{media['data']['id']}"):
            async with session.get(up.api.address + path) as response:
                assert response.status == 404
        async with session.get(f"{up.api.address}/jobs") as response:
            assert await response.json() == []


async def test_every_service_logs_the_id_of_a_job_and_no_secret(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    body = {"input": uploads.url("photo.png") + "?token=do-not-log", "kind": "image"}
    job = await up.api.post("/jobs", {**body, "webhook_url": hooks.url()})
    await hooks.webhook(job["id"])

    def services() -> set[str]:
        lines = [line for line in up.log.splitlines() if job["id"] in line]
        return set(re.findall(r'"service": ?"(\w+)"', "\n".join(lines)))

    await until(lambda: services() >= {"ingest", "thumbnailer", "catalog", "notifier"})
    assert "do-not-log" not in up.log
    assert up.env["ITTYBIT_API_KEY"] not in up.log


async def test_the_result_of_the_sandbox_self_test_is_in_readyz_the_banner_and_the_log(up: BitmillUp) -> None:
    state = await self_test.state()
    async with aiohttp.ClientSession() as session, session.get(up.api.address + "/readyz") as response:
        checks = {check["name"]: check for check in (await response.json())["checks"]}
    for service in ("ingest", "transcoder", "thumbnailer"):
        shown = checks[f"{service}.sandbox"]
        assert shown["state"] == "ok"
        assert shown["details"] == {"enforced": state.enforced, "possible": list(state.possible), **state.report}
    assert f"Sandbox  {state.summary()}" in up.log
    assert ("sandbox_checked" if state.enforced else "sandbox_weak") in up.log


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_health_and_metrics_need_no_key(path: str, up: BitmillUp) -> None:
    async with aiohttp.ClientSession() as session, session.get(up.api.address + path) as response:
        assert response.status == 200
