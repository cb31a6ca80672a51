"""Functions that tests call through the warm server."""

import os
import socket
import time
from pathlib import Path
from typing import Any

HERE = os.getpid()


class Refused(Exception):
    kind = "input_unreadable"


def echo(**values: Any) -> dict[str, Any]:
    return values


def parent() -> list[int]:
    return [HERE, os.getpid(), os.getppid()]


def refuse() -> None:
    raise Refused("not this one")


def fail() -> None:
    raise ValueError("our own mistake")


def crash() -> None:
    os.abort()


def sleep(told: str, seconds: float) -> None:
    Path(told).write_text(str(os.getpid()))
    time.sleep(seconds)


def read(path: str) -> str:
    return Path(path).read_text()


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def environment() -> list[str]:
    return sorted(os.environ)


def large(size: int) -> str:
    return "x" * size
