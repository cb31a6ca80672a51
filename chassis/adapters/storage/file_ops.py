"""Small things done with files of this machine (blocking: call them in a thread)."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from chassis.adapters.storage.errors import ObjectMissing, StorageError, StorageFull, StorageUnavailable

_SLICE_BYTES = 16 * 1024 * 1024
"""Between two slices of a copy it is asked whether anybody still wants it."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Abandoned(Exception):
    """Whoever wanted this copy was cancelled meanwhile."""


def typed(error: OSError) -> StorageError:
    """The store's own error for one of the file system; without paths, for it may be shown."""
    if isinstance(error, FileNotFoundError):
        return ObjectMissing("no such object")
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _FULL:
        return StorageFull(f"the store has no room: {reason}")
    return StorageUnavailable(f"the store cannot be used: {reason}")


@contextmanager
def os_errors() -> Iterator[None]:
    """OSErrors of the block leave it as the store's own."""
    try:
        yield
    except OSError as error:
        raise typed(error) from error


def copy_over(source: BinaryIO, target: BinaryIO, abandoned: threading.Event) -> int:
    """Copies from the start of `source` to its end; the number of bytes.

    A copy and not a hard link: a link would share the bytes with a file that the child which made it may still have
    open for writing. Where the file system can (XFS, Btrfs, APFS by other means), the kernel shares the blocks anyway.
    """
    copied = 0
    in_kernel = hasattr(os, "copy_file_range")
    while True:
        if abandoned.is_set():
            raise Abandoned
        try:
            moved = _in_kernel(source, target, copied) if in_kernel else _by_hand(source, target, copied)
        except OSError as error:
            # Not between these two file systems, or not on this kernel.
            if not in_kernel or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            in_kernel = False
            continue
        if not moved:
            return copied
        copied += moved


def _in_kernel(source: BinaryIO, target: BinaryIO, offset: int) -> int:
    return os.copy_file_range(source.fileno(), target.fileno(), _SLICE_BYTES, offset, offset)


def _by_hand(source: BinaryIO, target: BinaryIO, offset: int) -> int:
    data = os.pread(source.fileno(), 1024 * 1024, offset)
    done = 0
    while done < len(data):
        done += os.pwrite(target.fileno(), data[done:], offset + done)
    return done


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_quietly(path: Path) -> None:
    """Takes a temporary file away. That it is gone already, or the disk with it, changes nothing."""
    with suppress(OSError):
        path.unlink()
