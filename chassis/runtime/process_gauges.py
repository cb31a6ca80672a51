"""Gauges of one replica of a service, measured at a scrape: slots, connections to Postgres, free space of its folders.

Those of tables that all replicas share are measured by one of them: see `gauge_leader`.
"""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from chassis.adapters.postgres import Pool
from chassis.core.metrics import gauge
from chassis.runtime.job_queue import Runner

_slots = gauge("bitmill_job_queue_slots", "Items that the replica works on at most at a time.")
_slots_used = gauge("bitmill_job_queue_slots_used", "Items that the replica works on.")
_connections = gauge(
    "bitmill_postgres_connections", "Connections of the replica's pool, by state: used, idle.", ("service", "state")
)
_waiting = gauge("bitmill_postgres_waiting", "Tasks that wait for a connection of the replica's pool.")
_disk_free = gauge("bitmill_disk_free_bytes", "Free space of the file system of a folder.", ("service", "folder"))
_disk_size = gauge("bitmill_disk_size_bytes", "Size of the file system of a folder.", ("service", "folder"))


async def measure(service: str, pool: Pool, runner: Runner | None, folders: Mapping[str, Path]) -> None:
    """Sets the gauges. `folders`: by what they are for; one that cannot be measured shows no values."""
    size, idle = pool.get_size(), pool.get_idle_size()
    _connections.labels(service, "used").set(size - idle)
    _connections.labels(service, "idle").set(idle)
    _waiting.labels(service).set(pool.waiting)
    if runner is not None:
        _slots.labels(service).set(runner.slots)
        _slots_used.labels(service).set(runner.slots_used)
    for name, folder in folders.items():
        try:
            # In a thread: a network file system may not respond.
            usage = await asyncio.to_thread(shutil.disk_usage, folder)
        except OSError:
            continue
        _disk_free.labels(service, name).set(usage.free)
        _disk_size.labels(service, name).set(usage.total)
