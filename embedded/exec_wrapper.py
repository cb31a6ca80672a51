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


def _change_user(uid: int, gid: int) -> None:
    """Become that account for good, without any of root's capabilities."""
    try:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        sys.exit(f"this process may not change to the user with the id {uid}: {error.strerror}")


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
