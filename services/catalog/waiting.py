"""Requests that wait for something to be projected: who is woken, and how many may wait."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_WAITING = 50
"""Requests of one party that wait at the same time. Clients can invent names, and each one costs queries."""


class TooManyWaiting(Exception):
    """The party has as many waiting requests as it may have."""


class WaitingRequests:
    """Wakes requests by the name that they wait for. `limit` bounds each party: a project, or a client's address."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._parties: Counter[str] = Counter()
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def announce(self, names: Iterable[str]) -> None:
        """Wakes the requests that wait for one of `names`; to be called after the commit."""
        if not self._waiting:
            return
        for name in names:
            for announced in self._waiting.get(name, ()):
                announced.set()

    @contextmanager
    def admit(self, party: str, name: str) -> Iterator[asyncio.Event]:
        """An event that `announce` sets as long as the block lasts. Raises `TooManyWaiting`."""
        if self._parties[party] >= self._limit:
            raise TooManyWaiting(party)
        announced = asyncio.Event()
        self._parties[party] += 1
        self._waiting.setdefault(name, set()).add(announced)
        try:
            yield announced
        finally:
            self._waiting[name].discard(announced)
            if not self._waiting[name]:
                del self._waiting[name]
            self._parties[party] -= 1
            if not self._parties[party]:
                del self._parties[party]
