"""The operator's tools on a running `bitmill up`, found by its folder."""

import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell
from tests.support.system import BitmillUp, kafka_client_options
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver


async def bitmill(up: BitmillUp, *arguments: str) -> list[Any]:
    """The lines of JSON that a command prints."""
    command = ["bitmill", *arguments, "--data", str(up.data), "--json"]
    done = await shell(command, cwd=Path.cwd(), env=clean_environment())
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_dead_letter_is_listed_shown_and_replayed_and_fails_again_for_the_same_reason(up: BitmillUp) -> None:
    project = (await up.api.get("/media"))["meta"]["project_id"]
    async with AIOKafkaProducer(**await kafka_client_options(up)) as producer:
        headers = [("ce_project", project.encode())]
        await producer.send_and_wait("job.submitted", b'{"kind": "fax"}', key=b"operators", headers=headers)

    async def letters() -> list[Any]:
        listed = await bitmill(up, "dlq", "list", "--topic", "job.submitted", "--since", "1h")
        return [each for each in listed if each["subject"] == "operators"]

    (first,) = await until(letters, within=60)
    (shown,) = await bitmill(up, "dlq", "show", first["position"])
    assert shown["value"] == {"kind": "fax"}
    (replayed,) = await bitmill(up, "dlq", "replay", first["position"])
    assert replayed["to"].startswith("job.submitted/")

    async def failed_again() -> Any:
        return len(found := await letters()) == 2 and found

    before, again = await until(failed_again, within=60)
    assert before["replayed"]["to"] == replayed["to"] == again["source"]
    assert again["reason"] == first["reason"]


async def test_a_finished_job_is_shown_by_every_service_that_it_passed(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    url = hooks.url() + "?token=do-not-show"
    job = await up.api.post("/jobs", {"input": uploads.url("photo.png"), "kind": "image", "webhook_url": url})
    await hooks.webhook(job["id"])

    async def delivered() -> Any:
        (found,) = await bitmill(up, "jobs", "inspect", job["id"])
        return found if found["webhook"] and found["webhook"]["state"] == "delivered" else None

    found = await until(delivered, within=60)
    assert (found["catalog"]["status"], found["unavailable"]) == ("succeeded", {})
    assert found["workers"]["thumbnailer"]["queue"]["state"] == "done"
    assert [attempt["status"] for attempt in found["webhook"]["attempts"]] == [204]
    command = ["bitmill", "jobs", "inspect", job["id"], "--data", str(up.data)]
    text = (await shell(command, cwd=Path.cwd(), env=clean_environment())).stdout
    assert "thumbnailer\n  state         done\n" in text
    assert "do-not-show" not in json.dumps(found) + text
