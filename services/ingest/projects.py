"""Projects: listed and changed in the database directly, as `bitmill projects` does.

Each change is an event in the outbox, which the relay of a running ingest publishes.
"""

from chassis.adapters.postgres import Pool
from chassis.runtime.outbox import Outbox
from schemas.events import ProjectChanged
from schemas.projects import DeliveryMode, Project
from services.ingest.store import QUERIES, SCHEMA


async def list_projects(pool: Pool) -> list[Project]:
    """All projects, oldest first."""
    async with pool.acquire() as conn:
        return [Project.model_validate(dict(row)) for row in await conn.fetch(QUERIES["list_projects"])]


async def set_project(
    pool: Pool, id: str, *, delivery: DeliveryMode | None = None, strip: bool | None = None
) -> Project | None:
    """The project with these settings, of which None stays as it is; None where there is no such project.

    Setting the same values again publishes the project again, which repairs a reader that has lost it.
    """
    async with pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(QUERIES["set_project"], id, delivery, strip)
        if row is None:
            return None
        project = Project.model_validate(dict(row))
        await Outbox(pool, SCHEMA).put(conn, ProjectChanged(project=project))
    return project
