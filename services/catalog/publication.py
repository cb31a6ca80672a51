"""Whether an id that the catalog does not know may still be on its way (pure).

An id reaches the catalog in two steps: ingest commits an event to its outbox and publishes it to Kafka, and the
projection reads it there. The second step is measured by consumer lag. For the first one ingest publishes watermarks
(`schemas.events.OutboxAdvanced`); all their times are of the clock of ingest's database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import dropwhile

SETTLED_MS = 2 * 3_600_000
"""How long it may seem to take from the minting of an id to the commit of its event. The first is a time of ingest's
clock, the second one of its database's, and either may have been set by an hour."""


@dataclass(frozen=True)
class Watermark:
    """Every event that was committed before `published_through_ms` is in Kafka; `at_ms` is when that was looked up.

    `after_offset` is the offset of an earlier watermark that Kafka had acknowledged before the look-up; None if the
    sender knows of none.
    """

    at_ms: int
    published_through_ms: int
    after_offset: int | None


class Evidence(Enum):
    """What has to be awaited before the response to an unknown id may be 404."""

    PROJECTED = "projected"
    """That the projection has read everything that is in Kafka now."""
    PUBLISHED = "published"
    """That everything committed by now is in Kafka, and after that `PROJECTED`."""


def required_evidence(minted_at_ms: int, watermarks: Iterable[Watermark]) -> Evidence:
    """What is required for an id of this time. The local clock has no say: it may be wrong."""
    # The last one, and not the highest: the clock may have been set back.
    published_through = next((mark.published_through_ms for mark in reversed(list(watermarks))), 0)
    return Evidence.PROJECTED if minted_at_ms < published_through - SETTLED_MS else Evidence.PUBLISHED


def all_published(watermarks: Iterable[Watermark], end_offset: int) -> bool:
    """Whether the watermarks prove that everything committed before some moment is in Kafka.

    `end_offset` is the end of the watermarks' topic, requested after that moment. A watermark whose `after_offset`
    is not below it was looked up after that moment: all rows that were committed by then were visible to it. Once one
    that is not older says that everything up to that look-up is published, they are. `watermarks` are in their order:
    those from before a clock was set back say nothing about later times.
    """
    since = list(dropwhile(lambda mark: mark.after_offset is None or mark.after_offset < end_offset, watermarks))
    return bool(since) and any(mark.published_through_ms >= since[0].at_ms for mark in since)
