"""Programs that use only Kafka: a consumer in a process of its own, and a plain producer."""

import asyncio
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.adapters.kafka.admin import wait_for_kafka
from chassis.adapters.kafka.errors import KafkaUnavailable
from tests.support.file_server import FileServer
from tests.support.processes import clean_environment, shell
from tests.support.system import BitmillUp, kafka_client_options
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver

PUBLISHED = Path(__file__).parents[2] / "schemas" / "published" / "events"

CONSUMER = """
import asyncio, json, os, sys
from pathlib import Path
import jsonschema
from aiokafka import AIOKafkaConsumer

async def main(folder, wanted):
    schemas = {}
    for path in Path(folder).glob("*.schema.json"):
        schema = json.loads(path.read_text())
        schemas[path.name.removesuffix(".schema.json")] = schema
    # As README shows it: from the variables of DIR/env.
    consumer = AIOKafkaConsumer("media.created", "job.results",
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        security_protocol=os.environ["KAFKA_SECURITY_PROTOCOL"],
        sasl_mechanism=os.environ["KAFKA_SASL_MECHANISM"],
        sasl_plain_username=os.environ["KAFKA_SASL_USERNAME"],
        sasl_plain_password=os.environ["KAFKA_SASL_PASSWORD"],
        group_id="a-program-of-theirs", auto_offset_reset="earliest")
    await consumer.start()
    print("listening", flush=True)
    async for record in consumer:
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["ce_specversion"] == "1.0" and headers["ce_id"] and headers["ce_source"], headers
        data = json.loads(record.value)
        jsonschema.validate(data, schemas[headers["ce_type"]])
        subject = data.get("media", data.get("job"))["id"]
        assert record.key.decode() == subject == headers["ce_subject"]
        print(json.dumps([headers["ce_type"], subject]), flush=True)
        if headers["ce_type"] in wanted and subject in sys.argv[3:]:
            wanted.remove(headers["ce_type"])
            if not wanted:
                break
    await consumer.stop()

asyncio.run(main(sys.argv[1], set(sys.argv[2].split(","))))
"""


async def test_a_consumer_in_another_process_reads_events_that_fit_the_published_schemas(
    up: BitmillUp, uploads: FileServer
) -> None:
    media = await up.api.post("/media", {"url": uploads.url("photo.png")})
    job = await up.api.post("/jobs", {"input": uploads.url("photo.png"), "kind": "image"})
    wanted = "bitmill.media.created.v1,bitmill.job.succeeded.v1"
    command = [sys.executable, "-c", CONSUMER, str(PUBLISHED), wanted, job["id"], media["data"]["id"]]
    consumed = await shell(command, cwd=Path.cwd(), env={**clean_environment(), **up.env})
    assert consumed.returncode == 0, consumed.stderr
    seen = [json.loads(line) for line in consumed.stdout.splitlines()[1:]]
    assert ["bitmill.media.created.v1", media["data"]["id"]] in seen
    assert ["bitmill.job.succeeded.v1", job["id"]] in seen


def bodies(hooks: WebhookReceiver) -> list[dict[str, Any]]:
    return [request.json for request in hooks.received]


async def _project(up: BitmillUp) -> str:
    media = await up.api.get("/media")
    found: str = media["meta"]["project_id"]
    return found


async def test_a_program_without_the_login_of_the_folder_cannot_connect(up: BitmillUp) -> None:
    """Another user of this machine knows the port, and has not read the folder."""
    with pytest.raises(KafkaUnavailable, match="this listener may want TLS or a login"):
        await wait_for_kafka(up.env["KAFKA_BOOTSTRAP_SERVERS"], timeout=2.0)
    assert not up.data.joinpath("kafka").stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


async def test_a_plain_producer_gets_the_same_work_done(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    project = await _project(up)
    body = {
        "input": uploads.url("photo.png"),
        "kind": "image",
        "options": {"width": 100},
        "metadata": {"from": "a producer"},
        "webhook_url": hooks.url(),
    }
    async with AIOKafkaProducer(**await kafka_client_options(up)) as producer:
        headers = [("ce_project", project.encode())]
        await producer.send_and_wait("job.submitted", json.dumps(body).encode(), key=project.encode(), headers=headers)
    arrived = await until(lambda: [job for job in bodies(hooks) if job["metadata"] == body["metadata"]])
    assert arrived[0]["status"] == "succeeded"
    assert arrived[0]["output"]["width"] == 100


async def test_a_refused_submission_is_in_the_dead_letter_topic_with_its_reason(up: BitmillUp) -> None:
    project = await _project(up)
    options = await kafka_client_options(up)
    async with AIOKafkaProducer(**options) as producer:
        body = json.dumps({"input": "ftp://example.com/x", "kind": "video"}).encode()
        await producer.send_and_wait("job.submitted", body, headers=[("ce_project", project.encode())])
        await producer.send_and_wait("job.submitted", b"\xff\x00 not json", headers=[("ce_project", project.encode())])
    consumer = AIOKafkaConsumer("job.submitted.dlq", auto_offset_reset="earliest", **options)
    await consumer.start()
    letters: dict[bytes, str] = {}
    try:
        async with asyncio.timeout(60):
            # Other tests of this system have dead letters as well.
            while not letters.keys() >= {body, b"\xff\x00 not json"}:
                letter = await consumer.getone()
                letters[letter.value] = str(letter.headers)
    finally:
        await consumer.stop()
    text = letters[body]
    assert "must start with http://" in text
