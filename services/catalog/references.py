"""Which stored objects the catalog's tables refer to, for `bitmill gc`. Reads only."""

from collections.abc import Sequence

from chassis.adapters.postgres import Pool, sql
from schemas.stored_keys import StoredKey

SQL = sql.load("services.catalog.sql")


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys among those of `objects` that a name or a job has."""
    keys, owners = [each.key for each in objects], list({each.owner for each in objects})
    return {row["key"] for row in await pool.fetch(SQL["referenced_objects"], keys, owners)}
