"""What a store is, and what a key is."""

import os
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from chassis.adapters.storage.errors import InvalidKey

MAX_KEY_CHARS = 1024
"""The bound of S3."""
MAX_NAME_CHARS = 255
"""The bound of file systems for one name."""
CHUNK_BYTES = 256 * 1024
"""Large enough that a round trip to a thread does not count, small enough for hundreds of readers at once."""

# No name starts with a dot: so there is no way up or sideways, and names with a dot are the store's own.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True)
class Stat:
    """What is known of an object: bytes, strong entity tag (without quotes), type, and Unix seconds of the last put."""

    size: int
    etag: str
    content_type: str
    modified: float


class Storage(Protocol):
    """Immutable objects under keys. Everything may raise StorageUnavailable; what writes may raise StorageFull."""

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        """Stores the file at `path`, whole or not at all. Again with the same key: the last one holds."""
        ...

    async def stat(self, key: str) -> Stat | None:
        """What is known of the object; None where there is none."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end` (as slices do), in chunks; ObjectMissing at the first."""
        ...

    async def download(self, key: str, dest: Path) -> None:
        """Writes the object to the file `dest`, whole or not at all; ObjectMissing where there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Takes the object away; no error where there is none."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The object's file where the store is a folder of this machine (it may not exist), otherwise None."""
        ...

    async def check(self) -> None:
        """Raises unless the store can be used."""
        ...


def checked_key(key: str) -> str:
    """The key itself, or InvalidKey: nothing that comes from outside can point out of the store."""
    names = key.split("/")
    if len(key) > MAX_KEY_CHARS or not all(len(name) <= MAX_NAME_CHARS and _NAME.fullmatch(name) for name in names):
        raise InvalidKey(f"not a storage key: {key[:80]!r}")
    return key


def open_source(path: Path) -> BinaryIO:
    """Opens a file that is to be stored, without following a link.

    The file was made by a child that untrusted input may have taken over: a link would store what it points to.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("only plain files can be stored")
    return os.fdopen(descriptor, "rb")
