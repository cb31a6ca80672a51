"""What has to be done now and then: forgetting claims whose time is over, and measuring what waits."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from chassis import logs
from chassis.ledger import Ledger
from chassis.metrics import gauge
from chassis.outage import Outage
from chassis.outbox import Outbox
from services.ingest.store import Store

SERVICE = "ingest"
SWEEP_EVERY = timedelta(minutes=10)
"""Expired claims are taken over where they are met; sweeping only keeps the table small."""
MEASURE_EVERY = timedelta(seconds=5)

log = logs.get(__name__)


async def sweep(store: Store, now_ms: Callable[[], int]) -> None:
    """Forgets expired claims until cancelled."""
    outage = Outage(log, "sweeping claims")
    while True:
        try:
            await store.sweep_claims(now_ms())
        except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words
            await outage.pause(error)
            continue
        outage.over()
        await asyncio.sleep(SWEEP_EVERY.total_seconds())


async def measure(outbox: Outbox, ledger: Ledger) -> None:
    """Keeps the gauges of what waits until cancelled."""
    events = gauge("bitmill_outbox_backlog", "Events that wait to be published.").labels(SERVICE)
    quarantined = gauge("bitmill_outbox_quarantined", "Events that Kafka will not take.").labels(SERVICE)
    queued = gauge("bitmill_ledger_queued", "Items that wait for a worker.").labels(SERVICE)
    running = gauge("bitmill_ledger_running", "Items that are worked on.").labels(SERVICE)
    seconds = gauge("bitmill_ledger_queued_seconds", "Estimated seconds of work that wait.").labels(SERVICE)
    outage = Outage(log, "measuring")
    while True:
        try:
            counts = await ledger.counts()
            events.set(await outbox.backlog())
            quarantined.set(await outbox.quarantined())
        except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words
            await outage.pause(error)
            continue
        outage.over()
        queued.set(counts.queued)
        running.set(counts.running)
        seconds.set(counts.queued_seconds)
        await asyncio.sleep(MEASURE_EVERY.total_seconds())
