"""Connections over HTTP, and the jobs that use them: what is stored, shown, published and refused."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis.core.encryption import Keyring
from schemas.connections import secret_context
from schemas.events import JobCreated
from services.ingest import keys
from services.ingest.connection_keys import encrypt_anew
from services.ingest.store import Store
from tests.services.ingest.support import EventLog, RunningIngest, running
from tests.support import s3_servers
from tests.support.s3_answers import Answers, s3_answers
from tests.support.servers import Postgres
from tests.support.waiting import until

KEY = os.urandom(32)
SECRET = "a-secret-that-nobody-sees-again"
VIDEO: dict[str, Any] = {"kind": "video", "options": {"width": 1280}}


@pytest.fixture(scope="module")
async def ingest(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningIngest]:
    """An ingest that can encrypt, where the bucket `shared` needs no connection."""
    async with running(
        await postgres_server.database(),
        kafka_bootstrap,
        tmp_path_factory.mktemp("connections"),
        encryption_keys=b64encode(KEY).decode(),
        default_s3_buckets="shared, other",
    ) as started:
        yield started


@pytest.fixture(scope="module")
async def store() -> AsyncIterator[str]:
    """The address of a store that accepts everything."""
    async with s3_servers.moto() as server:
        yield server.endpoint


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    async with s3_answers() as server:
        yield server


@pytest.fixture
async def project(ingest: RunningIngest) -> str:
    """The header of a key of a project without connections."""
    created = await keys.create_key(ingest.pool, f"project {os.urandom(6).hex()}")
    return f"Bearer {created.text}"


def connection(endpoint: str, **changes: Any) -> dict[str, Any]:
    fields = {"kind": "s3", "name": "store", "endpoint": endpoint, "access_key_id": "AKID", "secret_access_key": SECRET}
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


async def test_a_secret_is_never_shown_again_and_never_stored_in_clear(
    ingest: RunningIngest, store: str, project: str
) -> None:
    made = await ingest.post("/connections", connection(store, region="eu-west-1"), Authorization=project)
    assert made.status == 201, made.body
    id = made.body["id"]
    assert made.body | {"id": "", "created_at": 0, "updated_at": 0} == {
        "id": "",
        "object": "connection",
        "kind": "s3",
        "name": "store",
        "endpoint": store,
        "region": "eu-west-1",
        "access_key_id": "AKID",
        "is_default": True,
        "created_at": 0,
        "updated_at": 0,
    }
    one = await ingest.send("GET", f"/connections/{id}", Authorization=project)
    all = await ingest.send("GET", "/connections", Authorization=project)
    assert (one.body, all.body) == (made.body, [made.body])
    row = await ingest.pool.fetchrow("SELECT * FROM connections WHERE id = $1", id)
    assert row is not None and SECRET not in str(dict(row)) + str(made.raw) + str(one.raw) + str(all.raw)
    text = Keyring([KEY]).decrypt(row["encrypted_secret"], secret_context(row["project"], id))
    assert text == SECRET


async def test_the_default_moves_names_are_unique_and_deleted_means_gone(
    ingest: RunningIngest, store: str, project: str
) -> None:
    first = await ingest.post("/connections", connection(store, name="first"), Authorization=project)
    second = await ingest.post("/connections", connection(store, name="second"), Authorization=project)
    assert (first.body["is_default"], second.body["is_default"]) == (True, False)
    taken = await ingest.post("/connections", connection(store, name="first"), Authorization=project)
    assert (taken.status, taken.body["kind"], taken.fields) == (409, "connection_name_taken", {"name"})
    path = f"/connections/{second.body['id']}"
    moved = await ingest.send("PATCH", path, b'{"is_default": true, "name": "main"}', Authorization=project)
    assert (moved.status, moved.body["is_default"], moved.body["name"]) == (200, True, "main")
    listed = await ingest.send("GET", "/connections", Authorization=project)
    assert [(each["name"], each["is_default"]) for each in listed.body] == [("first", False), ("main", True)]
    for method in ("GET", "PATCH", "DELETE"):
        other = await ingest.send(method, path, b"{}" if method == "PATCH" else None)
        assert (other.status, other.body["kind"]) == (404, "connection_not_found"), method
    gone = await ingest.send("DELETE", path, Authorization=project)
    assert (gone.status, gone.body) == (200, {"id": second.body["id"], "object": "connection", "deleted": True})
    assert (await ingest.send("GET", path, Authorization=project)).status == 404


async def test_secrets_are_encrypted_anew_with_the_first_key(ingest: RunningIngest, store: str, project: str) -> None:
    made = [await ingest.post("/connections", connection(store, name=f"c{n}"), Authorization=project) for n in range(3)]
    ids = [each.body["id"] for each in made]
    newer = os.urandom(32)
    rotated = Keyring([newer, KEY])
    assert await encrypt_anew(Store(ingest.pool), rotated, batch=2) >= 3
    assert await encrypt_anew(Store(ingest.pool), rotated) == 0
    rows = await ingest.pool.fetch("SELECT * FROM connections WHERE id = ANY ($1::text[])", ids)
    for row in rows:
        context = secret_context(row["project"], row["id"])
        assert Keyring([newer]).decrypt(row["encrypted_secret"], context) == SECRET
    # As they were: other tests go on with the older key.
    assert await encrypt_anew(Store(ingest.pool), Keyring([KEY, newer])) >= 3


@pytest.mark.parametrize(
    ("status", "code", "extra", "field", "rule"),
    [
        (403, "InvalidAccessKeyId", "", "access_key_id", "is not accepted"),
        (403, "SignatureDoesNotMatch", "", "secret_access_key", "is not the secret of this access key"),
        (400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>", "region", "must be eu-west-3"),
        (404, "NoSuchBucket", "", "bucket", "does not exist"),
        (403, "RequestTimeTooSkewed", "", "endpoint", "the clock of the store"),
        (500, "InternalError", "", "endpoint", "does not answer as a store"),
    ],
)
async def test_a_check_says_which_field_is_wrong(
    ingest: RunningIngest, answers: Answers, project: str, status: int, code: str, extra: str, field: str, rule: str
) -> None:
    answers.error(status, code, extra)
    body = connection(answers.url, bucket="uploads" if field == "bucket" else None)
    refused = await ingest.post("/connections", body, Authorization=project)
    assert (refused.status, refused.body["kind"], refused.fields) == (422, "connection_check_failed", {field})
    assert rule in refused.body["errors"][0]["rule"] and SECRET not in str(refused.raw)
    assert (await ingest.send("GET", "/connections", Authorization=project)).body == []


async def test_a_check_finds_a_missing_server_and_passes_a_key_that_may_not_list(
    ingest: RunningIngest, answers: Answers, project: str, unused_tcp_port: int
) -> None:
    away = connection(f"http://127.0.0.1:{unused_tcp_port}")
    refused = await ingest.post("/connections", away, Authorization=project)
    assert (refused.status, refused.fields) == (422, {"endpoint"})
    unchecked = await ingest.post("/connections", {**away, "check": False}, Authorization=project)
    assert unchecked.status == 201
    answers.error(403, "AccessDenied")
    assert (await ingest.post("/connections", connection(answers.url, name="b"), Authorization=project)).status == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "http://10.0.0.1"}, "endpoint"),
        ({"endpoint": "http://169.254.169.254"}, "endpoint"),
        ({"endpoint": "https://example.com/bucket"}, "endpoint"),
        ({"endpoint": "ftp://example.com"}, "endpoint"),
        ({"endpoint": "http://u:p@example.com"}, "endpoint"),
        ({"region": "EU"}, "region"),
        ({"region": "12"}, "region"),
        ({"region": "eu-"}, "region"),
        ({"name": "a/b"}, "name"),
        ({"kind": "gcs"}, "kind"),
        ({"secret_access_key": "x" * 1025}, "secret_access_key"),
        ({"access_key_id": None}, "access_key_id"),
        ({"secret": "x"}, "secret"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_refused(
    ingest: RunningIngest, project: str, changes: dict[str, Any], field: str
) -> None:
    body = connection(**{"endpoint": "https://example.com", **changes})
    refused = await ingest.post("/connections", body, Authorization=project)
    assert (refused.status, refused.body["kind"], refused.fields) == (400, "invalid_input", {field})
    assert "x" * 20 not in str(refused.raw)


async def test_without_a_key_to_encrypt_with_nothing_is_stored(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path: Path
) -> None:
    async with running(await postgres_server.database(), kafka_bootstrap, tmp_path / "store") as plain:
        refused = await plain.post("/connections", connection("https://example.com", check=False))
        assert (refused.status, refused.body["kind"]) == (501, "connections_disabled")
        assert await plain.count("connections") == 0


async def test_a_job_carries_the_secret_encrypted_in_its_event_and_not_in_its_row(
    ingest: RunningIngest, store: str, project: str, events: EventLog
) -> None:
    made = await ingest.post("/connections", connection(store), Authorization=project)
    body = {**VIDEO, "input": "s3://uploads/clip.mov", "output": "s3://processed/{date}/clip-hd.mp4"}
    job = (await ingest.post("/jobs", body, Authorization=project)).body
    assert (job["status"], job["input"], job["output"]) == ("queued", body["input"], None)
    assert (job["destination"], job["connection_id"]) == (body["output"], made.body["id"])
    event = await events.first(JobCreated, job["id"])
    access = event.job.connection
    assert access is not None and (access.endpoint, access.access_key_id) == (store, "AKID")
    context = secret_context(event.job.project, made.body["id"])
    assert Keyring([KEY]).decrypt(access.encrypted_secret, context) == SECRET
    assert SECRET not in event.model_dump_json()
    row = await ingest.pool.fetchval("SELECT request::text FROM jobs WHERE id = $1", job["id"])
    assert SECRET not in row and access.encrypted_secret not in row and made.body["id"] in row


async def test_a_connection_may_be_named_beside_the_options_or_in_them(
    ingest: RunningIngest, store: str, project: str, events: EventLog
) -> None:
    await ingest.post("/connections", connection(store, name="default"), Authorization=project)
    second = (await ingest.post("/connections", connection(store, name="second"), Authorization=project)).body["id"]
    body = {**VIDEO, "input": "s3://uploads/clip.mov"}
    inside = {**body, "options": {"width": 1280, "connection_id": second}}
    for sent in ({**body, "connection_id": second}, inside, {**inside, "connection_id": second}):
        job = await ingest.post("/jobs", sent, Authorization=project)
        assert (job.status, job.body["connection_id"], job.body["options"]) == (201, second, {"width": 1280})
    refused = await ingest.post("/jobs", {**inside, "connection_id": "conn_" + "0" * 26}, Authorization=project)
    assert refused.status == 400 and "connection_id" in refused.body["message"]


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"input": "s3://uploads"}, "input", "must have a key"),
        ({"input": "s3://uploads/folder/"}, "input", "not a folder"),
        ({"output": "https://example.com/a"}, "output", "must start with s3://"),
        ({"output": "s3://processed/{filname}.mp4"}, "output", "did you mean filename"),
        ({"output": "s3://processed/{metadata.user}.mp4"}, "output", "metadata has no value for it"),
        ({"output": "s3://processed/{metadata.way}/a.mp4"}, "output", "without the parts . and .."),
        ({"output": "s3://uploads/clip.mov"}, "output", "must not be the input itself"),
        ({"connection_id": "conn_1"}, "connection_id", "must be the id of a connection (conn_"),
        ({"connection_id": "conn_00000000000000000000000000"}, "connection_id", "of this project"),
    ],
)
async def test_a_job_whose_addresses_cannot_be_used_is_refused_when_it_is_sent(
    ingest: RunningIngest, store: str, project: str, changes: dict[str, Any], field: str, rule: str
) -> None:
    await ingest.post("/connections", connection(store), Authorization=project)
    body = {**VIDEO, "input": "s3://uploads/clip.mov", "metadata": {"way": ".."}, **changes}
    refused = await ingest.post("/jobs", body, Authorization=project)
    assert (refused.status, refused.fields) == (400, {field}), refused.body
    assert rule in refused.body["errors"][0]["rule"]


async def test_without_a_connection_only_the_operator_s_buckets_can_be_used(
    ingest: RunningIngest, project: str, events: EventLog
) -> None:
    body = {**VIDEO, "input": "s3://shared/clip.mov", "output": "s3://other/clip.mp4"}
    job = await ingest.post("/jobs", body, Authorization=project)
    assert (job.status, job.body["connection_id"]) == (201, None)
    assert (await events.first(JobCreated, job.body["id"])).job.connection is None
    both = {**body, "input": "s3://uploads/clip.mov", "output": "s3://processed/clip.mp4"}
    refused = await ingest.post("/jobs", both, Authorization=project)
    assert (refused.status, refused.fields) == (400, {"input", "output"})
    assert "connection_id" in refused.body["message"] and "DEFAULT_S3_BUCKETS" in refused.body["message"]


async def test_a_retried_job_gets_what_its_connection_has_now(
    ingest: RunningIngest, store: str, project: str, events: EventLog
) -> None:
    id = (await ingest.post("/connections", connection(store), Authorization=project)).body["id"]
    job = (await ingest.post("/jobs", {**VIDEO, "input": "s3://uploads/clip.mov"}, Authorization=project)).body["id"]
    first = await events.first(JobCreated, job)
    ended = "UPDATE jobs SET ended = 'failed', ended_at = created_at WHERE id = $1"
    await ingest.pool.execute(ended, job)
    patched = await ingest.send(
        "PATCH",
        f"/connections/{id}",
        b'{"secret_access_key": "another", "access_key_id": "AK2"}',
        Authorization=project,
    )
    assert (patched.status, patched.body["access_key_id"]) == (200, "AK2")
    assert (await ingest.post(f"/jobs/{job}/retry", Authorization=project)).status == 200

    def announced() -> JobCreated | None:
        created = (event for event in events.of(job) if isinstance(event, JobCreated))
        return next((event for event in created if event.job.run == 2), None)

    second: JobCreated = await until(announced)
    assert first.job.connection and second.job.connection and second.job.connection.access_key_id == "AK2"
    await ingest.pool.execute(ended, job)
    await ingest.send("DELETE", f"/connections/{id}", Authorization=project)
    refused = await ingest.post(f"/jobs/{job}/retry", Authorization=project)
    assert (refused.status, refused.body["kind"]) == (409, "connection_missing")
