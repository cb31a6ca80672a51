"""What a repeated request gets: the answer of the first one, or the reason why it cannot have it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from schemas.media import MediaItem
from services.ingest.claims import Claim, Claimed
from services.ingest.errors import idempotency_mismatch, key_in_flight
from services.ingest.store import Store

_GRACE = timedelta(seconds=2)
"""Beyond the wait of POST /media: after it, whoever should have answered is gone."""


@dataclass(frozen=True)
class Replays:
    """Answers repetitions. `media_wait` is how long a first request to POST /media may take to be answered."""

    store: Store
    media_wait: timedelta

    async def of_job(self, claim: Claim, project: str) -> bytes:
        """The answer that the first request got. Raises ApiError 409 or 422."""
        found = await self._found(claim, project)
        if found.response is None:
            raise key_in_flight()
        return found.response

    async def of_media(self, claim: Claim, project: str, render: Callable[[MediaItem], bytes], now_ms: int) -> bytes:
        """The answer that the first request got, or will get. Raises ApiError 409 or 422.

        Where the first request's process died before it answered, the item as it stands now becomes the answer.
        """
        found = await self._found(claim, project)
        if found.response is not None:
            return found.response
        item = await self.store.media_item(found.resource_id)
        waited = timedelta(milliseconds=now_ms - found.created_at)
        if item is None or (item.status == "processing" and waited < self.media_wait + _GRACE):
            raise key_in_flight()
        return await self.keep(claim, project, found.resource_id, render(item))

    async def keep(self, claim: Claim, project: str, resource_id: str, answer: bytes) -> bytes:
        """Keeps an answer for repetitions; returns the one that is kept, which is the first."""
        return await self.store.answer_claim(project, claim, resource_id, answer)

    async def _found(self, claim: Claim, project: str) -> Claimed:
        found = await self.store.claimed(project, claim)
        if found is None:
            # It expired between our insert and our look: the next attempt makes it anew.
            raise key_in_flight()
        if found.fingerprint != claim.fingerprint:
            raise idempotency_mismatch()
        return found
