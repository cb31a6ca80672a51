"""Becomes a server, once it has made sure of not outliving the process that started it.

Run by path, in an isolated interpreter, as `launch.py '<JSON>' <program> <argument>…`. The JSON holds `parent` (pid),
`signal` (sent to us by the kernel when the parent dies; Linux only) and, where root must not run the program, `user`
with `uid` and `gid`. Imports nothing of the project. It is a program of its own, and not a function called between fork
and exec, because that is not safe in a process that has threads.
"""

import ctypes
import json
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _become(uid: int, gid: int) -> None:
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    if linux:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux:
        # Folders of root are usually closed to others, and programs and data may lie below one. Rather than opening
        # those folders to everybody, the server keeps the one capability of reading past them. Where that is refused,
        # it has to do without, and says itself what it cannot open.
        header = _CapHeader(_CAPABILITY_VERSION_3, 0)
        bit = 1 << _CAP_DAC_OVERRIDE
        data = (_CapData * 2)(_CapData(bit, bit, bit), _CapData(0, 0, 0))
        if libc.capset(ctypes.byref(header), data) == 0:
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    wish = json.loads(sys.argv[1])
    if wish["user"] is not None:
        _become(wish["user"]["uid"], wish["user"]["gid"])
    if sys.platform == "linux":
        # After the change of user, which would clear it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, wish["signal"], 0, 0, 0)
    if os.getppid() != wish["parent"]:
        sys.exit("the process that asked for this server is gone")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # becoming the server is the point


if __name__ == "__main__":
    main()
