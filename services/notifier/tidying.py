"""Forgetting what is long over, so that the tables do not grow for ever."""

import asyncio
from datetime import timedelta

from chassis.logs import get
from services.notifier.store import Store

EVERY = timedelta(hours=1)

_log = get(__name__)


async def forget_old(store: Store, keep: timedelta, every: timedelta = EVERY) -> None:
    """Deletes deliveries that ended more than `keep` ago, with their attempts; runs until cancelled."""
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            gone = await store.forget(keep)
        except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words; the next hour comes
            _log.warning("old_deliveries_not_forgotten", reason=f"{type(error).__name__}: {error}")
        else:
            _log.debug("old_deliveries_forgotten", deliveries=gone)
