"""`bitmill jobs inspect` on a real Postgres with the tables of all services, filled by their own code."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from chassis.adapters.postgres import Pool, open_pool
from chassis.core.ids import new_id
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from cli.__main__ import main
from cli.jobs import address_of
from schemas.delivery import DeliverySigner
from schemas.events import JobStarted
from schemas.faults import Fault
from schemas.jobs import Job
from schemas.topics import Service
from services.catalog.projection import Projection
from services.catalog.snapshots import job_snapshot
from services.catalog.store import Store as CatalogStore
from services.ingest.jobs import JobWriter
from services.ingest.store import Store as IngestStore
from services.notifier.deliveries import DeliveryQueue
from services.notifier.schedule import AttemptResult
from services.notifier.store import DeliveryAttempt, EndedAttempt
from services.notifier.store import Store as NotifierStore
from tests.services.notifier.support import BASE, job, succeeded

SIGNED = "https://hooks.example.com/in?signature=do-not-show"


@dataclass
class System:
    """All services' tables in one database."""

    dsn: str
    capsys: pytest.CaptureFixture[str]

    @asynccontextmanager
    async def pool(self, service: Service) -> AsyncIterator[Pool]:
        async with await open_pool(self.dsn, service, size=2) as opened:
            yield opened

    async def accept(self, of: Job) -> None:
        async with self.pool("ingest") as pool:
            await JobWriter(IngestStore(pool), Outbox(pool, "ingest")).accept(of)

    async def project(self, of: Job) -> None:
        event = JobStarted(job=of)
        async with self.pool("catalog") as pool:
            await Projection(CatalogStore(pool), lambda names: None).jobs(
                [job_snapshot(event, event.model_dump_json().encode())]
            )

    async def inspect(self, id: str, *options: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = await asyncio.to_thread(main, ["jobs", "inspect", id, *options])
        return status, *self.capsys.readouterr()


@pytest.fixture
async def system(fresh_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> System:
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", fresh_dsn)
    assert await asyncio.to_thread(main, ["migrate"]) == 0
    return System(fresh_dsn, capsys)


async def test_an_accepted_job_waits_in_the_outbox_of_ingest(system: System) -> None:
    new = job(SIGNED)
    await system.accept(new)
    status, out, _ = await system.inspect(new.id, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["ingest"]["project"] == new.project and found["ingest"]["ended"] is None
    assert [event["type"] for event in found["ingest"]["unpublished"]] == ["bitmill.job.created.v1"]
    assert (found["workers"], found["catalog"], found["webhook"]) == ({}, None, None)
    text = (await system.inspect(new.id))[1]
    assert "bitmill.job.created.v1 since " in text and "not in Kafka yet" in text
    assert "no worker has it in its queue" in text and "no event about it was read yet" in text


async def test_a_worker_shows_attempts_their_end_and_when_the_next_one_is(system: System) -> None:
    new = job(None)
    await system.accept(new)
    async with system.pool("transcoder") as pool:
        queue = JobQueue(pool, Outbox(pool, "transcoder"))
        async with pool.acquire() as conn:
            await queue.add(conn, id=new.id, project=new.project, kind="video", payload={})
        item = await queue.claim("worker-1")
        assert item is not None
        running = json.loads((await system.inspect(new.id, "--json"))[1])["workers"]["transcoder"]["queue"]
        assert (running["state"], running["worker"], running["attempt"]) == ("running", "worker-1", 1)
        assert running["lease_expired"] is False and running["next_attempt_at"] is None
        await queue.retry(item, timedelta(hours=1), f"503 of {SIGNED}", deferred="unexpected_status", counts=False)
    queued = json.loads((await system.inspect(new.id, "--json"))[1])["workers"]["transcoder"]["queue"]
    assert (queued["state"], queued["worker"], queued["deferrals"]) == ("queued", None, 1)
    assert queued["next_attempt_at"] - queued["started_at"] >= 3_600_000
    text = (await system.inspect(new.id))[1]
    assert "attempts      1, 1 deferred for the input's server" in text
    assert "last error    503 of https://hooks.example.com/in\n" in text


async def test_the_catalog_shows_what_customers_see(system: System) -> None:
    new = job(None)
    waiting = new.retry(Fault(kind="input_unreachable", message="No."), new.created_at, new.created_at + 60_000)
    await system.project(waiting)
    status, out, _ = await system.inspect(new.id, "--json")
    found = json.loads(out)
    assert status == 0, "a job that only the catalog knows is known"
    assert (found["catalog"]["status"], found["catalog"]["retry_at"]) == ("processing", waiting.retry_at)
    assert found["catalog"]["tasks"][0]["error"]["kind"] == "input_unreachable"
    text = (await system.inspect(new.id))[1]
    assert "accepted      no" in text and "step import   waiting, input_unreachable" in text


async def test_the_webhook_is_shown_with_its_attempts(system: System) -> None:
    ended = succeeded(job(SIGNED)).job
    await system.accept(ended)
    async with system.pool("notifier") as pool:
        store = NotifierStore(pool)
        queue = JobQueue(pool, Outbox(pool, "notifier"))
        await DeliveryQueue(pool, queue, store, DeliverySigner(BASE, None, timedelta(hours=1))).add_for([ended])
        item = await queue.claim("worker-1")
        assert item is not None
        begun = await store.begin_attempt(item.id)
        assert isinstance(begun, DeliveryAttempt)
        async with store.transaction() as conn:
            result = AttemptResult(503, address="192.0.2.1", seconds=0.25)
            await store.end_attempts(conn, [EndedAttempt(begun, result)])
        await queue.retry(item, timedelta(minutes=5), "503", counts=False)
    webhook = json.loads((await system.inspect(ended.id, "--json"))[1])["webhook"]
    assert (webhook["id"], webhook["state"], webhook["attempts"][0]["status"]) == (item.id, "pending", 503)
    assert webhook["queue"]["next_attempt_at"] > webhook["created_at"]
    text = (await system.inspect(ended.id))[1]
    assert "503 from 192.0.2.1 in 0.25 s" in text and "address       https://hooks.example.com/in?signature=***" in text


async def test_no_secret_of_an_address_is_shown(system: System) -> None:
    signed_input = "https://user:do-not-show@bucket.example/a.mov?X-Amz-Signature=do-not-show"
    ended = succeeded(job(SIGNED).model_copy(update={"input": signed_input})).job
    await system.accept(ended)
    await system.project(ended)
    async with system.pool("notifier") as pool:
        queue = JobQueue(pool, Outbox(pool, "notifier"))
        signer = DeliverySigner(BASE, None, timedelta(hours=1))
        await DeliveryQueue(pool, queue, NotifierStore(pool), signer).add_for([ended])
    for options in ((), ("--json",)):
        status, out, err = await system.inspect(ended.id, *options)
        assert status == 0 and "***" in out
        assert "do-not-show" not in out + err


async def test_an_unknown_job_is_said(system: System) -> None:
    id = new_id("job")
    status, out, err = await system.inspect(id)
    assert (status, out) == (1, "")
    assert err == f"bitmill: no service knows the job {id}: it was never accepted here, or was purged\n"


async def test_what_is_no_id_of_a_job_is_refused(system: System) -> None:
    status, out, err = await system.inspect("med_01h455vb4pex5vsknk084sn02q")
    assert (status, out) == (2, "") and "JOB_ID must be the id of a job" in err


async def test_a_service_that_cannot_be_asked_is_named_and_the_others_are_shown(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = job(None)
    await system.accept(new)
    monkeypatch.setenv("THUMBNAILER_DATABASE_URL", "postgresql://nobody:do-not-show@127.0.0.1:1/none")
    connection = await asyncpg.connect(system.dsn)
    try:
        await connection.execute("DROP SCHEMA catalog CASCADE")
    finally:
        await connection.close()
    status, out, err = await system.inspect(new.id, "--json")
    found = json.loads(out)
    assert status == 1 and found["ingest"]["project"] == new.project
    assert found["unavailable"].keys() == {"catalog", "thumbnailer"}
    assert "run `bitmill migrate catalog`" in err and "thumbnailer could not be asked" in err
    assert "do-not-show" not in out + err


def test_each_service_is_asked_at_its_own_address_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://all/x")
    own = {"CATALOG_DATABASE_URL": "postgresql://catalog/x"}
    arguments = argparse.Namespace(data=None)
    assert address_of("catalog", arguments, own) == "postgresql://catalog/x"
    assert address_of("ingest", arguments, own) == "postgresql://all/x"
