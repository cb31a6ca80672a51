"""What has to be done now and then: forgetting deliveries that are long over."""

from datetime import timedelta

from chassis.core import logs
from chassis.core.retry import run_periodically
from services.notifier.store import Store

SWEEP_EVERY = timedelta(hours=1)

log = logs.get_logger(__name__)


async def sweep(store: Store, keep: timedelta) -> None:
    """Forgets deliveries that ended more than `keep` ago, with their attempts, until cancelled."""
    await run_periodically(lambda: store.forget(keep), SWEEP_EVERY, log, "sweeping deliveries")
