"""Outputs of jobs whose retention is over: the worker that stored an output deletes it, before it forgets the job.

The output of a job for a media item belongs to the item, and stays.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from chassis.adapters.storage import Storage
from chassis.core.metrics import counter
from chassis.runtime.purge import PurgeHook

AT_ONCE = 8
DELETE_SECONDS = 30.0
"""For one object. After it the pass fails, and the next one tries again."""

_deleted = counter("bitmill_outputs_expired", "Stored outputs that were deleted with their jobs.", ("service",))


def expired_outputs(storage: Storage, service: str) -> PurgeHook:
    """The hook of the table `job_queue`. Raises StorageError: the rows are then kept."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def delete(key: str) -> None:
        async with slots, asyncio.timeout(DELETE_SECONDS):
            await storage.delete(key)
        _deleted.labels(service).inc()

    async def before(rows: Sequence[Mapping[str, Any]]) -> None:
        keys = [key for row in rows for key in own_outputs(row["final_events"])]
        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(delete(key))

    return PurgeHook(("final_events",), before)


def own_outputs(final_events: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The keys of the outputs that belong to the job alone, from the events with which it ended (pure).

    None for jobs that ended before their rows kept the events: `bitmill gc` finds their outputs.
    """
    return [job["output"]["key"] for job in _with_output(final_events) if not is_attached(job)]


def stored_outputs(final_events: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The keys of all outputs in the events with which a job ended, as far as they are in storage (pure)."""
    return [job["output"]["key"] for job in _with_output(final_events)]


def _with_output(final_events: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    jobs = [orjson.loads(record["value"])["job"] for record in final_events or ()]
    return [job for job in jobs if job.get("output") and not job["output"].get("location")]


def is_attached(job: Mapping[str, Any]) -> bool:
    """Whether the job is for a media item, to which its output belongs (pure)."""
    return job.get("media_id") is not None and job.get("ref") is not None
