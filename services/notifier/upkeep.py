"""What has to be done now and then: forgetting deliveries that are long over, and measuring what waits."""

import asyncio
from datetime import timedelta

from chassis.ledger import Ledger
from chassis.logs import get
from chassis.metrics import gauge
from chassis.outage import Outage
from services.notifier.measure import SERVICE
from services.notifier.store import Store

SWEEP_EVERY = timedelta(hours=1)
MEASURE_EVERY = timedelta(seconds=5)

_log = get(__name__)


async def sweep(store: Store, keep: timedelta) -> None:
    """Forgets deliveries that ended more than `keep` ago, with their attempts, until cancelled."""
    outage = Outage(_log, "sweeping deliveries")
    while True:
        try:
            await store.forget(keep)
        except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words
            await outage.pause(error)
            continue
        outage.over()
        await asyncio.sleep(SWEEP_EVERY.total_seconds())


async def measure(ledger: Ledger) -> None:
    """Keeps the gauges of what waits until cancelled. Deliveries between two attempts wait as well."""
    queued = gauge("bitmill_ledger_queued", "Items that wait for a worker.").labels(SERVICE)
    running = gauge("bitmill_ledger_running", "Items that are worked on.").labels(SERVICE)
    outage = Outage(_log, "measuring")
    while True:
        try:
            counts = await ledger.counts()
        except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words
            await outage.pause(error)
            continue
        outage.over()
        queued.set(counts.queued)
        running.set(counts.running)
        await asyncio.sleep(MEASURE_EVERY.total_seconds())
