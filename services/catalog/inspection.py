"""What the catalog knows of a job, and which stored objects it refers to, for operators. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.adapters.postgres import Pool
from schemas.jobs import Job
from schemas.stored_keys import StoredKey
from services.catalog.store import SQL


@dataclass(frozen=True)
class ProjectedJob:
    """The job after the events that the catalog has read: what customers see. `position` is its place in lists."""

    job: Job
    position: int


async def inspect_job(pool: Pool, id: str) -> ProjectedJob | None:
    """The job; None where the catalog has read no event about it."""
    row = await pool.fetchrow(SQL["inspect_job"], id)
    return None if row is None else ProjectedJob(Job.model_validate_json(row["job"]), row["position"])


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys among those of `objects` that a name or a job has."""
    keys, owners = [each.key for each in objects], list({each.owner for each in objects})
    return {row["key"] for row in await pool.fetch(SQL["referenced_objects"], keys, owners)}
