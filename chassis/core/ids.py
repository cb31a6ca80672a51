"""New ids and the current time: the clock and the randomness that the pure functions of `schemas.ids` take."""

import os
import socket
import time

from schemas.ids import Prefix, mint


def now_ms() -> int:
    """The current time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id(prefix: Prefix) -> str:
    """A new TypeID with the current time, such as `req_01h455vb4pex5vsknk084sn02q`."""
    return mint(prefix, now_ms(), os.urandom(10))


def new_process_name() -> str:
    """A name for this process that no other one has, and that says where it runs: `host-4711-9f86d081`."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
