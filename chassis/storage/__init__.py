"""Where files are kept: one protocol, on a local disk or in S3.

It knows keys and bytes, and nothing of media or customers. It may touch the folder or the bucket of its URL only.
"""

from chassis.storage.base import Stat, Storage
from chassis.storage.errors import InvalidKey, ObjectMissing, StorageError, StorageFull, StorageUnavailable
from chassis.storage.opening import open_storage

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
