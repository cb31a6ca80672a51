"""What has to be done now and then, for as long as the process lives."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

import structlog

from chassis.outage import Outage


async def regularly(
    do: Callable[[], Awaitable[object]], every: timedelta, log: structlog.stdlib.BoundLogger, what: str
) -> NoReturn:
    """Does it at once and then `every` so often, until cancelled. `what` names it in `log` when it fails.

    A failure is logged once and tried on: what is away (Postgres, most often) comes back.
    """
    outage = Outage(log, what)
    while True:
        try:
            await do()
        except Exception as error:  # noqa: BLE001 - whatever is away, in any of its many words
            await outage.pause(error)
            continue
        outage.over()
        await asyncio.sleep(every.total_seconds())
