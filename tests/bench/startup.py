"""How long a warm start takes until `/readyz` is 200, and how much memory the idle process holds."""

import asyncio
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.processes import clean_environment
from tests.support.system import bitmill_up

STARTS = 3
IDLE_SECONDS = 10


@dataclass(frozen=True)
class Startup:
    """Seconds of a first start with nothing cached and of warm ones; resident MB of the Python process when idle."""

    first: float
    warm: list[float]
    resident_mb: float

    @property
    def warm_median(self) -> float:
        return statistics.median(self.warm)


def _resident_mb(data: Path) -> float:
    pid = int(re.findall(r"\d+", (data / "lock").read_text())[0])
    return float(psutil.Process(pid).memory_info().rss) / 1e6


async def _start(data: Path, *, home: Path | None = None, idle: bool = False) -> tuple[float, float]:
    env = {**clean_environment(), "HOME": str(home)} if home else None
    began = time.perf_counter()
    async with bitmill_up(data, env):
        took = time.perf_counter() - began
        if idle:
            # Not a synchronisation: the figure is that of a process which has settled.
            await asyncio.sleep(IDLE_SECONDS)
        return took, _resident_mb(data)


async def measure(folder: Path) -> Startup:
    """Start and stop `bitmill up` on one folder several times."""
    home = folder.with_name("home")
    home.mkdir()
    # An empty home has no cache: Kafka is downloaded again.
    first, _ = await _start(folder, home=home)
    starts = [await _start(folder, idle=number == STARTS - 1) for number in range(STARTS)]
    return Startup(first, [took for took, _ in starts], starts[-1][1])
