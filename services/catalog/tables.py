"""The way to the catalog's tables: their schema, their migrations, and the two pools, one for each direction."""

from datetime import timedelta

from chassis.adapters.postgres import Pool, open_pool

SCHEMA = "catalog"
MIGRATIONS = ("services.catalog.sql.migrations",)
PROJECTING_CONNECTIONS = 6
"""One for each subscription, and one more: requests, however many, never hold up the projection."""


async def open_projecting_pool(dsn: str) -> Pool:
    """The pool that events are written through."""
    return await open_pool(dsn, SCHEMA, size=PROJECTING_CONNECTIONS)


async def open_reading_pool(dsn: str, *, size: int, timeout: timedelta) -> Pool:
    """The pool that requests are answered from; a query that takes longer than `timeout` is cancelled.

    Each query is planned for its values: the plan that suits a rare metadata value takes seconds for a common one, and
    asyncpg's prepared statements would settle on one for both.
    """
    milliseconds = str(round(timeout.total_seconds() * 1000))
    settings = {"plan_cache_mode": "force_custom_plan", "statement_timeout": milliseconds, "jit": "off"}
    return await open_pool(dsn, SCHEMA, size=size, settings=settings)
