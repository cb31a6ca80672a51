"""Positions of new jobs in the list of their project: the order in which they become visible.

A position is given while the row of the project in `job_positions` is locked, until the commit. So of two positions the
lower one is visible first, whichever replicas give them: a reader that goes on after a position misses no job.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from chassis.adapters.postgres import Connection, sql
from services.catalog.snapshots import JobSnapshot

SQL = sql.load("services.catalog.sql")
KNOWN = -1
"""In place of a position for a job that is there and keeps its own. 0 would fire the trigger of migration 0004."""


async def give_positions(connection: Connection, snapshots: Sequence[JobSnapshot]) -> Mapping[str, int]:
    """The positions of those jobs that are not in the table, by id.

    To be called before the jobs are written: no transaction locks the row of a project after that of a job, so that
    two cannot wait for each other.
    """
    ids = [snapshot.id for snapshot in snapshots]
    known = {row["id"] for row in await connection.fetch(SQL["known_jobs"], ids)}
    new = by_project(snapshot for snapshot in snapshots if snapshot.id not in known)
    if not new:
        return {}
    counts = [len(ids) for ids in new.values()]
    rows = await connection.fetch(SQL["reserve_job_positions"], list(new), counts)
    return positions(new, {row["project"]: row["last"] for row in rows})


def by_project(snapshots: Iterable[JobSnapshot]) -> dict[str, list[str]]:
    """The ids of the jobs by project, projects in ascending order (pure)."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for snapshot in snapshots:
        ids[snapshot.project].append(snapshot.id)
    return dict(sorted(ids.items()))


def positions(new: Mapping[str, Sequence[str]], last: Mapping[str, int]) -> dict[str, int]:
    """The positions of new jobs up to the last one of each project, in the order of their ids (pure)."""
    given: dict[str, int] = {}
    for project, ids in new.items():
        first = last[project] - len(ids) + 1
        given |= {id: first + index for index, id in enumerate(sorted(ids, key=_minted))}
    return given


def _minted(id: str) -> str:
    return id[-26:]
