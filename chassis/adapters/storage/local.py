"""Storage in a folder of this machine, or of a volume that several machines mount."""

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

from chassis.adapters.storage.base import (
    CHUNK_BYTES,
    ListedObject,
    Stat,
    StorageFull,
    StorageUnavailable,
    checked_key,
    open_source,
)
from chassis.adapters.storage.file_ops import CopyCancelled, copy_file, os_errors, remove_if_possible, sync_folder

TEMPORARY = ".incoming"
"""Folder of unfinished files, in the storage itself because a rename is atomic only within one file system."""
STALE_SECONDS = 24 * 3600
"""An unfinished file of this age belongs to a process that was killed."""
_TYPE_ATTRIBUTE = "user.content_type"
_UNKNOWN_TYPE = "application/octet-stream"

T = TypeVar("T")
Copy = Callable[[BinaryIO, BinaryIO, threading.Event], int]


class LocalStorage:
    """Objects are files below `root`; their keys are the relative paths.

    The entity tag is size and modification time in nanoseconds: a rename replaces an object and nothing writes to it,
    so that other bytes always have another time; a hash would have to read every video completely. The content type is
    an extended attribute; on file systems without them, it is guessed from the extension of the name.
    """

    def __init__(self, root: Path, *, copy: Copy = copy_file) -> None:
        self._root = root
        self._copy = copy

    async def put(self, key: str, path: Path, content_type: str) -> Stat:
        return await _in_thread(lambda cancelled: self._put(checked_key(key), path, content_type, cancelled))

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
        await _in_thread(lambda cancelled: self._download(source, dest, cancelled))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, self._path(key))

    async def list_objects(self) -> AsyncIterator[ListedObject]:
        folders = [self._root]
        while folders:
            found, below = await asyncio.to_thread(_listed, folders.pop(), self._root)
            folders += below
            for each in found:
                yield each

    async def unfinished(self) -> AsyncIterator[ListedObject]:
        folder = self._root / TEMPORARY
        for each in (await asyncio.to_thread(_listed, folder, folder))[0]:
            yield each

    async def delete_unfinished(self, name: str) -> None:
        await asyncio.to_thread(remove_if_possible, self._root / TEMPORARY / checked_key(name))

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    def prepare(self) -> None:
        """Creates the folders, and removes the unfinished files of killed processes. Blocking."""
        with os_errors():
            (self._root / TEMPORARY).mkdir(parents=True, exist_ok=True)
            for unfinished in (self._root / TEMPORARY).iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - unfinished.stat().st_mtime > STALE_SECONDS:
                        remove_if_possible(unfinished)

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _put(self, key: str, source: Path, content_type: str, cancelled: threading.Event) -> Stat:
        target = self._root / key
        temporary = self._root / TEMPORARY / uuid4().hex
        with open_source(source) as incoming, os_errors():
            try:
                with temporary.open("xb") as outgoing:
                    self._copy(incoming, outgoing, cancelled)
                    _store_type(outgoing, content_type)
                    outgoing.flush()
                    os.fsync(outgoing.fileno())
                if cancelled.is_set():
                    raise CopyCancelled
                _move(temporary, target)
                sync_folder(target.parent)
                found = _stat(target)
            finally:
                remove_if_possible(temporary)
        if found is None:
            raise StorageUnavailable("the object was deleted while it was being stored")
        return found

    def _download(self, source: Path, dest: Path, cancelled: threading.Event) -> None:
        temporary = dest.with_name(f".{dest.name}.{uuid4().hex}")
        with os_errors():
            try:
                with source.open("rb") as incoming, temporary.open("xb") as outgoing:
                    self._copy(incoming, outgoing, cancelled)
                if cancelled.is_set():
                    raise CopyCancelled
                temporary.replace(dest)
            finally:
                remove_if_possible(temporary)

    def _delete(self, path: Path) -> None:
        with os_errors():
            path.unlink(missing_ok=True)
        # Empty parent folders are removed too; a concurrent put that needs one creates it again.
        for folder in path.relative_to(self._root).parents:
            try:
                (self._root / folder).rmdir() if folder != Path() else None
            except OSError:
                return

    def _check(self) -> None:
        with os_errors():
            if not os.access(self._root / TEMPORARY, os.W_OK | os.X_OK):
                raise StorageUnavailable("the storage folder is not writable")
            volume = os.statvfs(self._root)
        if volume.f_bavail == 0:
            raise StorageFull("the storage has no space left")


async def _in_thread(work: Callable[[threading.Event], T]) -> T:
    """Runs blocking work in a thread. A cancellation of the task sets the event: the work stops before its rename."""
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(work, cancelled)
    except asyncio.CancelledError:
        cancelled.set()
        raise


def _move(temporary: Path, target: Path) -> None:
    for last in (False, False, True):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(target)
        except FileNotFoundError:
            # A delete removed the empty folder between the two lines above.
            if last:
                raise
        else:
            return


def _listed(folder: Path, root: Path) -> tuple[list[ListedObject], list[Path]]:
    """The objects directly in a folder, and its folders. Names with a leading dot are internal files."""
    found: list[ListedObject] = []
    folders: list[Path] = []
    with os_errors(), suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(folder / entry.name)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    stat = entry.stat(follow_symlinks=False)
                    key = (folder / entry.name).relative_to(root).as_posix()
                    found.append(ListedObject(key, stat.st_size, stat.st_mtime))
    return found, folders


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
        return Stat(found.st_size, etag, _stored_type(path), found.st_mtime)


def _store_type(file: BinaryIO, content_type: str) -> None:
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(file.fileno(), _TYPE_ATTRIBUTE, content_type.encode())


def _stored_type(path: Path) -> str:
    if hasattr(os, "getxattr"):
        with suppress(OSError):
            return os.getxattr(path, _TYPE_ATTRIBUTE).decode()
    return mimetypes.guess_type(path.name)[0] or _UNKNOWN_TYPE
