"""What has to be done now and then: forgetting claims whose time is over."""

from collections.abc import Callable
from datetime import timedelta

from chassis.core import logs
from chassis.core.retry import run_periodically
from services.ingest.store import Store

SWEEP_EVERY = timedelta(minutes=10)
"""Expired claims are taken over where they are met; sweeping only keeps the table small."""

log = logs.get_logger(__name__)


async def sweep(store: Store, now_ms: Callable[[], int]) -> None:
    """Forgets expired claims until cancelled."""
    await run_periodically(lambda: store.sweep_claims(now_ms()), SWEEP_EVERY, log, "sweeping claims")
