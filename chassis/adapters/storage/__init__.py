"""Where files are kept: one protocol, on a local disk or in S3.

It knows keys and bytes, and nothing of media or customers. It may touch the folder or the bucket of its URL only.
"""

from chassis.adapters.storage.base import Stat, Storage
from chassis.adapters.storage.errors import InvalidKey, ObjectMissing, StorageError, StorageFull, StorageUnavailable
from chassis.adapters.storage.opening import open_storage

__all__ = [
    "InvalidKey",
    "ObjectMissing",
    "Stat",
    "Storage",
    "StorageError",
    "StorageFull",
    "StorageUnavailable",
    "open_storage",
]
