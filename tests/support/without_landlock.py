"""Script: executes a program as on a kernel without Landlock. `python without_landlock.py PROGRAM [ARGUMENT]…`.

A system call filter answers landlock_create_ruleset with ENOSYS, as such a kernel and some container engines do.
"""

import ctypes
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LANDLOCK_CREATE_RULESET, _ENOSYS = 444, 38
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def main() -> None:
    steps = (
        (0x20, 0, 0, 4),
        (0x15, 0, 3, _ARCH[platform.machine()]),
        (0x20, 0, 0, 0),
        (0x15, 0, 1, _LANDLOCK_CREATE_RULESET),
        (0x06, 0, 0, 0x00050000 | _ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, struct.pack("@HP", len(steps), ctypes.addressof(code)), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was refused")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
