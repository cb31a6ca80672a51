"""The notifier with a real Kafka, a real Postgres and receivers on loopback."""

import hmac
import os
import sys
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook

from chassis.adapters.http.json_body import json_bytes
from chassis.adapters.kafka.admin import ensure_topics
from chassis.core.settings import SettingsError, load
from schemas.delivery import DeliveryUrls
from schemas.events import JobEvent, JobProgressed
from schemas.ids import is_id
from schemas.job_resource import job_resource
from services.notifier.app import Notifier
from services.notifier.schedule import MAX_ATTEMPTS
from services.notifier.settings import Settings
from tests.services.notifier.support import BASE, SECRET, cancelled, failed, job, publish, settings, succeeded, tables
from tests.support.processes import killed_process
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, stall, status, webhook_receiver

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
async def kafka(kafka_bootstrap: str) -> str:
    await ensure_topics(kafka_bootstrap)
    return kafka_bootstrap


async def test_every_terminal_event_is_delivered_signed_and_byte_for_byte_as_the_api_shows_it(
    kafka: str, fresh_dsn: str
) -> None:
    async with (
        webhook_receiver(status(204)) as target,
        Notifier(settings(fresh_dsn, kafka)).run(),
        tables(fresh_dsn) as found,
    ):
        events: list[JobEvent] = [end(job(target.url())) for end in (succeeded, failed, cancelled)]
        await publish(kafka, *events)
        rows = {event.job.id: await until(partial(found.closed, event.job.id)) for event in events}
    assert len(target.received) == 3
    by_id = {request.headers["webhook-id"]: request for request in target.received}
    for event in events:
        row = rows[event.job.id]
        request = by_id[row["id"]]
        assert request.body == json_bytes(job_resource(event.job, DeliveryUrls(BASE))) == row["body"]
        Webhook(SECRET).verify(request.body, request.headers)
        assert is_id(request.headers["webhook-id"], "msg")
        assert request.headers["webhook-timestamp"].isdigit()
        digest = hmac.new(SECRET.encode(), request.body, sha256).hexdigest()
        assert request.headers["ittybit-signature"] == digest
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("bitmill/")
        assert row["state"] == "delivered"


async def test_events_read_again_and_events_before_the_end_make_no_second_delivery(kafka: str, fresh_dsn: str) -> None:
    async with webhook_receiver() as target, Notifier(settings(fresh_dsn, kafka)).run(), tables(fresh_dsn) as found:
        running = job(target.url())
        done = succeeded(running)
        last = succeeded(job(target.url("/last")))
        await publish(kafka, JobProgressed(job=running), done, done, JobProgressed(job=running), done, last)
        await until(lambda: found.closed(done.job.id))
        await until(lambda: found.closed(last.job.id))
        # One more of the same partition: when it is through, so is everything before it.
        await publish(kafka, done)
        after = failed(job(target.url("/after")))
        await publish(kafka, after)
        await until(lambda: found.closed(after.job.id))
        assert len(await found.attempts(done.job.id)) == 1
    assert sorted(request.path for request in target.received) == ["/after", "/hook", "/last"]


async def test_a_retry_survives_a_restart_and_keeps_its_time(kafka: str, fresh_dsn: str) -> None:
    done = None
    async with webhook_receiver(*map(status, (500, 200))) as target:
        done = succeeded(job(target.url()))
        async with Notifier(settings(fresh_dsn, kafka)).run(), tables(fresh_dsn) as found:
            await publish(kafka, done)
            await until(lambda: found.ended(done.job.id))
            await until(lambda: found.queued(done.job.id))
        async with tables(fresh_dsn) as found:
            item = await found.queued(done.job.id)
            attempt = await found.ended(done.job.id)
            assert item and attempt
            assert timedelta(seconds=4) <= item["not_before"] - attempt["finished_at"] <= timedelta(seconds=60)
            await found.advance_time(6)
            async with Notifier(settings(fresh_dsn, kafka)).run():
                await until(lambda: found.closed(done.job.id))
            assert [each["status"] for each in await found.attempts(done.job.id)] == [500, 200]
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for request in (first, second):
        Webhook(SECRET).verify(request.body, request.headers)


async def test_rolling_restarts_do_not_exhaust_a_delivery(kafka: str, fresh_dsn: str) -> None:
    """Each stops the notifier in the middle of an attempt, more often than a delivery has attempts."""
    restarts = MAX_ATTEMPTS + 1
    async with webhook_receiver(*[stall()] * restarts, status(200)) as target, tables(fresh_dsn) as found:
        done = succeeded(job(target.url()))
        await publish(kafka, done)
        for number in range(1, restarts + 1):
            async with Notifier(settings(fresh_dsn, kafka)).run():
                await until(partial(has_received, target, number))
            assert await found.attempts(done.job.id) == []
        async with Notifier(settings(fresh_dsn, kafka)).run():
            await until(lambda: found.closed(done.job.id))
        attempts = await found.attempts(done.job.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, 200)]


def has_received(target: WebhookReceiver, count: int) -> bool:
    return len(target.received) >= count


async def test_an_attempt_cut_short_by_sigkill_is_repeated_with_the_same_id(
    kafka: str, fresh_dsn: str, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DATABASE_URL": fresh_dsn,
        "STORAGE_URL": f"file://{tmp_path}",
        "PUBLIC_URL": BASE,
        "WEBHOOK_SECRET": SECRET,
        "ALLOW_NET": "127.0.0.0/8",
        "HTTP_PORT": "0",
        "LOG_FORMAT": "json",
    }
    async with webhook_receiver(stall(), status(200)) as target:
        done = succeeded(job(target.url()))
        command = (sys.executable, "-m", "cli", "serve", "notifier")
        with (tmp_path / "log").open("wb") as log:
            async with killed_process(*command, env=environment, cwd=tmp_path, stdout=log, stderr=log):
                await publish(kafka, done)
                await until(lambda: len(target.received) >= 1)
        async with tables(fresh_dsn) as found, Notifier(settings(fresh_dsn, kafka)).run():
            await found.advance_time(15)
            await until(lambda: found.closed(done.job.id))
            attempts = await found.attempts(done.job.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, None), (2, 200)]
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert SECRET.encode() not in (tmp_path / "log").read_bytes()


async def test_two_notifiers_share_the_work_and_send_each_webhook_once(kafka: str, fresh_dsn: str) -> None:
    async with (
        webhook_receiver() as target,
        Notifier(settings(fresh_dsn, kafka)).run(),
        Notifier(settings(fresh_dsn, kafka)).run(),
        tables(fresh_dsn) as found,
    ):
        events = [succeeded(job(target.url())) for _ in range(20)]
        await publish(kafka, *events)
        for event in events:
            await until(partial(found.closed, event.job.id))
    assert len(target.received) == len({request.headers["webhook-id"] for request in target.received}) == 20


async def test_a_slow_receiver_delays_only_its_own_deliveries(kafka: str, fresh_dsn: str) -> None:
    few = settings(fresh_dsn, kafka, notifier_slots=4, notifier_slots_per_host=2)
    async with (
        webhook_receiver(stall()) as slow,
        webhook_receiver() as quick,
        Notifier(few).run(),
        tables(fresh_dsn) as found,
    ):
        project = job(None).project
        stuck = [succeeded(job(slow.url(), project=project)) for _ in range(8)]
        await publish(kafka, *stuck)
        await until(lambda: len(slow.received) == 2)
        url = quick.url().replace("127.0.0.1", "localhost")
        events = [succeeded(job(url, project=project)) for _ in range(5)]
        await publish(kafka, *events)
        for event in events:
            await until(partial(found.closed, event.job.id))
        assert len(slow.received) == 2


async def test_a_private_address_is_refused_unless_it_is_allowed(kafka: str, fresh_dsn: str) -> None:
    closed = settings(fresh_dsn, kafka, allow_net=())
    async with webhook_receiver() as target, Notifier(closed).run(), tables(fresh_dsn) as found:
        done = succeeded(job(target.url()))
        await publish(kafka, done)
        attempt = await until(lambda: found.ended(done.job.id))
        assert (attempt["status"], attempt["error"], attempt["excerpt"]) == (None, "unreachable", b"")
        assert target.connections == 0


async def test_the_checks_pass_once_it_is_ready(kafka: str, fresh_dsn: str) -> None:
    notifier = Notifier(settings(fresh_dsn, kafka))
    assert set(notifier.checks()) == {"postgres", "kafka"}
    async with notifier.run():

        async def ready() -> bool:
            for check in notifier.checks().values():
                await check()
            return True

        assert await until(ready)


async def test_attempts_are_counted_by_result_and_the_first_is_timed(kafka: str, fresh_dsn: str) -> None:
    def read(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"service": "notifier", **labels}) or 0

    names = ("delivered", "retry", "gave_up")
    before = {name: read("bitmill_webhook_attempts_total", result=name) for name in names}
    firsts = read("bitmill_webhook_first_attempt_seconds_count")
    async with (
        webhook_receiver(status(200)) as good,
        webhook_receiver(status(500)) as bad,
        webhook_receiver(status(410)) as gone,
        Notifier(settings(fresh_dsn, kafka)).run(),
        tables(fresh_dsn) as found,
    ):
        events = [succeeded(job(target.url())) for target in (good, bad, gone)]
        await publish(kafka, *events)
        for event in events:
            await until(partial(found.ended, event.job.id))
        # Other tests' jobs may be on the same topic: at least ours are counted.
        await until(lambda: all(read("bitmill_webhook_attempts_total", result=name) > before[name] for name in names))
        assert read("bitmill_webhook_first_attempt_seconds_count") >= firsts + 3


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_c2hvcnQ="])
def test_a_secret_that_cannot_sign_stops_the_start_without_being_shown(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET must be") as refused:
        load(Settings, database_url="postgresql://h/d", storage_url="file:///tmp")
    assert secret not in str(refused.value)


def test_a_missing_secret_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET is required"):
        load(Settings, database_url="postgresql://h/d", storage_url="file:///tmp")
