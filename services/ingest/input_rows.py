"""The rows behind inputs that are files of the project, and behind files that jobs make for media items.

All of it belongs to the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from chassis.adapters.postgres import Connection
from schemas.files import Output
from schemas.jobs import Job, Status
from schemas.media import MediaItem
from services.ingest.store import QUERIES, queued_job

_TIME_CHARS = slice(-26, -16)
"""Of an id: its milliseconds."""


@dataclass(frozen=True)
class AwaitedJob:
    """A job whose output may be an input. `ended` is None where it has not ended."""

    id: str
    kind: str
    ended: Status | None
    output: Output | None
    media_id: str | None


async def shared_item(conn: Connection, id: str, project: str) -> MediaItem | None:
    """The item of the project; it is not changed until the transaction ends."""
    row = await conn.fetchrow(QUERIES["shared_item"], id, project)
    return MediaItem.model_validate(row["item"]) if row else None


async def shared_job(conn: Connection, id: str, project: str) -> AwaitedJob | None:
    """The job of the project; its end is not recorded until the transaction ends."""
    row = await conn.fetchrow(QUERIES["shared_job"], id, project)
    if row is None:
        return None
    output = Output.model_validate(row["output"]) if row["output"] else None
    return AwaitedJob(row["id"], row["kind"], row["ended"], output, row["media_id"])


async def name_holder(conn: Connection, project: str, path: str) -> str | None:
    """The id of the media item whose original has this name."""
    holder: str | None = await conn.fetchval(QUERIES["name_holder"], project, path)
    return holder


async def owners_of_time(conn: Connection, file_id: str, project: str) -> tuple[list[str], list[str]]:
    """The media items, and the jobs with an output, that are as old as the file with this id, to the millisecond."""
    time = file_id[_TIME_CHARS]
    items = await conn.fetch(QUERIES["items_of_time"], time, project)
    jobs = await conn.fetch(QUERIES["jobs_with_output_of_time"], time, project)
    return [row["id"] for row in items], [row["id"] for row in jobs]


async def set_input(conn: Connection, job: Job) -> None:
    """Stores what the input of the job was found to be."""
    found = job.model_dump(mode="json", include={"source", "input_fault"}, exclude_none=True)
    await conn.execute(QUERIES["set_input"], job.id, orjson.dumps(found).decode(), job.waits_for)


async def stop_waiting(conn: Connection, id: str, project: str) -> Job | None:
    """The job as workers may have it from now on; None where it was not waiting for its input."""
    row = await conn.fetchrow(QUERIES["stop_waiting"], id, project)
    return queued_job(row) if row else None


async def lock_waiting_jobs(conn: Connection, awaited: Sequence[str]) -> list[Job]:
    """The jobs that wait for any of these media items and jobs."""
    return [queued_job(row) for row in await conn.fetch(QUERIES["lock_waiting_jobs"], list(awaited))]


async def unfinished_jobs_of_item(conn: Connection, media_id: str) -> dict[str, int]:
    """The jobs without an end whose output is for the item, with the numbers of their present runs."""
    return {row["id"]: row["run"] for row in await conn.fetch(QUERIES["jobs_of_item_without_end"], media_id)}


async def count_unfinished_jobs_of_item(conn: Connection, media_id: str) -> int:
    number: int = await conn.fetchval(QUERIES["count_jobs_of_item_without_end"], media_id)
    return number


async def succeeded_jobs_of_item(conn: Connection, media_id: str) -> list[Job]:
    """The jobs that have made an output for the item."""
    rows = await conn.fetch(QUERIES["outputs_for_item"], media_id)
    return [queued_job(row).succeed(Output.model_validate(row["output"]), row["ended_at"]) for row in rows]
