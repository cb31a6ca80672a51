"""The blocks of docs/kafka.md, as a reader would run them: Python, and kcat (a stand-in where it is not installed)."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.core.ids import new_id
from tests.seeds.blocks import fenced
from tests.support.file_server import FileServer
from tests.support.processes import shell
from tests.support.system import REPLY_TOPIC, BitmillUp, kafka_client_options
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SUBMIT, SUBMIT_BY_KCAT, RESULTS, ACT, PURGE_BY_KCAT, CALL = fenced(ROOT / "docs" / "kafka.md")


async def project_of(up: BitmillUp) -> str:
    listed = await up.api.get("/media")
    found: str = listed["meta"]["project_id"]
    return found


async def run_python(up: BitmillUp, text: str, *arguments: str) -> str:
    """What the block prints."""
    done = await shell([sys.executable, "-c", text, *arguments], cwd=ROOT, env=up.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def has_kcat(up: BitmillUp) -> bool:
    """Whether kcat is installed, with a librdkafka whose SCRAM today's Kafka takes: 2.2 or newer."""
    if shutil.which("kcat") is None:
        return False
    version = re.search(r"librdkafka (\d+)\.(\d+)", (await shell(["kcat", "-V"], cwd=ROOT, env=up.env)).stdout)
    return version is not None and (int(version[1]), int(version[2])) >= (2, 2)


@pytest.fixture
async def kcat_folder(up: BitmillUp, tmp_path: Path) -> Path:
    """A folder with the configuration that the document names, and with `kcat` if there is none."""
    command = [sys.executable, "-m", "cli", "kafka", "client", "--data", str(up.data), "--format", "librdkafka"]
    done = await shell(command, cwd=ROOT, env=up.env)
    assert done.returncode == 0, done.stderr
    (tmp_path / "kcat.conf").write_text(done.stdout)
    if not await has_kcat(up):
        program = tmp_path / "kcat"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.support.kcat "$@"\n')
        program.chmod(0o755)
    return tmp_path


async def run_kcat(up: BitmillUp, text: str, folder: Path, **variables: str) -> None:
    env = {**up.env, **variables, "PATH": f"{folder}:{up.env['PATH']}"}
    done = await shell(["bash", "-c", f"set -e -o pipefail; {text}"], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr


async def jobs_of(up: BitmillUp, order: str, status: str) -> list[dict[str, Any]]:
    """The jobs of an order once one has this status."""

    async def found() -> list[dict[str, Any]] | None:
        jobs: list[dict[str, Any]] = await up.api.get("/jobs", **{"metadata.order": order})
        return jobs if any(job["status"] == status for job in jobs) else None

    jobs: list[dict[str, Any]] = await until(found)
    return jobs


async def test_a_job_is_submitted_its_result_read_and_then_it_is_retried_and_purged(
    up: BitmillUp, uploads: FileServer, kcat_folder: Path
) -> None:
    project = await project_of(up)
    for _ in range(2):
        await run_python(up, SUBMIT.text, project, "4711", uploads.url("photo.png"))
    (job,) = await jobs_of(up, "4711", "succeeded")
    assert await run_python(up, RESULTS.text, "4711") == f"{job['id']} succeeded\n"
    broken = await up.api.post("/jobs", {"input": uploads.url("nothing-here.png"), "kind": "image"})
    assert (await up.api.finished(broken["id"]))["status"] == "failed"
    await run_python(up, ACT.text, project, "retry", broken["id"])

    async def run() -> bool:
        return bool((await up.api.get(f"/jobs/{broken['id']}"))["run"] == 2)

    await until(run)
    await run_kcat(up, PURGE_BY_KCAT.text, kcat_folder, PROJECT=project, JOB=job["id"])

    async def gone() -> bool:
        async with up.api.session.get(f"{up.api.address}/jobs/{job['id']}") as response:
            return response.status == 404

    await until(gone)


async def test_kcat_submits_a_job(up: BitmillUp, uploads: FileServer, kcat_folder: Path) -> None:
    variables = {"PROJECT": await project_of(up), "INPUT": uploads.url("photo.png")}
    await run_kcat(up, SUBMIT_BY_KCAT.text, kcat_folder, **variables)
    (job,) = await jobs_of(up, "4712", "succeeded")
    assert job["input"] == uploads.url("photo.png")


async def test_a_producer_gets_replies_on_a_topic_of_its_own(up: BitmillUp, uploads: FileServer) -> None:
    project = await project_of(up)
    admin = AIOKafkaAdminClient(**await kafka_client_options(up))
    await admin.start()
    await admin.create_topics([NewTopic(REPLY_TOPIC, 1, 1)])
    await admin.close()
    accepted, ended = (await run_python(up, CALL.text, project, REPLY_TOPIC, uploads.url("photo.png"))).splitlines()
    type_, id = accepted.split()
    assert type_ == "bitmill.submission.accepted.v1"
    assert (await up.api.finished(id))["status"] == "succeeded"
    assert ended == "bitmill.job.succeeded.v1 succeeded"
    refused = await run_python(up, CALL.text, new_id("prj"), REPLY_TOPIC, uploads.url("photo.png"))
    assert refused.startswith("bitmill.submission.refused.v1 unknown project")
