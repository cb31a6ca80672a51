"""Waiting for what is on its way: an id that was minted a moment ago, a key that was made a moment ago."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from schemas.ids import minted_at_ms

POLL_SECONDS = 0.25
"""The projection may happen in another process, which rings no bell here: look again this often."""
YOUNG_MS = 10_000
"""An id older than this has been projected, or never will be."""
CLOCK_SKEW_MS = 1_000
"""How far another machine's clock may be ahead of ours."""

MAX_WAITING = 500
"""Names waited for at once. Ids can be made up, and each one costs a query per poll: beyond, nobody waits."""

T = TypeVar("T")


def is_young(id: str, now_ms: int) -> bool:
    """Whether the event of this (well-formed) id may still be on its way."""
    return -CLOCK_SKEW_MS <= now_ms - minted_at_ms(id) <= YOUNG_MS


def file_name(project: str, path: str) -> str:
    """The name under which a file at the delivery address is waited for."""
    return f"{project}/{path}"


class Arrivals:
    """Wakes those who wait for a name when its event has been projected."""

    def __init__(self, poll: float = POLL_SECONDS) -> None:
        self._poll = poll
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def announce(self, name: str) -> None:
        """To be called after the projection has been committed."""
        for bell in self._waiting.get(name, ()):
            bell.set()

    async def until(self, name: str, look: Callable[[], Awaitable[T | None]], seconds: float) -> T | None:
        """What `look` finds, looking again whenever `name` is announced, for at most `seconds`; None after that."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (seconds if len(self._waiting) < MAX_WAITING else 0.0)
        # The bell hangs before the first look: nothing is announced in between unheard.
        with self._bell(name) as bell:
            while (found := await look()) is None and (left := deadline - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, self._poll)):
                        await bell.wait()
                except TimeoutError:
                    continue
                bell.clear()
            return found

    @contextmanager
    def _bell(self, name: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        self._waiting.setdefault(name, set()).add(bell)
        try:
            yield bell
        finally:
            others = self._waiting[name]
            others.discard(bell)
            if not others:
                del self._waiting[name]
