"""What the catalog knows of one job, for operators. Reads only."""

from dataclasses import dataclass

from chassis.adapters.postgres import Pool
from schemas.jobs import Job
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
