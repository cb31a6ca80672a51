"""What belongs to one customer: its webhook secret, its signed addresses, its files."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import TOPICS
from tests.media import tagged_files
from tests.support.file_server import FileServer
from tests.support.processes import shell
from tests.support.system import ApiClient, BitmillUp, kafka_client_options
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

SIGNATURE = "hush0123456789"


async def bitmill(up: BitmillUp, *command: str) -> Any:
    """The JSON lines that a command of `bitmill` prints."""
    done = await shell(["bitmill", *command, "--json"], cwd=up.data, env=up.env)
    assert done.returncode == 0, done.stderr
    lines = [orjson.loads(line) for line in done.stdout.splitlines()]
    return lines[0] if len(lines) == 1 else lines


@pytest.fixture(scope="module")
async def shop(up: BitmillUp) -> AsyncIterator[ApiClient]:
    """A second project. `secret` is its own webhook secret."""
    created = await bitmill(up, "keys", "create", "--project", "shop")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {created['key']}"}) as session:
        yield ApiClient(up.api.address, created["webhook_secret"], session)


def signed_by(secret: str, hooks: WebhookReceiver, job: str) -> bool:
    request = hooks.of(job)[0]
    expected = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    return request.headers["ittybit-signature"] == expected


async def test_each_project_signs_its_webhooks_with_its_own_secret(
    up: BitmillUp, shop: ApiClient, uploads: FileServer
) -> None:
    async with webhook_receiver() as hooks:
        for api, other in ((shop, up.api), (up.api, shop)):
            body = {"kind": "image", "input": uploads.url("photo.png"), "webhook_url": hooks.url()}
            job = await api.post("/jobs", body)
            await hooks.webhook(job["id"])
            assert signed_by(api.secret, hooks, job["id"])
            assert not signed_by(other.secret, hooks, job["id"])


async def test_a_second_key_of_a_project_leaves_its_secret_alone_and_a_rotation_replaces_it(
    up: BitmillUp, shop: ApiClient, uploads: FileServer
) -> None:
    assert (await bitmill(up, "keys", "create", "--project", "shop"))["webhook_secret"] is None
    new = (await bitmill(up, "projects", "rotate-secret", "shop", "--overlap", "0"))["webhook_secret"]
    async with webhook_receiver() as hooks:
        body = {"kind": "image", "input": uploads.url("photo.png"), "webhook_url": hooks.url()}
        job = await shop.post("/jobs", body)
        await hooks.webhook(job["id"])
        assert signed_by(new, hooks, job["id"])


async def test_signed_addresses_work_and_are_in_clear_neither_in_postgres_nor_on_kafka(
    up: BitmillUp, shop: ApiClient, uploads: FileServer
) -> None:
    async with webhook_receiver() as hooks:
        input = f"{uploads.url('photo.png')}?X-Signature={SIGNATURE}"
        webhook_url = f"{hooks.url()}?token={SIGNATURE}"
        headers = {"Idempotency-Key": "signed"}
        body = {"kind": "image", "input": input, "webhook_url": webhook_url}
        async with shop.session.post(f"{shop.address}/jobs", json=body, headers=headers) as response:
            job = await response.json()
        webhook = await hooks.webhook(job["id"])
        assert webhook["status"] == "succeeded", webhook
        assert hooks.of(job["id"])[0].path == f"/hook?token={SIGNATURE}"
        assert (webhook["input"], webhook["webhook_url"]) == (
            f"{uploads.url('photo.png')}?X-Signature=***",
            f"{hooks.url()}?token=***",
        )

        async def listed() -> bool:
            return job["id"] in [found["id"] for found in await shop.get("/jobs", input=input)]

        await until(listed)  # the notifier may read faster than the catalog
        item = await shop.post("/media", {"url": input})
        assert item["data"]["status"] == "active", item
        assert await _postgres_texts(up.env["DATABASE_URL"], SIGNATURE) == []
        assert await _kafka_records(up, SIGNATURE) == []
        assert SIGNATURE not in up.log


async def test_a_project_with_signed_delivery_gives_signed_addresses_and_others_stay_public(
    up: BitmillUp, shop: ApiClient, uploads: FileServer
) -> None:
    job = await shop.finished((await shop.post("/jobs", {"kind": "image", "input": uploads.url("photo.png")}))["id"])
    bare = job["output"]["url"]
    await bitmill(up, "projects", "set", "shop", "--delivery", "signed")
    try:

        async def status(url: str) -> int:
            async with aiohttp.ClientSession() as stranger, stranger.get(url) as response:
                return response.status

        await until(lambda: _holds(status(bare), 403))
        signed = (await shop.get(f"/jobs/{job['id']}"))["output"]["url"]
        assert signed.startswith(f"{bare}?expiry=")
        assert await status(signed) == 200
        item = (await shop.post("/media", {"url": uploads.url("photo.png")}))["data"]
        assert "&signature=" in item["original"]
        assert await status(item["original"]) == 200
        public = await up.api.finished(
            (await up.api.post("/jobs", {"kind": "image", "input": uploads.url("photo.png")}))["id"]
        )
        assert await status(public["output"]["url"]) == 200
    finally:
        await bitmill(up, "projects", "set", "shop", "--delivery", "public")


async def test_a_project_with_strip_delivers_originals_without_tags_of_place_and_device(
    up: BitmillUp, shop: ApiClient, uploads: FileServer, tmp_path: Path
) -> None:
    uploads.add(tagged_files.made(tagged_files.jpeg(), "tagged.jpg", tmp_path))
    await bitmill(up, "projects", "set", "shop", "--strip", "on")
    try:
        stripped = (await shop.post("/media", {"url": uploads.url("tagged.jpg")}))["data"]
    finally:
        await bitmill(up, "projects", "set", "shop", "--strip", "off")
    whole = (await up.api.post("/media", {"url": uploads.url("tagged.jpg")}))["data"]
    found = {}
    for name, item in (("stripped", stripped), ("whole", whole)):
        async with aiohttp.ClientSession() as stranger, stranger.get(item["original"]) as response:
            data = await response.read()
        found[name] = (len(data) == item["filesize"], any(secret in data for secret in tagged_files.SECRETS))
    assert found == {"stripped": (True, False), "whole": (True, True)}


async def _holds(status: Any, expected: int) -> bool:
    return bool(await status == expected)


async def _postgres_texts(dsn: str, needle: str) -> list[str]:
    """The tables with a row that has the text anywhere, also in a byte string."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        found = []
        for schema, name in tables:
            hexadecimal = needle.encode().hex()
            condition = "position($1 IN t::text) > 0 OR position($2 IN t::text) > 0"
            count = await connection.fetchval(
                f'SELECT count(*) FROM "{schema}"."{name}" AS t WHERE {condition}', needle, hexadecimal
            )
            if count:
                found.append(f"{schema}.{name}")
        return found
    finally:
        await connection.close()


async def _kafka_records(up: BitmillUp, needle: str) -> list[str]:
    """The topics with a record that has the text."""
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **await kafka_client_options(up))
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
        consumer.assign(partitions)
        last = await consumer.end_offsets(partitions)
        found = set()
        async with asyncio.timeout(60):
            while any([await consumer.position(partition) < last[partition] for partition in partitions]):
                for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                    if any(needle.encode() in (record.value or b"") for record in records):
                        found.add(partition.topic)
        return sorted(found)
    finally:
        await consumer.stop()
