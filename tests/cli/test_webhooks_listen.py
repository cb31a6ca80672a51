"""`ittybit webhooks listen`: genuine webhooks are accepted and printed, others refused."""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cli.webhooks import fault
from services.notifier.signing import body_signature, signed_headers
from tests.support.processes import clean_environment, killed_process

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
BODY = b'{"id": "job_1", "status": "succeeded"}'
ROOT = Path(__file__).parents[2]


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        (signed_headers([SECRET], "msg_1", 1000, BODY), BODY, None),
        (signed_headers([OTHER, SECRET], "msg_1", 1000, BODY), BODY, None),
        ({"Ittybit-Signature": body_signature(SECRET, BODY)}, BODY, None),
        (signed_headers([SECRET], "msg_1", 1000, BODY), BODY + b" ", "the signature does not match"),
        (signed_headers([OTHER], "msg_1", 1000, BODY), BODY, "the signature does not match"),
        (signed_headers([SECRET], "msg_1", 600, BODY), BODY, "it was sent 400 s ago"),
        ({"Ittybit-Signature": "00"}, BODY, "Ittybit-Signature does not match"),
        ({"webhook-id": "a.b", "webhook-timestamp": "1", "webhook-signature": "v1,x"}, BODY, "the signature does not"),
        ({"webhook-id": "a", "webhook-timestamp": "x", "webhook-signature": "v1,x"}, BODY, "webhook-timestamp is no"),
        ({}, BODY, "it has no signature"),
    ],
)
def test_a_webhook_is_genuine_by_its_signature_and_time(
    headers: Mapping[str, str], body: bytes, reason: str | None
) -> None:
    found = fault(SECRET, lower(headers), body, now=1000.0)
    assert (found is None) if reason is None else (found or "").startswith(reason)


@asynccontextmanager
async def listening(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    command = (sys.executable, "-m", "cli", "webhooks", "listen", "--port", "0", "--json", *options)
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    async with killed_process(*command, cwd=ROOT, env=clean_environment(), **pipes) as process:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            line = (await process.stderr.readline()).decode()
        found = re.match(r"listening on (http://127\.0\.0\.1:\d+)/", line)
        assert found, line
        yield process, found[1]


async def test_webhooks_are_verified_printed_and_answered() -> None:
    async with (
        listening("--secret", SECRET, "--count", "2") as (process, address),
        aiohttp.ClientSession() as session,
    ):
        now = int(time.time())
        statuses = []
        for secret in (SECRET, OTHER):
            headers = signed_headers([secret], "msg_1", now, BODY)
            async with session.post(f"{address}/hook", data=BODY, headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [204, 401]
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        first, second = [json.loads(line) for line in out.splitlines()]
        assert (first["id"], first["verified"], first["body"]) == ("msg_1", True, json.loads(BODY))
        assert (second["verified"], second["reason"].startswith("the signature does not match")) == (False, True)
        assert process.returncode == 1


async def test_without_a_secret_nothing_is_said_to_be_verified() -> None:
    async with listening("--count", "1") as (process, address), aiohttp.ClientSession() as session:
        async with session.post(address, data=b"no JSON \xff") as response:
            assert response.status == 204
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        assert json.loads(out) == {
            "object": "webhook",
            "id": None,
            "verified": None,
            "reason": None,
            "body": "no JSON \ufffd",
        }
        assert process.returncode == 0
