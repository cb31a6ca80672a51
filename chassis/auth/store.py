"""Where keys are looked up, and the short memory in front of it."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.keys import ApiKey

TTL_SECONDS = 0.5
"""How long an answer is believed. A revoked key has to be refused within a second."""
MAX_REMEMBERED = 10_000
"""Answers kept at most: a flood of made-up keys must not fill the memory."""


class KeyStore(Protocol):
    """Finds a key by the hash of its text; None where there is none. Revoked keys may be returned as such."""

    async def find(self, hash: str) -> ApiKey | None: ...


class CachedKeys:
    """A KeyStore that asks `find` at most once per `ttl` seconds and key.

    An answer's age counts from before the question was asked, so that no answer is older than `ttl`.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[ApiKey | None]],
        *,
        ttl: float = TTL_SECONDS,
        size: int = MAX_REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._ttl = ttl
        self._size = size
        self._clock = clock
        self._answers: dict[str, tuple[float, ApiKey | None]] = {}

    async def find(self, hash: str) -> ApiKey | None:
        asked_at = self._clock()
        remembered = self._answers.get(hash)
        if remembered is not None and asked_at < remembered[0]:
            return remembered[1]
        key = await self._find(hash)
        # Taken out first, so that the dictionary's order is the order of the answers' age.
        self._answers.pop(hash, None)
        self._answers[hash] = (asked_at + self._ttl, key)
        if len(self._answers) > self._size:
            del self._answers[next(iter(self._answers))]
        return key
