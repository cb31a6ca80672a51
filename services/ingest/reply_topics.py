"""Which topics producers may name for replies: the value of the setting REPLY_TOPICS."""

import re

from schemas.replies import topic_matches
from schemas.topics import TOPICS

_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,248}\*?")
_OURS = tuple(name for topic in TOPICS for name in (topic.name, topic.dead_letter))


def topic_patterns(text: str) -> tuple[str, ...]:
    """Names of topics, or beginnings of names followed by `*`, separated by commas. ValueError says what is wrong.

    None of them may be a topic of our own: a reply there would be read as a submission, or an event, of somebody.
    """
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"must be names of topics, each with at most one * at its end, not {pattern!r}")
        ours = next((name for name in _OURS if topic_matches(name, (pattern,))), None)
        if ours is not None:
            raise ValueError(f"must not stand for {ours}, which {pattern!r} does")
    return patterns
