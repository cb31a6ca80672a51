"""Positions of jobs in the list of their project, which is in the order in which the jobs become visible.

A position is given while the row of the project in `job_positions` is locked, until the commit. So of two positions the
lower one is visible first, whichever replicas give them: a reader that goes on after the last id that it has seen gets
every job that becomes visible later. Jobs of before migration 0004 share position 0, in the order of their ids, of
which `minted` is the time-ordered part.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chassis.adapters.postgres import Connection, sql
from services.catalog.snapshots import JobSnapshot

SQL = sql.load("services.catalog.sql")
MAX_INT8 = 2**63 - 1
_BEFORE_ANY, _AFTER_ANY = "", "~"
"""Texts before and after every `minted` of the same position."""


async def new_jobs(connection: Connection, snapshots: Sequence[JobSnapshot]) -> dict[str, list[str]]:
    """The ids of those jobs that are not in the table, by project."""
    ids = [snapshot.id for snapshot in snapshots]
    known = {row["id"] for row in await connection.fetch(SQL["known_jobs"], ids)}
    return by_project(snapshot for snapshot in snapshots if snapshot.id not in known)


async def give_positions(connection: Connection, new: Mapping[str, Sequence[str]]) -> Mapping[str, int]:
    """The positions of new jobs, by id.

    To be called right before the jobs are written, because the rows of their projects stay locked until the commit:
    whatever comes in between holds up other replicas. Never after it, so that no transaction locks the row of a project
    after that of a job, and two cannot wait for each other.
    """
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


class Place(NamedTuple):
    """Between two jobs, or that of a job."""

    position: int
    minted: str


async def place_after(connection: Connection, project: str, id: str) -> Place:
    """The place after which the jobs that follow the job `id` are.

    Where the list has no such job (another project's, one that is not visible yet), nothing that follows its id is
    left out; some that precede it may be repeated.
    """
    known = await _place_of(connection, project, id)
    if known is not None:
        return known
    position = await connection.fetchval(SQL["first_position_after"], project, _minted(id))
    return Place(MAX_INT8 if position is None else position, _BEFORE_ANY)


async def place_before(connection: Connection, project: str, id: str) -> Place:
    """As `place_after`, for the jobs that precede the job `id`."""
    known = await _place_of(connection, project, id)
    if known is not None:
        return known
    position = await connection.fetchval(SQL["last_position_before"], project, _minted(id))
    return Place(-1 if position is None else position, _AFTER_ANY)


async def _place_of(connection: Connection, project: str, id: str) -> Place | None:
    row = await connection.fetchrow(SQL["find_place"], id, project)
    return Place(row["position"], row["minted"]) if row else None


def _minted(id: str) -> str:
    return id[-26:]
