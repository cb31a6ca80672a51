"""Projects: listed and changed in the database directly, as `bitmill projects` does.

Each change is an event in the outbox, which the relay of a running ingest publishes.
"""

from typing import TypedDict, Unpack

from chassis.adapters.postgres import Pool
from chassis.runtime.outbox import Outbox
from schemas.events import ProjectChanged
from schemas.projects import DeliveryMode, Project
from services.ingest.store import QUERIES, SCHEMA


async def list_projects(pool: Pool) -> list[Project]:
    """All projects, oldest first."""
    async with pool.acquire() as conn:
        return [Project.model_validate(dict(row)) for row in await conn.fetch(QUERIES["list_projects"])]


DEFAULT = -1
"""In place of a number: what the settings of the installation say."""


class ProjectChange(TypedDict, total=False):
    """New settings of a project, as `Project` has them. None stays as it is; a number may be `DEFAULT`."""

    delivery: DeliveryMode | None
    strip: bool | None
    rate_limit: int | None
    key_rate_limit: int | None
    max_unfinished_jobs: int | None
    max_unfinished_imports: int | None
    retain_jobs_s: int | None


_FIELDS = (
    "delivery",
    "strip",
    "rate_limit",
    "key_rate_limit",
    "max_unfinished_jobs",
    "max_unfinished_imports",
    "retain_jobs_s",
)
"""In the order of the parameters of the query."""


async def set_project(pool: Pool, id: str, **change: Unpack[ProjectChange]) -> Project | None:
    """The project with its new settings; None where there is no such project.

    Setting the same values again publishes the project again, which repairs a reader that has lost it.
    """
    async with pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(QUERIES["set_project"], id, *(change.get(field) for field in _FIELDS))
        if row is None:
            return None
        project = Project.model_validate(dict(row))
        await Outbox(pool, SCHEMA).put(conn, ProjectChanged(project=project))
    return project
