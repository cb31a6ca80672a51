"""Announces revoked keys on a channel of Postgres, for the services that know keys by their events only.

The event reaches them through Kafka, which may lag or be away. The announcement is sent in the transaction that
revokes, and is repeated for three hours, because a listener may have been disconnected at that moment; by one hour the
clock may be wrong.
"""

from collections.abc import Sequence
from datetime import timedelta

from chassis.adapters.postgres import Connection, Pool, sql
from chassis.core.ids import now_ms
from schemas.keys import REVOKED_CHANNEL, Revocation, revocations_text
from services.ingest.store import QUERIES

REPEAT_EVERY = timedelta(milliseconds=500)
REPEAT_FOR = timedelta(hours=3)
MAX_REPEATED = 1000
IN_ONE_MESSAGE = 100
"""Postgres limits a message to 8000 bytes; a revocation has about 50."""


async def announce(conn: Connection, revocations: Sequence[Revocation]) -> None:
    """Sends the announcement when the caller's transaction is committed."""
    for start in range(0, len(revocations), IN_ONE_MESSAGE):
        text = revocations_text(revocations[start : start + IN_ONE_MESSAGE])
        await conn.execute(sql.load("chassis.adapters.postgres")["notify"], REVOKED_CHANNEL, text)


async def repeat(pool: Pool) -> None:
    """Announces the newest revocations of the last hours once more."""
    since = now_ms() - REPEAT_FOR // timedelta(milliseconds=1)
    async with pool.acquire() as conn:
        rows = await conn.fetch(QUERIES["revoked_since"], since, MAX_REPEATED)
        await announce(conn, [Revocation(row["id"], row["revoked_at"]) for row in rows])
