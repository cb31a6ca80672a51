"""A bell between coroutines of one process: whoever listens hears the next ring, at once."""

import asyncio
from datetime import timedelta


class Bell:
    """Listen first, look for work, then wait: a ring between the look and the wait is not missed.

    heard = bell.listen()
    ... nothing to do ...
    await heard.within(timedelta(seconds=1))
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wakes everyone who listened before now."""
        self._event.set()
        self._event = asyncio.Event()

    def listen(self) -> "Listening":
        return Listening(self._event)


class Listening:
    """What `Bell.listen` returns."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def within(self, time: timedelta) -> bool:
        """Waits for the ring, at most `time`; whether it rang."""
        try:
            async with asyncio.timeout(time.total_seconds()):
                return await self._event.wait()
        except TimeoutError:
            return False
