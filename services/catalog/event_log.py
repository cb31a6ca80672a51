"""Reads the events of jobs that the projection has recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chassis.adapters.postgres import Pool, sql
from schemas.jobs import Job

SQL = sql.load("services.catalog.sql")


class RecordedEvent(NamedTuple):
    """A row of `job_events`; `data` is JSON."""

    project: str
    position: int
    job_id: str
    kind: str
    status: str
    name: str
    data: str


@dataclass(frozen=True)
class KeptEvents:
    """The positions of a project's oldest event that is kept (None: there is none) and of its last one."""

    oldest: int | None
    last: int

    def has_all_after(self, position: int) -> bool:
        """Whether every event after `position` is still there."""
        if position >= self.last:
            return position == self.last
        return self.oldest is not None and self.oldest <= position + 1


class EventLog:
    """Reads through the pool of `services.catalog.queries.open_query_pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def heads(self, projects: Sequence[str]) -> dict[str, int]:
        """The position of the last event of each project; of those that have any."""
        async with self._pool.acquire() as connection:
            return {row["project"]: row["last"] for row in await connection.fetch(SQL["event_heads"], list(projects))}

    async def kept(self, project: str) -> KeptEvents:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SQL["kept_events"], project)
        return KeptEvents(row["oldest"], row["last"]) if row else KeptEvents(None, 0)

    async def after(self, positions: Mapping[str, int], most: int) -> list[RecordedEvent]:
        """Up to `most` events of each project after a position, in their order."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                SQL["events_of_projects"], list(positions.keys()), list(positions.values()), most
            )
        return [RecordedEvent(*row) for row in rows]

    async def of_job(self, project: str, job_id: str, position: int, most: int) -> list[RecordedEvent]:
        """Up to `most` events of a job after a position, in their order."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(SQL["events_of_job"], project, job_id, position, most)
        return [RecordedEvent(*row) for row in rows]

    async def job(self, project: str, id: str) -> tuple[Job, int] | None:
        """The job, and the position of the last event of its project that it contains."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SQL["find_job_and_event_position"], id, project)
        return (Job.model_validate_json(row["job"]), row["last"]) if row else None
