"""Webhook secrets of projects on a real Postgres: a project's webhooks are signed with its own secrets only."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.encryption import Keyring, protect_url
from chassis.core.host_limiter import HostLimiter
from chassis.core.ids import new_id
from chassis.runtime.job_queue import Complete, JobQueue
from chassis.runtime.outbox import Outbox
from schemas.delivery import DeliverySigner
from schemas.jobs import url_context
from schemas.projects import Project
from services.notifier import webhook_secrets
from services.notifier.app import Notifier
from services.notifier.deliveries import DeliveryQueue, DeliveryRunner
from services.notifier.host_slots import HostSlots
from services.notifier.sender import Sender
from services.notifier.store import Store
from services.notifier.webhook_secrets import MAX_ACTIVE, TooManySecrets
from tests.services.notifier.support import BASE, LOOPBACK, SECRET, job, succeeded
from tests.support.webhook_receiver import Received, WebhookReceiver, webhook_receiver

KEYRING = Keyring([b"k" * 32])
DAY = timedelta(days=1)


class Notifications:
    """Queues and sends the webhook of a new job of a project; returns what the receiver got."""

    def __init__(self, pool: Pool, runner: DeliveryRunner, receiver: WebhookReceiver) -> None:
        self.pool = pool
        self.runner = runner
        self.receiver = receiver
        self._queue = JobQueue(pool, Outbox(pool, "notifier"))
        signer = DeliverySigner(BASE, KEYRING.derive, DAY)
        self._deliveries = DeliveryQueue(pool, self._queue, runner.store, signer)

    async def send(self, project: str, url: str | None = None) -> Received:
        shown, encrypted = protect_url(KEYRING, url or self.receiver.url(), url_context(project, "webhook_url"))
        finished = succeeded(job(shown, project=project)).job
        await self._deliveries.add_for([finished.model_copy(update={"encrypted_webhook_url": encrypted})])
        item = await self._queue.claim("worker")
        assert item is not None
        outcome = await self.runner.work(item)
        assert isinstance(outcome, Complete)
        await self._queue.finish(item, outcome.state, *outcome.events, also=outcome.also)
        return self.receiver.received[-1]


@pytest.fixture
async def notifications(fresh_dsn: str) -> AsyncIterator[Notifications]:
    await migrate(fresh_dsn, Notifier.spec.name, Notifier.spec.all_migrations)
    async with (
        await open_pool(fresh_dsn, Notifier.spec.name) as pool,
        webhook_receiver() as receiver,
    ):
        runner = DeliveryRunner(
            store=Store(pool),
            sender=Sender(EgressPolicy(LOOPBACK), ResponseLimits(), deadline_s=60),
            hosts=HostSlots(HostLimiter(8)),
            secret=SECRET,
            keyring=KEYRING,
            user_agent="bitmill/test",
            jitter=lambda: 0,
        )
        yield Notifications(pool, runner, receiver)


def verifies(received: Received, secret: str) -> bool:
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_the_secret_of_one_project_does_not_verify_the_webhooks_of_another(notifications: Notifications) -> None:
    one, two = new_id("prj"), new_id("prj")
    first = await webhook_secrets.add_first_secret(notifications.pool, KEYRING, one)
    second = await webhook_secrets.add_first_secret(notifications.pool, KEYRING, two)
    received = await notifications.send(one)
    assert verifies(received, first)
    assert not verifies(received, second)
    assert not verifies(received, SECRET)


async def test_a_project_without_a_secret_signs_with_that_of_the_installation(notifications: Notifications) -> None:
    assert verifies(await notifications.send(new_id("prj")), SECRET)


async def test_a_replaced_secret_signs_until_the_overlap_ends(notifications: Notifications) -> None:
    project = new_id("prj")
    old = await webhook_secrets.add_first_secret(notifications.pool, KEYRING, project)
    new = await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, DAY)
    during = await notifications.send(project)
    assert verifies(during, old)
    assert verifies(during, new)
    await notifications.pool.execute("UPDATE webhook_secrets SET expires_at = expires_at - interval '25 hours'")
    after = await notifications.send(project)
    assert verifies(after, new)
    assert not verifies(after, old)


async def test_the_first_rotation_lets_the_secret_of_the_installation_sign_for_the_overlap(
    notifications: Notifications,
) -> None:
    project = new_id("prj")
    new = await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, DAY)
    received = await notifications.send(project)
    assert verifies(received, SECRET)
    assert verifies(received, new)
    assert [secret.own for secret in await webhook_secrets.list_secrets(notifications.pool, project)] == [True, False]


async def test_without_an_overlap_the_old_secret_ends_at_once(notifications: Notifications) -> None:
    project = new_id("prj")
    old = await webhook_secrets.add_first_secret(notifications.pool, KEYRING, project)
    new = await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, timedelta(0))
    received = await notifications.send(project)
    assert verifies(received, new)
    assert not verifies(received, old)


async def test_only_so_many_secrets_are_active_at_a_time(notifications: Notifications) -> None:
    project = new_id("prj")
    for _ in range(MAX_ACTIVE - 1):
        await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, DAY)
    with pytest.raises(TooManySecrets):
        await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, DAY)


async def test_too_many_secrets_can_all_be_ended_at_once(notifications: Notifications) -> None:
    """A secret that became known must be replaceable however often it was rotated before."""
    project = new_id("prj")
    for _ in range(MAX_ACTIVE - 1):
        await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, DAY)
    new = await webhook_secrets.rotate_secret(notifications.pool, KEYRING, project, timedelta(0))
    assert verifies(await notifications.send(project), new)
    assert len(await webhook_secrets.list_secrets(notifications.pool, project)) == 1


async def test_secrets_and_signed_addresses_are_not_readable_in_the_tables(notifications: Notifications) -> None:
    project = new_id("prj")
    secret = await webhook_secrets.add_first_secret(notifications.pool, KEYRING, project)
    received = await notifications.send(project, f"{notifications.receiver.url()}?token=hush")
    assert received.path == "/hook?token=hush"
    dump = ""
    for table in ("webhook_secrets", "deliveries", "job_queue", "delivery_attempts"):
        dump += str([dict(row) for row in await notifications.pool.fetch(f"SELECT * FROM {table}")])
    assert "token=***" in dump
    assert "hush" not in dump
    assert secret.removeprefix("whsec_") not in dump


async def test_a_missing_key_costs_no_attempt(notifications: Notifications) -> None:
    project = new_id("prj")
    await webhook_secrets.add_first_secret(notifications.pool, KEYRING, project)
    without = Notifications(notifications.pool, replace(notifications.runner, keyring=None), notifications.receiver)
    with pytest.raises(ConnectionError, match="ENCRYPTION_KEYS is not set"):
        await without.send(project)
    assert notifications.receiver.received == []
    assert await notifications.pool.fetchval("SELECT count(*) FROM delivery_attempts") == 0


async def test_the_webhook_of_a_project_with_signed_delivery_has_a_signed_address(
    notifications: Notifications,
) -> None:
    project = Project(id=new_id("prj"), name="shop", delivery="signed", version=2)
    store = notifications.runner.store
    await store.put_projects([project])
    await store.put_projects([project.model_copy(update={"delivery": "public", "version": 1})])
    assert "&signature=" in (await notifications.send(project.id)).json["output"]["url"]
    await store.put_projects([project.model_copy(update={"delivery": "public", "version": 3})])
    assert "?" not in (await notifications.send(project.id)).json["output"]["url"]
