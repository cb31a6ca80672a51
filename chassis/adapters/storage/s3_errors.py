"""From botocore's errors to the store's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from chassis.adapters.storage.errors import StorageError, StorageFull, StorageUnavailable

FAILURES = (ClientError, BotoCoreError)

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507", "EntityTooLarge"})


def is_missing(error: Exception) -> bool:
    """Whether the answer says that there is no such object (a missing bucket is an outage, not an answer)."""
    return isinstance(error, ClientError) and _code(error) in _MISSING


def typed(error: Exception) -> StorageError:
    """The store's own error, with S3's code but without hosts, buckets or credentials."""
    if isinstance(error, ClientError):
        code = _code(error)
        if code in _FULL:
            return StorageFull(f"the store has no room: {code}")
        return StorageUnavailable(f"the store refused: {code}")
    return StorageUnavailable(f"the store cannot be reached: {type(error).__name__}")


@contextmanager
def s3_errors() -> Iterator[None]:
    """botocore's errors leave the block as the store's own."""
    try:
        yield
    except FAILURES as error:
        raise typed(error) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
