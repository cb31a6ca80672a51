"""Functions that tests call through the fork server."""

import os
import socket
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


def fail() -> None:
    raise ValueError("a bug")


def crash() -> None:
    os.abort()


def sleep(pid_file: str, seconds: float) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(seconds)


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
