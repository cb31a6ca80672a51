"""Replies to producers: what is sent to the topic that a submission names in its headers.

`ce_replytopic` names the topic, `ce_correlationid` is any text of the producer's own. Replies are CloudEvents as events
are, with `ce_correlationid` and, in `ce_submissionid`, the id of the submission.
"""

import re
from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import EventModel
from schemas.storable import IdText, StoredText, TimestampMs

REPLY_TOPIC = "ce_replytopic"
CORRELATION_ID = "ce_correlationid"
SUBMISSION_ID = "ce_submissionid"
MAX_CORRELATION_CHARS = 255
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""A name that Kafka allows."""


class ReplyAddress(EventModel):
    """Where the replies to a submission go. `correlation_id` is empty where the producer gave none."""

    topic: str
    correlation_id: StoredText = Field("", max_length=MAX_CORRELATION_CHARS)


class SubmissionAccepted(EventModel):
    """The submission was accepted: `id` is the new job or media item."""

    TYPE: ClassVar[str] = "bitmill.submission.accepted.v1"
    submission_id: StoredText
    project: IdText
    kind: Literal["job", "media"]
    id: IdText
    at: TimestampMs


class SubmissionRefused(EventModel):
    """The submission was refused, and is a dead letter of its topic: `code` and `reason` are those of the dead letter.

    `project` is what the record says, empty where it says nothing.
    """

    TYPE: ClassVar[str] = "bitmill.submission.refused.v1"
    submission_id: StoredText
    project: StoredText
    topic: StoredText
    partition: int
    offset: int
    code: StoredText
    reason: StoredText
    at: TimestampMs


class InvalidReplyAddress(ValueError):
    """The headers of a submission name no reply topic that can be. The text says what is wrong."""


def reply_address(topic: str | None, correlation_id: str | None) -> ReplyAddress | None:
    """From the two headers; None without a topic (pure). Raises InvalidReplyAddress."""
    if topic is None:
        return None
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise InvalidReplyAddress(f"the header {REPLY_TOPIC} must be the name of a topic, not {topic[:120]!r}")
    text = correlation_id or ""
    if len(text) > MAX_CORRELATION_CHARS or not text.isprintable():
        raise InvalidReplyAddress(
            f"the header {CORRELATION_ID} must have at most {MAX_CORRELATION_CHARS} characters, all of them printable"
        )
    return ReplyAddress(topic=topic, correlation_id=text)


def topic_matches(topic: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern is this name, or its beginning followed by `*` (pure)."""
    return any(topic == pattern or (pattern.endswith("*") and topic.startswith(pattern[:-1])) for pattern in patterns)
