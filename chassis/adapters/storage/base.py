"""The storage protocol, its errors, and the rules of keys.

StorageError
  StorageUnavailable  the storage cannot be reached, or responds with an error of its own: retry later
  StorageFull         no space left: retry when there is
  InvalidKey          the key breaks the rules: a bug of the caller
  ObjectMissing       there is no object with this key
"""

import os
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

MAX_KEY_CHARS = 1024
"""The limit of S3."""
MAX_NAME_CHARS = 255
"""The limit of file systems for one name."""
CHUNK_BYTES = 256 * 1024
"""Large enough that the round trip to a thread does not matter, small enough for hundreds of concurrent readers."""

# No name starts with a dot, so that no key leads to a parent folder, and names with a dot are free for internal files.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


class StorageError(Exception):
    """An operation of the storage failed."""


class StorageUnavailable(StorageError):
    """The storage does not work at the moment."""


class StorageFull(StorageError):
    """The storage has no space left."""


class InvalidKey(StorageError, ValueError):
    """A key consists of names of letters, digits and `. _ -`, separated by single slashes."""


class ObjectMissing(StorageError, LookupError):
    """There is no object with this key."""


@dataclass(frozen=True)
class Stat:
    """Metadata of an object: bytes, strong entity tag (without quotes), content type, Unix seconds of the last put."""

    size: int
    etag: str
    content_type: str
    modified: float


@dataclass(frozen=True)
class ListedObject:
    """An object of a listing: its key, bytes, Unix seconds of the last put."""

    key: str
    size: int
    modified: float


class Storage(Protocol):
    """Immutable objects under keys. Every method may raise StorageUnavailable; those that write, StorageFull."""

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        """Stores the file at `path` atomically. A second put of the same key replaces the first."""
        ...

    async def stat(self, key: str) -> Stat | None:
        """Metadata of the object, None if there is none."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, but not including, `end`, in chunks. The first one may raise ObjectMissing."""
        ...

    async def download(self, key: str, dest: Path) -> None:
        """Writes the object to the file `dest` atomically. Raises ObjectMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Deletes the object; no error if there is none."""
        ...

    def list_objects(self) -> AsyncIterator[ListedObject]:
        """All objects, in no particular order. One that is put or deleted meanwhile may be missing or not."""
        ...

    def unfinished(self) -> AsyncIterator[ListedObject]:
        """What `put` has begun and not finished, by names that only `delete_unfinished` takes."""
        ...

    async def delete_unfinished(self, name: str) -> None:
        """Removes one of these; no error if there is none. The process that writes it gets an error."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file of the object (which may not exist) if the storage is a local folder, otherwise None."""
        ...

    async def check(self) -> None:
        """Raises StorageError unless the storage can be used."""
        ...


def checked_key(key: str) -> str:
    """The key itself. Raises InvalidKey for anything that could point out of the storage."""
    names = key.split("/")
    if len(key) > MAX_KEY_CHARS or not all(len(name) <= MAX_NAME_CHARS and _NAME.fullmatch(name) for name in names):
        raise InvalidKey(f"not a storage key: {key[:80]!r}")
    return key


def open_source(path: Path) -> BinaryIO:
    """Opens a file to be stored, without following a symbolic link.

    A sandboxed child that untrusted input may have taken over made the file: a link would store what it points to.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("only plain files can be stored")
    return os.fdopen(descriptor, "rb")
