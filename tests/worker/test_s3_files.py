"""Inputs and outputs of jobs in customers' stores: by which credentials, fenced by the lease, with sentences."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import pytest

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.s3.errors import S3Error, S3Reason
from chassis.core.encryption import DecryptionError, Keyring
from chassis.runtime.job_queue import LeaseLost, QueueItem
from media.info import MediaInfo
from schemas.connections import ConnectionAccess, secret_context
from schemas.faults import FAULTS
from schemas.jobs import Job
from schemas.s3_addresses import S3Address
from tests.support import s3_servers
from tests.support.proxy import Proxy
from tests.support.s3_answers import Answers, s3_answers
from tests.support.s3_servers import ACCESS_KEY, REGION, SECRET, S3Server
from tests.support.waiting import until
from worker.runner import JobOutput, describe
from worker.s3_faults import StoreFailed, store_failed
from worker.s3_files import InstallationStore, S3Files, destination_of, server_of

LOOPBACK = EgressPolicy((ip_network("127.0.0.0/8"),))
KEYRING = Keyring([os.urandom(32)])
PROJECT, CONNECTION = "prj_01h455vb4pex5vsknk084sn02q", "conn_01h455vb4pex5vsknk084sn02q"
OUTPUT = S3Address("processed", "clip-hd.mp4")


@pytest.fixture(scope="module")
async def s3() -> AsyncIterator[S3Server]:
    async with s3_servers.moto() as server:
        await server.create_buckets("uploads", "processed")
        yield server


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    async with s3_answers() as server:
        yield server


@pytest.fixture
async def made(s3: S3Server, tmp_path: Path) -> Path:
    """A file to be stored, where nothing is stored yet."""
    async with s3.open() as store:
        await store.client.delete_object(Bucket=OUTPUT.bucket, Key=OUTPUT.key)
    (tmp_path / "made").write_bytes(b"an output")
    return tmp_path / "made"


def job(endpoint: str, **changes: Any) -> Job:
    access = ConnectionAccess(
        endpoint=endpoint,
        region=REGION,
        access_key_id=ACCESS_KEY,
        encrypted_secret=KEYRING.encrypt(SECRET, secret_context(PROJECT, CONNECTION)),
    )
    fields: dict[str, Any] = {
        "id": "job_01h455vb4pex5vsknk084sn02q",
        "project": PROJECT,
        "kind": "video",
        "input": "s3://uploads/clip.mov",
        "options": {},
        "metadata": {},
        "at": 1000,
        "destination": str(OUTPUT),
        "connection_id": CONNECTION,
        "connection": access,
    }
    return Job.queued(**{**fields, **changes})


def item(attempt: int = 1) -> QueueItem:
    return QueueItem("job_1", PROJECT, "video", {}, attempt, "worker", cancelled=False)


def files(installation: InstallationStore | None = None, *, seconds: float = 60) -> S3Files:
    store = installation or InstallationStore()
    return S3Files(LOOPBACK, KEYRING, store, store_timeout=timedelta(seconds=seconds), first_pause_s=0.01)


async def held(_: QueueItem) -> bool:
    return False


async def fetched(job: Job, tmp_path: Path, s3_files: S3Files | None = None) -> bytes:
    await (s3_files or files()).fetch(job, tmp_path / "input", FetchLimits())
    return (tmp_path / "input").read_bytes()


async def test_an_input_is_read_with_the_connection_of_the_job(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "clip.mov", b"an input")
    assert await fetched(job(s3.endpoint), tmp_path) == b"an input"
    masked = "s3://uploads/a?b=***"
    await s3.put("uploads", "a?b=c", b"another")
    encrypted = KEYRING.encrypt("s3://uploads/a?b=c", f"{PROJECT}:input")
    assert await fetched(job(s3.endpoint, input=masked, encrypted_input=encrypted), tmp_path) == b"another"


async def test_the_secret_of_another_project_or_connection_cannot_be_used(s3: S3Server, tmp_path: Path) -> None:
    for foreign in ({"project": "prj_2"}, {"connection_id": "conn_2"}):
        with pytest.raises(DecryptionError):
            await fetched(job(s3.endpoint, **foreign), tmp_path)


async def test_without_a_connection_only_the_operator_s_buckets_are_read(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    await s3.put("uploads", "clip.mov", b"an input")
    allowed = files(InstallationStore(frozenset({"uploads"}), s3.endpoint, REGION))
    plain = job(s3.endpoint, connection_id=None, connection=None)
    assert await fetched(plain, tmp_path, allowed) == b"an input"
    deleted = job(s3.endpoint, connection=None)
    for refused, by in ((plain, files()), (deleted, allowed)):
        with pytest.raises(StoreFailed) as failed:
            await fetched(refused, tmp_path, by)
        assert (failed.value.fault.kind, failed.value.retriable) == ("connection_missing", False)


async def test_an_endpoint_of_a_private_network_is_not_contacted(answers: Answers, tmp_path: Path) -> None:
    strict = S3Files(EgressPolicy(()), KEYRING, InstallationStore())
    with pytest.raises(StoreFailed) as failed:
        await fetched(job(answers.url), tmp_path, strict)
    assert failed.value.fault.kind == "storage_forbidden" and not answers.requests


async def test_an_output_is_stored_once_its_store_works_again(s3: S3Server, made: Path) -> None:
    async with Proxy(s3.endpoint) as proxy:
        await proxy.cut()
        behind = job(f"http://127.0.0.1:{proxy.port}")
        storing = asyncio.create_task(files().store(behind, item(), OUTPUT, made, "video/mp4", held))
        await asyncio.sleep(0.1)
        assert not storing.done()
        await proxy.restore()
        await storing
    assert await s3.get(OUTPUT.bucket, OUTPUT.key) == b"an output"


async def test_a_store_that_stays_away_fails_the_job_after_a_time(made: Path, unused_tcp_port: int) -> None:
    with pytest.raises(StoreFailed) as failed:
        away = job(f"http://127.0.0.1:{unused_tcp_port}")
        await files(seconds=0).store(away, item(), OUTPUT, made, "video/mp4", held)
    assert (failed.value.fault.kind, failed.value.retriable) == ("storage_unreachable", False)


async def test_an_attempt_without_its_lease_stores_nothing(s3: S3Server, made: Path) -> None:
    async def lost(_: QueueItem) -> bool:
        return True

    with pytest.raises(LeaseLost):
        await files().store(job(s3.endpoint), item(), OUTPUT, made, "video/mp4", lost)
    assert OUTPUT.key not in await s3.keys(OUTPUT.bucket)


async def test_an_attempt_that_was_frozen_past_its_lease_does_not_replace_the_later_output(
    s3: S3Server, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "later").write_bytes(b"of attempt 2")

    async def held_until_just_now(_: QueueItem) -> bool:
        # Postgres has answered, then this process stands still until attempt 2 has ended.
        await files().store(job(s3.endpoint), item(2), OUTPUT, tmp_path / "later", "video/mp4", held)
        return False

    with pytest.raises(LeaseLost):
        await files().store(job(s3.endpoint), item(1), OUTPUT, made, "video/mp4", held_until_just_now)
    assert await s3.get(OUTPUT.bucket, OUTPUT.key) == b"of attempt 2"


async def test_nothing_stays_of_a_job_that_is_cancelled_at_its_last_write(s3: S3Server, made: Path) -> None:
    asked: list[int] = []

    async def held_at_first(_: QueueItem) -> bool:
        asked.append(1)
        if len(asked) == 1:
            # The write follows at once: the store may take it, whether or not its response is awaited.
            asyncio.get_running_loop().call_later(0.001, storing.cancel)
        return False

    storing = asyncio.create_task(files().store(job(s3.endpoint), item(), OUTPUT, made, "video/mp4", held_at_first))
    await asyncio.wait([storing])
    if storing.cancelled():
        assert len(asked) == 2, "it was asked again before anything was deleted"

        async def gone() -> bool:
            return OUTPUT.key not in await s3.keys(OUTPUT.bucket)

        await until(gone)


@pytest.mark.parametrize("reason", get_args(S3Reason))
@pytest.mark.parametrize("direction", ["read", "write"])
def test_each_failure_has_a_published_code_and_a_sentence(reason: S3Reason, direction: Any) -> None:
    error = S3Error(reason, code="SomeCode", region="eu-west-3", limit=5, received=7, detail="It is private.")
    failed = store_failed(error, direction, "uploads")
    assert failed.fault.kind in FAULTS
    assert failed.fault.message.endswith(".") and "{" not in failed.fault.message
    assert failed.retriable is error.retriable and not failed.given_up().retriable


def test_the_causes_that_customers_can_mend_have_codes_of_their_own() -> None:
    reasons: list[S3Reason] = [
        *("bucket_not_found", "object_not_found", "denied", "credentials", "wrong_region"),
        *("clock_skew", "object_vanished", "object_changed"),
    ]
    kinds = [store_failed(S3Error(reason), "read", "uploads").fault.kind for reason in reasons]
    assert kinds == [
        *("storage_bucket_not_found", "storage_object_not_found", "storage_denied", "storage_credentials_invalid"),
        *("storage_wrong_region", "storage_clock_skew", "storage_object_vanished", "storage_object_changed"),
    ]
    wrong = store_failed(S3Error("wrong_region", region="eu-west-3"), "read", "uploads")
    assert wrong.fault.message == "The bucket uploads is in another region: eu-west-3."


def test_an_output_has_the_same_address_in_each_attempt_of_a_run() -> None:
    info = MediaInfo(kind="image", format="jpeg", content_type="image/jpeg", filesize=7, width=640, height=360)
    wanted = job("http://x", destination="s3://processed/{date}/{time}/{filename}-{width}x{height}.{ext}")
    outputs = [describe(wanted, JobOutput(Path("x"), info), attempt) for attempt in (1, 2)]
    addresses = {str(destination_of(wanted, output, 1_775_226_301_000)) for output in outputs}
    assert addresses == {"s3://processed/2026-04-03/142501/clip-640x360.jpg"}


def test_the_server_of_an_input_is_what_counts_for_the_bounds() -> None:
    assert server_of(job("http://store:9000")) == "http://store:9000"
    assert server_of(job("", connection=None)) == "https://uploads.s3.amazonaws.com/"
    assert server_of(job("", input="https://example.com/a.mov")) == "https://example.com/a.mov"
