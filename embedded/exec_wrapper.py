"""Program that executes a server so that the server cannot outlive the process that started it.

Run by path, in an isolated interpreter, as `exec_wrapper.py '<JSON>' <program> <argument>…`. The JSON object holds
`parent` (pid), `signal` (which the kernel sends when the parent ends; Linux only) and `user`: null, or an object with
`uid` and `gid` of the account to change to. It imports nothing of the project. It is a program, and not a function
called between fork and exec, because such a function is not safe in a process that has threads.
"""

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _change_user(uid: int, gid: int) -> None:
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    if linux:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux:
        # Folders of root are usually closed to other users, and programs and data may lie below one. Instead of opening
        # those folders to all users, the server keeps one capability: reading files and searching folders whatever
        # their permissions say. Where that is refused, the server reports what it cannot open.
        header = _CapHeader(_CAPABILITY_VERSION_3, 0)
        bit = 1 << _CAP_DAC_READ_SEARCH
        data = (_CapData * 2)(_CapData(bit, bit, bit), _CapData(0, 0, 0))
        if libc.capset(ctypes.byref(header), data) == 0:
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)


def main() -> None:
    options = json.loads(sys.argv[1])
    if options["user"] is not None:
        _change_user(options["user"]["uid"], options["user"]["gid"])
    # A shell without job control starts background commands with SIGINT ignored, and exec inherits that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        # After the change of user, which would clear it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, options["signal"], 0, 0, 0)
    if os.getppid() != options["parent"]:
        sys.exit("the process that asked for this server has ended")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # to become the server is the purpose


if __name__ == "__main__":
    main()
