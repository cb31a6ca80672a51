"""`bitmill dlq list` and `show`: the dead letters of all services, for operators."""

import argparse
import sys
import time
from datetime import timedelta

from chassis.adapters.kafka.dead_letter import DeadLetter, Position, ReplayMark
from chassis.adapters.kafka.dead_letter_log import DeadLetterLog, Listing
from chassis.core.setting_types import duration
from cli import dlq_text
from cli.errors import CliError, UsageError
from cli.kafka_connection import with_dead_letters
from cli.safe_text import json_line
from schemas.topics import TOPICS, Topic


def list_(arguments: argparse.Namespace) -> int:
    """Print the newest dead letters, oldest of them first."""
    names = [topic.dead_letter for topic in (TOPICS if arguments.topic is None else [topic_named(arguments.topic)])]
    since = None if arguments.since is None else _ago(arguments.since)

    async def work(log: DeadLetterLog) -> Listing:
        return await log.newest(names, arguments.limit, since)

    listing = with_dead_letters(arguments, work)
    if arguments.json:
        for each in listing.found:
            print(json_line(dlq_text.summary_fields(each)))
    elif listing.found:
        print(dlq_text.list_table(listing.found))
    else:
        print("There are no dead letters.")
    if listing.more:
        print(f"Only the newest {len(listing.found)} are shown: raise --limit to see older ones.", file=sys.stderr)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one dead letter with its headers and its value."""
    position = position_of(arguments.position)
    letter, mark = with_dead_letters(arguments, lambda log: find(log, position))
    masked = not arguments.unmasked
    if arguments.json:
        print(json_line(dlq_text.letter_fields(letter, mark, masked=masked)))
    else:
        print(dlq_text.letter_text(letter, mark, masked=masked))
    return 0


async def find(log: DeadLetterLog, position: Position) -> tuple[DeadLetter, ReplayMark | None]:
    """The dead letter, and the mark of its last replay. Raises CliError."""
    letter = await log.at(position)
    if letter is None:
        raise CliError(f"there is no dead letter at {position}: `bitmill dlq list` shows where they are")
    return letter, await log.mark_of(position)


def position_of(text: str) -> Position:
    """The position of a dead letter. Raises UsageError."""
    try:
        position = Position.parse(text)
    except ValueError as error:
        raise UsageError(f"POSITION {error}, not {text[:100]!r}") from None
    if position.topic not in {topic.dead_letter for topic in TOPICS}:
        raise UsageError(f"POSITION must be in a dead-letter topic, not {position.topic}: see `bitmill dlq list`")
    return position


def topic_named(name: str) -> Topic:
    """The topic of this name, or whose dead-letter topic has it. Raises UsageError."""
    for topic in TOPICS:
        if name in (topic.name, topic.dead_letter):
            return topic
    raise UsageError(f"--topic must be one of {', '.join(topic.name for topic in TOPICS)}, not {name[:100]!r}")


def _ago(text: str) -> int:
    try:
        age: timedelta = duration(text)
    except ValueError as error:
        raise UsageError(f"--since {error}") from None
    return max(0, int((time.time() - age.total_seconds()) * 1000))
