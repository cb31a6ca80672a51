"""Root's capabilities in a confined child. Runs in the child; few imports, for its start time.

A child gives all of them up, and so does a process that enters a user namespace. With them goes root's access to a
folder that only another user may enter. If the programs or the data lie below such a folder (a shell of root in a
private home), a child keeps the two capabilities that grant access to files, and no other; Landlock limits the files.
"""

import ctypes
import os
import stat
from collections.abc import Collection, Iterable

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
FILE_ACCESS = (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH)
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """One half of a process's capabilities; the sets are two halves of 32 bits."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def file_access_needed(paths: Iterable[str]) -> bool:
    """Whether root, without capabilities, could not reach one of `paths`, absolute ones.

    A folder above it is then another user's, and neither others nor root's group may enter it.
    """
    if os.geteuid() != 0:
        return False
    parents: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    return any(_is_closed_to_root(parent) for parent in parents)


def _is_closed_to_root(folder: str) -> bool:
    try:
        found = os.stat(folder)  # noqa: PTH116 - pathlib costs start time
    except OSError:
        return False
    if found.st_uid == 0:
        return not found.st_mode & stat.S_IXUSR
    return not found.st_mode & (stat.S_IXGRP if found.st_gid == 0 else stat.S_IXOTH)


def keep_only(kept: Collection[int]) -> None:
    """Gives up every capability but `kept`, for this process and its programs.

    Raises `PermissionError` if the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        if capability not in kept:
            # Refused if the process cannot give up capabilities; the sets below hold what it then has left.
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        capability += 1
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise PermissionError(ctypes.get_errno(), "capabilities cannot be read")
    low = sets[0].permitted & sum(1 << each for each in kept)
    sets[0], sets[1] = _Sets(low, low, 0), _Sets(0, 0, 0)
    if libc.capset(ctypes.byref(header), sets) != 0:
        raise PermissionError(ctypes.get_errno(), "capabilities cannot be given up")
