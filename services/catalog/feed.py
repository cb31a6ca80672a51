"""Whether events reach us: while they do not, an id that is not here may be good all the same, and 404 a lie."""

import asyncio
from collections.abc import Awaitable, Callable

from chassis.core import logs
from schemas.ids import minted_at_ms
from services.catalog.arrivals import YOUNG_MS

ASK_SECONDS = 1.0
CATCH_UP_MS = 15_000
"""How long after an outage events may still be on their way: a relay pauses for up to 5 s, a handler for up to 10 s."""

log = logs.get_logger(__name__)


class Feed:
    """Remembers outages. `check` raises while events cannot be read or written down; `now_ms` is the clock."""

    def __init__(self, check: Callable[[], Awaitable[None]], now_ms: Callable[[], int]) -> None:
        self._check = check
        self._now_ms = now_ms
        self._asking = asyncio.Lock()
        self._asked_at = 0
        # Until it has answered once, nobody knows what was missed while this service was not there.
        self._silent_since: int | None = 0
        self._failed_at = -CATCH_UP_MS

    async def watch(self) -> None:
        """Asks once a second until cancelled, so that no outage passes unseen."""
        while True:
            await self._ask()
            await asyncio.sleep(ASK_SECONDS)

    async def late(self, id: str) -> bool:
        """Whether an outage may hold up what is to be known of this (well-formed) id."""
        await self._ask()
        return self._silent_since is not None and minted_at_ms(id) >= self._silent_since - YOUNG_MS

    async def _ask(self) -> None:
        async with self._asking:
            now = self._now_ms()
            if now - self._asked_at < ASK_SECONDS * 1000:
                return
            try:
                await self._check()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be heard
                self._failed_at = self._now_ms()
                if self._silent_since is None:
                    self._silent_since = now
                    log.warning("no events reach us", reason=str(error))
            else:
                if self._silent_since is not None and now - self._failed_at > CATCH_UP_MS:
                    self._silent_since = None
            self._asked_at = self._now_ms()
