"""CPU time that an idle `bitmill up` uses: its Python process, the JVM of Kafka, and Postgres, apart."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.system import bitmill_up

SETTLE_SECONDS = 20
SECONDS = 60


@dataclass(frozen=True)
class IdleCpu:
    """Percent of one core, averaged over `SECONDS`."""

    python: float
    kafka: float
    postgres: float


def _cpu_seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def process_groups(pid: int) -> dict[str, list[psutil.Process]]:
    """The processes of a `bitmill up`: `python` with its sandboxed children, `kafka`, `postgres`."""
    root = psutil.Process(pid)
    found: dict[str, list[psutil.Process]] = {"python": [root], "kafka": [], "postgres": []}
    for child in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = child.name()
            group = "kafka" if "java" in name else "postgres" if "postgres" in name else "python"
            found[group].append(child)
    return found


async def measure(folder: Path) -> IdleCpu:
    """Starts `bitmill up`, leaves it alone, and reads the CPU times of its processes."""
    async with bitmill_up(folder):
        pid = int(re.findall(r"\d+", (folder / "lock").read_text())[0])
        # Not a synchronisation: the figures are those of processes that have settled.
        await asyncio.sleep(SETTLE_SECONDS)
        groups = process_groups(pid)
        before = {name: sum(map(_cpu_seconds, processes)) for name, processes in groups.items()}
        await asyncio.sleep(SECONDS)
        after = {name: sum(map(_cpu_seconds, processes)) for name, processes in groups.items()}
    percent = {name: 100 * (after[name] - before[name]) / SECONDS for name in groups}
    return IdleCpu(percent["python"], percent["kafka"], percent["postgres"])
