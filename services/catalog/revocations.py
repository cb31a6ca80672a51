"""Revoked keys, as ingest announces them on a channel of Postgres: they may be here before their event is.

See decision 0020.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from chassis.adapters.http.errors import unavailable
from chassis.adapters.postgres import PostgresUnavailable
from chassis.core import logs
from schemas.keys import ApiKey, InvalidRevocations, Revocation, parse_revocations

MAX_REMEMBERED = 100_000
RETRY_AFTER_SECONDS = 2

log = logs.get_logger(__name__)


class Revocations:
    """`confirm` returns once every announcement up to a moment ago has been handled; `store` writes revocations.
    `revoked` is called with the ids of keys that are refused from now on.

    The newest `MAX_REMEMBERED` are in memory, because the key itself may be unknown here: its event is still on its
    way, and comes after the announcement of its end.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Revocation]], Awaitable[None]],
        revoked: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        self._store = store
        self._revoked = revoked
        self._revoked_at: dict[str, int] = {}
        self._unstored: dict[str, Revocation] = {}

    async def handle(self, message: str) -> None:
        """Takes an announcement. Each comes many times."""
        try:
            announced = parse_revocations(message)
        except InvalidRevocations as error:
            log.warning("key_revocations_unreadable", error=str(error))
            return
        new = [each for each in announced if each.key_id not in self._revoked_at]
        # Refused from now on, even if writing fails; then the next repetition tries again.
        self._revoked_at.update((each.key_id, each.revoked_at) for each in new)
        self._unstored.update((each.key_id, each) for each in new)
        if new and self._revoked is not None:
            self._revoked(each.key_id for each in new)
        if not self._unstored:
            return
        await self._store(list(self._unstored.values()))
        log.info("keys_revoked", key_ids=list(self._unstored))
        self._unstored.clear()
        while len(self._revoked_at) > MAX_REMEMBERED:
            del self._revoked_at[next(iter(self._revoked_at))]

    async def apply(self, key: ApiKey, confirm: Callable[[], Awaitable[None]]) -> ApiKey:
        """The key as it is now: revoked if that was announced. ApiError 503 while announcements cannot be heard."""
        try:
            await confirm()
        except PostgresUnavailable as error:
            log.warning("key_revocations_unknown", error=str(error))
            raise unavailable(RETRY_AFTER_SECONDS, "It cannot be checked now whether the key is valid.") from None
        revoked_at = self._revoked_at.get(key.id)
        return key if revoked_at is None else key.model_copy(update={"revoked_at": revoked_at})
