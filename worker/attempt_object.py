"""The object that one attempt stores.

Its key names the attempt, so that two attempts at one item never write the same object: a worker that was frozen past
its lease may go on with its `put` when another attempt has finished long ago. Which object counts, the transaction says
that ends the item. The object of an attempt that does not end it is deleted here, as far as its process can; one that
stays has a key that no row and no event names.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.adapters.failure_policy import describe
from chassis.adapters.storage import Storage
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from worker.input import retry_while_full

DELETE_SECONDS = 5.0

log = logs.get_logger(__name__)


def attempt_key(folder: str, file_id: str, attempt: int, extension: str) -> str:
    """The key below `folder` of the object that attempt number `attempt` stores (pure)."""
    return f"{folder}/{file_id}-{attempt}.{extension}"


class AttemptObject:
    """At most one object."""

    def __init__(self, storage: Storage, *, delete_s: float = DELETE_SECONDS) -> None:
        self._storage = storage
        self._delete_s = delete_s
        self._key: str | None = None

    async def put(self, key: str, path: Path, content_type: str) -> None:
        """Stores the file; waits while the storage is full or away. Raises StorageError."""
        self._key = key
        await retry_while_full(lambda: self._storage.put(key, path, content_type))

    async def discard(self) -> None:
        """Deletes the object, if there may be one. Raises nothing: one that stays does no harm."""
        key, self._key = self._key, None
        if key is None:
            return
        try:
            await abandon_after(self._delete_s, self._storage.delete(key))
        except Exception as error:  # noqa: BLE001 - it only takes space
            log.warning("attempt_object_left", key=key, error=describe(error))
        else:
            log.info("attempt_object_discarded", key=key)


@asynccontextmanager
async def attempt_object(storage: Storage) -> AsyncIterator[AttemptObject]:
    """The object of an attempt, which is discarded where the block raises, also where it is cancelled."""
    stored = AttemptObject(storage)
    try:
        yield stored
    except BaseException:
        await stored.discard()
        raise
