"""Events that an outbox still has, for operators. Reads only."""

from dataclasses import dataclass

import orjson

from chassis.adapters.postgres import Pool, sql


@dataclass(frozen=True)
class UnpublishedEvent:
    """An event that Kafka does not have: it waits for the relay, or Kafka refuses it for `quarantine_reason`.

    `created_at` in Unix milliseconds.
    """

    topic: str
    type: str
    created_at: int
    quarantine_reason: str | None


async def unpublished_events(pool: Pool, *subjects: str) -> list[UnpublishedEvent]:
    """The events about these subjects in the outbox of the service that `pool` belongs to, at most 100."""
    keys = [subject.encode() for subject in subjects]
    rows = await pool.fetch(sql.load("chassis.runtime.outbox")["inspect"], keys)
    return [
        UnpublishedEvent(
            row["topic"], dict(orjson.loads(row["headers"])).get("ce_type", ""), row["created_at"], row["reason"]
        )
        for row in rows
    ]
