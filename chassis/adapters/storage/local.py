"""A store in a folder of this machine, or on a volume that several machines share."""

import asyncio
import mimetypes
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from chassis.adapters.storage.base import CHUNK_BYTES, Stat, checked_key, open_source
from chassis.adapters.storage.errors import StorageFull, StorageUnavailable
from chassis.adapters.storage.file_ops import Abandoned, copy_over, os_errors, remove_quietly, sync_folder

TEMPORARY = ".incoming"
"""Folder of half-written files: in the store itself, because a rename is atomic within one file system only."""
STALE_SECONDS = 24 * 3600
"""A half-written file of this age belongs to a process that was killed."""
_TYPE_ATTRIBUTE = "user.content_type"
_UNKNOWN_TYPE = "application/octet-stream"

T = TypeVar("T")


class LocalStorage:
    """Keys are paths below `root`.

    The entity tag is size and modification time in nanoseconds: objects are replaced by a rename and never written
    to, so that other bytes always come with another time; a hash would cost a whole read of every video. The content
    type is kept in an extended attribute; where the file system has none, the name's extension has to do.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        return await _in_thread(lambda abandoned: self._put(checked_key(key), path, content_type, abandoned))

    async def stat(self, key: str) -> Stat | None:
        path = self._path(key)
        return await asyncio.to_thread(_stat, path)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        path = self._path(key)
        file = await asyncio.to_thread(_open, path)
        try:
            offset = start
            while end is None or offset < end:
                wanted = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - offset)
                chunk = await asyncio.to_thread(_read_at, file, wanted, offset)
                if not chunk:
                    return
                offset += len(chunk)
                yield chunk
        finally:
            file.close()

    async def download(self, key: str, dest: Path) -> None:
        source = self._path(key)
        await _in_thread(lambda abandoned: _copy_whole(source, dest, abandoned))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, self._path(key))

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    def prepare(self) -> None:
        """Makes the folders, and removes what killed processes left half-written (blocking)."""
        with os_errors():
            (self._root / TEMPORARY).mkdir(parents=True, exist_ok=True)
            for left in (self._root / TEMPORARY).iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > STALE_SECONDS:
                        remove_quietly(left)

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _put(self, key: str, source: Path, content_type: str, abandoned: threading.Event) -> Stat:
        target = self._root / key
        temporary = self._root / TEMPORARY / uuid4().hex
        with open_source(source) as incoming, os_errors():
            try:
                with temporary.open("xb") as outgoing:
                    copy_over(incoming, outgoing, abandoned)
                    _remember_type(outgoing, content_type)
                    outgoing.flush()
                    os.fsync(outgoing.fileno())
                _move(temporary, target)
                sync_folder(target.parent)
                found = _stat(target)
            finally:
                remove_quietly(temporary)
        if found is None:
            raise StorageUnavailable("the object was taken away while it was being stored")
        return found

    def _delete(self, path: Path) -> None:
        with os_errors():
            path.unlink(missing_ok=True)
        # Folders that have become empty go too; a put that needs one at this moment makes it again.
        for folder in path.relative_to(self._root).parents:
            try:
                (self._root / folder).rmdir() if folder != Path() else None
            except OSError:
                return

    def _check(self) -> None:
        with os_errors():
            if not os.access(self._root / TEMPORARY, os.W_OK | os.X_OK):
                raise StorageUnavailable("the store's folder cannot be written to")
            room = os.statvfs(self._root)
        if room.f_bavail == 0:
            raise StorageFull("the store has no room left")


async def _in_thread(work: Callable[[threading.Event], T]) -> T:
    """Runs blocking work in a thread. When we are cancelled the work is told so, and stops before its last step."""
    abandoned = threading.Event()
    try:
        return await asyncio.to_thread(work, abandoned)
    except asyncio.CancelledError:
        abandoned.set()
        raise


def _move(temporary: Path, target: Path) -> None:
    for last in (False, False, True):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(target)
        except FileNotFoundError:
            # A delete took the empty folder away between the two lines above.
            if last:
                raise
        else:
            return


def _copy_whole(source: Path, dest: Path, abandoned: threading.Event) -> None:
    temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
    with os_errors():
        try:
            with source.open("rb") as incoming, temporary.open("xb") as outgoing:
                copy_over(incoming, outgoing, abandoned)
            if abandoned.is_set():
                raise Abandoned
            temporary.replace(dest)
        finally:
            remove_quietly(temporary)


def _open(path: Path) -> BinaryIO:
    with os_errors():
        return path.open("rb")


def _read_at(file: BinaryIO, count: int, offset: int) -> bytes:
    with os_errors():
        return os.pread(file.fileno(), count, offset)


def _stat(path: Path) -> Stat | None:
    with os_errors():
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        etag = f"{found.st_size:x}-{found.st_mtime_ns:x}"
        return Stat(found.st_size, etag, _remembered_type(path), found.st_mtime)


def _remember_type(file: BinaryIO, content_type: str) -> None:
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(file.fileno(), _TYPE_ATTRIBUTE, content_type.encode())


def _remembered_type(path: Path) -> str:
    if hasattr(os, "getxattr"):
        with suppress(OSError):
            return os.getxattr(path, _TYPE_ATTRIBUTE).decode()
    return mimetypes.guess_type(path.name)[0] or _UNKNOWN_TYPE
