"""Copying, syncing and removing local files, with errors as StorageError. Blocking: call it in a thread."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from chassis.adapters.storage.base import ObjectMissing, StorageError, StorageFull, StorageUnavailable

_SLICE_BYTES = 16 * 1024 * 1024
"""A copy checks between two slices whether it was cancelled."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNSUPPORTED = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

CopyRange = Callable[[int, int, int, int, int], int]
"""The signature of `os.copy_file_range`: source, target, count, offset in the source, offset in the target."""
_COPY_RANGE: CopyRange | None = getattr(os, "copy_file_range", None)
"""None on macOS."""


class CopyCancelled(Exception):
    """The task that wanted this copy was cancelled."""


def storage_error(error: OSError) -> StorageError:
    """The StorageError for an error of the file system; without paths, because customers may see its message."""
    if isinstance(error, FileNotFoundError):
        return ObjectMissing("no such object")
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _FULL:
        return StorageFull(f"the storage has no space left: {reason}")
    return StorageUnavailable(f"the storage cannot be used: {reason}")


@contextmanager
def os_errors() -> Iterator[None]:
    """Turns an OSError of the block into a StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error


def copy_file(
    source: BinaryIO,
    target: BinaryIO,
    cancelled: threading.Event,
    copy_range: CopyRange | None = _COPY_RANGE,
) -> int:
    """Copies all of `source` to `target` and returns the number of bytes. Raises CopyCancelled.

    A copy and not a hard link: a link would share the bytes with a file that the child which made it may still have
    open for writing. File systems that can (XFS, Btrfs) share the blocks in `copy_range` anyway.
    """
    copied = 0
    while True:
        if cancelled.is_set():
            raise CopyCancelled
        if copy_range is None:
            moved = _read_and_write(source, target, copied)
        else:
            try:
                moved = copy_range(source.fileno(), target.fileno(), _SLICE_BYTES, copied, copied)
            except OSError as error:
                # Not supported between these two file systems, or by this kernel.
                if error.errno not in _UNSUPPORTED:
                    raise
                copy_range = None
                continue
        if not moved:
            return copied
        copied += moved


def _read_and_write(source: BinaryIO, target: BinaryIO, offset: int) -> int:
    data = os.pread(source.fileno(), 1024 * 1024, offset)
    written = 0
    while written < len(data):
        written += os.pwrite(target.fileno(), data[written:], offset + written)
    return written


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_if_possible(path: Path) -> None:
    """Removes a temporary file; ignores that it, or its disk, is gone already."""
    with suppress(OSError):
        path.unlink()
