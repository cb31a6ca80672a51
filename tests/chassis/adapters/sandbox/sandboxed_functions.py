"""Functions that tests call through the fork server."""

import ctypes
import errno
import os
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

IMPORTED_IN = os.getpid()


class Rejected(Exception):
    kind = "some_fault"


def echo(**values: Any) -> dict[str, Any]:
    return values


def pids() -> list[int]:
    return [IMPORTED_IN, os.getpid(), os.getppid()]


def reject() -> None:
    raise Rejected("not this one")


def reject_with(message: str) -> None:
    raise Rejected(message)


def fail() -> None:
    raise ValueError("a bug")


def write_to_full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def crash() -> None:
    os.abort()


def sleep(pid_file: str, seconds: float) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(seconds)


def spin() -> None:
    while True:
        pass


def wait_for_others(folder: str, name: str, count: int) -> None:
    """Returns once `count` calls have entered this function."""
    Path(folder, name).touch()
    while len(os.listdir(folder)) < count:
        time.sleep(0.01)


def read(path: str) -> str:
    return Path(path).read_text()


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def environment() -> list[str]:
    return sorted(os.environ)


def large(size: int) -> str:
    return "x" * size


def open_descriptors() -> dict[str, str]:
    """The kind of each open file descriptor, by its number. By fstat: /proc cannot be read here."""
    found = {}
    for number in range(4096):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        found[str(number)] = "socket" if stat.S_ISSOCK(mode) else "pipe" if stat.S_ISFIFO(mode) else "other"
    return found


def forge(value: str, seconds: float) -> list[int]:
    """Writes a forged response and a forged status to every socket but its own; returns those that took it."""
    written = []
    response = f'{{"value": "{value}"}}'.encode()
    forged = len(response).to_bytes(8, "big") + response
    for number, kind in open_descriptors().items():
        if kind != "socket" or number == "3":
            continue
        for message in (forged, b'{"exit": 0, "stderr": "forged"}\n'):
            try:
                os.write(int(number), message)
                written.append(int(number))
            except OSError:
                continue
    time.sleep(seconds)
    return written


def print_error_and_crash(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    os.abort()


def flood_stderr(size: int) -> str:
    """Writes more to standard error than anybody reads."""
    for _ in range(size // 1000):
        try:
            os.write(2, b"x" * 1000)
        except BlockingIOError:
            break
    return "done"


def write_raw_response(data: str) -> None:
    """Writes `data` as the whole response, as a decoder that was taken over could, and ends."""
    os.write(3, bytes.fromhex(data))
    os._exit(0)


def answer_and_stay(pid_file: str, data: str) -> None:
    """Writes a complete response and does not end."""
    Path(pid_file).write_text(str(os.getpid()))
    os.write(3, bytes.fromhex(data))
    time.sleep(600)


def system_call(number: int) -> None:
    """Makes a system call with arguments that have no effect."""
    ctypes.CDLL(None).syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)


def use_memory(size: int, seconds: float) -> int:
    data = bytearray(b"x") * size
    time.sleep(seconds)
    return len(data)
