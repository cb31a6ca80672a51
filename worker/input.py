"""Where a job's input comes from: the storage, or an address through the egress guard. ffmpeg never gets a URL."""

from pathlib import Path

from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.storage import Storage
from schemas.jobs import Job

_NAME = "source"


async def acquire(job: Job, workdir: Path, storage: Storage, guard: EgressPolicy, limits: FetchLimits) -> Path:
    """The input as a local file, which must not be written to: it may be the stored object itself.

    Raises FetchError for an address, StorageError for a stored file.
    """
    dest = workdir / _NAME
    if job.source is None:
        await fetch(job.input, dest, guard, limits)
        return dest
    local = storage.local_path(job.source.key)
    if local is not None and local.is_file():
        return local
    await storage.download(job.source.key, dest)
    return dest
