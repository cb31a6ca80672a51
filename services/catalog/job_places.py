"""Places of jobs in the list of their project, and what a cursor that is not in the list stands for.

The list is in the order in which jobs became visible (`position`, see migration 0004): whoever goes on after the last
id seen gets every job that becomes visible later. Jobs of before that migration share position 0, in the order of their
ids, of which `minted` is the time-ordered part.
"""

from typing import NamedTuple

from chassis.adapters.postgres import Connection, sql

SQL = sql.load("services.catalog.sql")
MAX_INT8 = 2**63 - 1
_BEFORE_ANY, _AFTER_ANY = "", "~"
"""Texts before and after every `minted` of the same position."""


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
