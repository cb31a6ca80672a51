"""Attempts to do what a confined child must not: each returns if it succeeded, and raises if it was denied.

`self_test` runs them in a child at the start of a process. A module of the standard library only, and a script:
`python -I -S attempts.py FILE FOLDER` prints one line with the name of each attempt that was denied.
"""

import ctypes
import mmap
import os
import platform
import resource
import socket
import sys
from collections.abc import Callable, Iterable

_SIGCHLD = 17
_NEW_USER = 0x10000000
_CLONE = {"x86_64": 56, "aarch64": 220}
_SYSTEM_V_CREATE = 0o1600  # IPC_CREAT, and read and write for the owner


class Attempts:
    """Each method is one attempt, on a file and a folder of this user that the child was not given."""

    def __init__(self, file: str, folder: str) -> None:
        self._file = file
        self._folder = folder

    def read_a_file(self) -> None:
        with open(self._file) as opened:  # noqa: PTH123 - as few imports as possible
            opened.read()

    def list_a_folder(self) -> None:
        os.listdir(self._folder)  # noqa: PTH208

    def write_a_file(self) -> None:
        with open(self._file, "a"):  # noqa: PTH123
            pass

    def create_a_file(self) -> None:
        # The folder is removed after the attempts, so that the file may stay.
        os.close(os.open(os.path.join(self._folder, "created"), os.O_CREAT | os.O_WRONLY, 0o600))  # noqa: PTH118

    def remove_a_file(self) -> None:
        # A name that does not exist: where it is allowed, the error is another one.
        _denied_unless_missing(lambda: os.unlink(os.path.join(self._folder, "missing")))  # noqa: PTH108, PTH118

    def make_a_folder(self) -> None:
        # In a folder that does not exist, for the same reason.
        _denied_unless_missing(lambda: os.mkdir(os.path.join(self._folder, "missing", "folder")))  # noqa: PTH102, PTH118

    def change_a_mode(self) -> None:
        os.chmod(self._file, 0o600)  # noqa: PTH101

    def change_an_owner(self) -> None:
        os.chown(self._file, os.getuid(), os.getgid())

    def change_times(self) -> None:
        os.utime(self._file)

    def set_an_attribute(self) -> None:
        try:
            os.setxattr(self._file, "user.bitmill", b"")
        except OSError as error:
            if error.errno in (95, 28):  # a file system without attributes, or without room for them, did refuse it
                return
            raise

    def open_a_network_socket(self) -> None:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()

    def open_a_local_socket(self) -> None:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()

    def start_a_process(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def enter_a_namespace(self) -> None:
        pid = _system_call(_CLONE.get(platform.machine(), -1), _NEW_USER | _SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def make_a_file_in_memory(self) -> None:
        os.close(os.memfd_create("program"))

    def map_writable_code(self) -> None:
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()

    def share_memory(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        found = libc.shmget(0, 4096, _SYSTEM_V_CREATE)
        if found < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        libc.shmctl(found, 0, None)  # IPC_RMID

    def signal_another_process(self) -> None:
        os.kill(os.getppid(), 0)

    def raise_a_limit(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))

    def leave_the_process_group(self) -> None:
        os.setpgid(0, 0)

    def execute_a_program(self) -> None:
        # Itself: the one program that this child was allowed to execute, once. If it is executed, it prints nothing.
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", ""])  # noqa: S606


ATTEMPTS = tuple(name for name in vars(Attempts) if not name.startswith("_"))
"""In the order of their definition: the last is one that ends the others if it succeeds."""
NEEDS_LANDLOCK = frozenset({"read_a_file", "list_a_folder", "write_a_file", "create_a_file"})
"""Denied by Landlock alone; the others by the filter of system calls."""


def denied(file: str, folder: str, names: Iterable[str] = ATTEMPTS) -> list[str]:
    """Tries everything, or what is named; returns the names of what was denied."""
    attempts = Attempts(file, folder)
    return [name for name in names if _is_denied(getattr(attempts, name))]


def _is_denied(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except (OSError, ValueError, AttributeError):  # setrlimit; a call that this system does not have
        return True
    return False


def _denied_unless_missing(attempt: Callable[[], None]) -> None:
    try:
        attempt()
    except FileNotFoundError:
        return


def _system_call(number: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    returned = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    if returned < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return int(returned)


if __name__ == "__main__":
    for each in ATTEMPTS:
        for name in denied(sys.argv[1], sys.argv[2], (each,)):
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
