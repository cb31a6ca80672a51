"""The clock and the randomness that `schemas.ids` asks for."""

import os
import time

from schemas.ids import Prefix, typeid, uuid7


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id(prefix: Prefix) -> str:
    """A new id, dated now: `job_01h455vb4pex5vsknk084sn02q`."""
    return typeid(prefix, uuid7(now_ms(), os.urandom(10)))
