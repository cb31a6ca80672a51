"""Landlock by system calls: restricts irrevocably which paths a process can access. Linux 5.13 and later.

Numbers and layouts: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h.
Runs in the child; few imports, for its start time.
"""

import ctypes
import os
import struct

# The same on every architecture that has Landlock.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_REG = 1 << 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV

READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
# Regular files only, and nothing is removed or renamed.
WRITE = READ | WRITE_FILE | _MAKE_REG | _TRUNCATE

_NET_ALL = 0b11  # bind and connect TCP; from version 4
_SCOPE_ALL = 0b11  # abstract Unix sockets and signals to processes outside of the sandbox; from version 6


def _call(number: int, *args: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *args))


def version() -> int:
    """The Landlock version of the kernel, 0 if it has none."""
    return max(_call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION)), 0)


def _handled(abi: int) -> int:
    """All file system rights of this version. What is handled and not granted is denied."""
    highest = {1: 12, 2: 13, 3: 14, 4: 14}.get(abi, 15)
    return (1 << highest + 1) - 1


def _ruleset(abi: int) -> int:
    fields = [_handled(abi)]
    if abi >= 4:
        fields.append(_NET_ALL)
    if abi >= 6:
        fields.append(_SCOPE_ALL)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return  # the path does not exist
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - pathlib costs start time
            rights &= _ON_FILES
        rule = struct.pack("=Qi", rights, fd)
        if _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), f"Landlock rejected the rule for {path}")
    finally:
        os.close(fd)


def restrict(rules: dict[str, int]) -> int:
    """Allows this process and its children only these paths, with these rights. Returns the version, 0 if it failed.

    Needs no_new_privs. Directories that are open already stay usable.
    """
    abi = version()
    if not abi:
        return 0
    ruleset = _ruleset(abi)
    if ruleset < 0:
        return 0
    for path, rights in rules.items():
        _allow(ruleset, path, rights & _handled(abi))
    failed = _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
    return 0 if failed else abi
