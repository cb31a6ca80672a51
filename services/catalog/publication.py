"""Whether an id that the catalog does not know may still be on its way (pure).

An id reaches the catalog in two steps: ingest commits an event to its outbox and publishes it to Kafka, and the
projection reads it there. The second step is measured by consumer lag. For the first one ingest publishes watermarks
(`schemas.events.OutboxAdvanced`); all their times are of the clock of ingest's database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

CLOCK_SKEW_MS = 10_000
"""How far the clocks of two machines may differ."""
SETTLED_MS = 60_000
"""How long it may take from the minting of an id to the commit of its event, clock skew included."""


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

    NONE = "none"
    """Nothing: this id cannot have been issued yet."""
    PROJECTED = "projected"
    """That the projection has read everything that is in Kafka now."""
    PUBLISHED = "published"
    """That everything committed by now is in Kafka, and after that `PROJECTED`."""


def required_evidence(minted_at_ms: int, now_ms: int, watermarks: Iterable[Watermark]) -> Evidence:
    """What is required for an id of this age. `now_ms` is the local clock, in Unix milliseconds."""
    if minted_at_ms > now_ms + CLOCK_SKEW_MS:
        return Evidence.NONE
    published_through = max((watermark.published_through_ms for watermark in watermarks), default=0)
    return Evidence.PROJECTED if minted_at_ms < published_through - SETTLED_MS else Evidence.PUBLISHED


def all_published(watermarks: Iterable[Watermark], end_offset: int) -> bool:
    """Whether the watermarks prove that everything committed before some moment is in Kafka.

    `end_offset` is the end of the watermarks' topic, requested after that moment. A watermark whose `after_offset`
    is not below it was looked up after that moment: all rows that were committed by then were visible to it. Once one
    says that everything up to that look-up is published, they are.
    """
    known = list(watermarks)
    looked_up = [mark.at_ms for mark in known if mark.after_offset is not None and mark.after_offset >= end_offset]
    return bool(looked_up) and any(mark.published_through_ms >= min(looked_up) for mark in known)
