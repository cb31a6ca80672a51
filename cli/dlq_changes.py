"""`bitmill dlq replay` and `drop`: dead letters back to their topics, or away. Both say first what they will do."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from chassis.adapters.kafka.dead_letter import DeadLetter, NotReplayable, Position
from chassis.adapters.kafka.dead_letter_log import DeadLetterLog
from chassis.adapters.kafka.record_reader import Span
from cli.dlq import find, position_of, topic_named
from cli.dlq_text import replayed_line
from cli.errors import CliError, UsageError
from cli.kafka_connection import with_dead_letters
from cli.safe_text import json_line, printable, time
from schemas.topics import TOPICS, Topic


@dataclass(frozen=True)
class Amount:
    """Dead letters of a partition up to the end of `span`, and those of them that were never replayed."""

    span: Span
    letters: int
    pending: int


def replay(arguments: argparse.Namespace) -> int:
    """Send original records to their topics again; status 1 if one could not be."""
    chosen = _chosen(arguments)
    return _replay_one(arguments, chosen) if isinstance(chosen, Position) else _replay_all(arguments, chosen)


def _replay_one(arguments: argparse.Namespace, position: Position) -> int:
    topic = next(topic for topic in TOPICS if topic.dead_letter == position.topic)

    async def work(log: DeadLetterLog) -> None:
        letter, mark = await find(log, position)
        if mark is not None and not arguments.again:
            raise CliError(f"{position} was replayed at {time(mark.at_ms)} to {printable(mark.to)}: --again repeats it")
        try:
            _say_replayed(arguments, position, await log.replay(letter, topic))
        except NotReplayable as error:
            raise CliError(f"{position} cannot be replayed: {error}") from None

    with_dead_letters(arguments, work)
    return 0


def _replay_all(arguments: argparse.Namespace, topic: Topic) -> int:
    async def count(log: DeadLetterLog) -> list[Amount]:
        return [await _amount(log, span) for span in await log.spans([topic.dead_letter])]

    amounts = with_dead_letters(arguments, count)
    pending = sum(amount.pending for amount in amounts)
    if not pending:
        print(f"{topic.dead_letter} has no dead letter that was not replayed.", file=sys.stderr)
        return 0
    chosen = min(pending, arguments.limit or pending)
    _confirm(arguments, f"Send {chosen} of {pending} dead letters to {topic.name} again, oldest first?")
    # Up to the ends of before: what fails again comes after them, and is not replayed for ever.
    spans = [amount.span for amount in amounts]
    sent, refused = with_dead_letters(arguments, lambda log: _replay_spans(arguments, log, topic, spans, chosen))
    print(f"{sent} replayed, {refused} could not be.", file=sys.stderr)
    return 1 if refused else 0


async def _replay_spans(
    arguments: argparse.Namespace, log: DeadLetterLog, topic: Topic, spans: Sequence[Span], limit: int
) -> tuple[int, int]:
    sent = refused = 0
    now = {span.partition: span.end for span in await log.spans([topic.dead_letter])}
    for span in spans:
        # Another operator may have been here since they were counted.
        marks = await log.marks(replace(span, end=now[span.partition]))
        async with aclosing(log.letters(span)) as letters:
            async for letter in letters:
                if letter.position.offset in marks:
                    continue
                if sent + refused == limit:
                    return sent, refused
                if await _replay_or_say_why(arguments, log, letter, topic):
                    sent += 1
                else:
                    refused += 1
    return sent, refused


async def _replay_or_say_why(
    arguments: argparse.Namespace, log: DeadLetterLog, letter: DeadLetter, topic: Topic
) -> bool:
    try:
        _say_replayed(arguments, letter.position, await log.replay(letter, topic))
    except NotReplayable as error:
        print(f"{letter.position} was not replayed: {error}", file=sys.stderr)
        return False
    return True


def drop(arguments: argparse.Namespace) -> int:
    """Delete dead letters: those up to a position of a partition, or all of a topic."""
    chosen = _chosen(arguments)
    position = chosen if isinstance(chosen, Position) else None
    name = chosen.topic if isinstance(chosen, Position) else chosen.dead_letter

    async def count(log: DeadLetterLog) -> list[Amount]:
        spans = await log.spans([name])
        return [await _amount(log, span) for span in (spans if position is None else [_up_to(position, spans)])]

    amounts = [amount for amount in with_dead_letters(arguments, count) if amount.span.begin < amount.span.end]
    if not amounts:
        print(f"{name} has no records.", file=sys.stderr)
        return 0
    letters, pending = sum(each.letters for each in amounts), sum(each.pending for each in amounts)
    where = f"{name}, up to and with {position}" if position is not None else name
    _confirm(arguments, f"Delete {letters} dead letters of {where}? {pending} of them were never replayed.")

    async def delete(log: DeadLetterLog) -> list[tuple[Amount, int]]:
        return [(each, await log.delete_before(each.span, each.span.end)) for each in amounts]

    for amount, left in with_dead_letters(arguments, delete):
        place = f"{amount.span.topic}/{amount.span.partition}"
        fields = {"partition": place, "deleted": amount.letters, "first_offset": left}
        text = f"{place}: {amount.letters} dead letters deleted; what is left begins at offset {left}"
        print(json_line(fields) if arguments.json else text, flush=True)
    return 0


async def _amount(log: DeadLetterLog, span: Span) -> Amount:
    """Counts the dead letters of a span; a mark may come after its end."""
    ends = {each.partition: each.end for each in await log.spans([span.topic])}
    marks = await log.marks(replace(span, end=ends[span.partition]))
    letters = pending = 0
    async for letter in log.letters(span):
        letters += 1
        pending += letter.position.offset not in marks
    return Amount(span, letters, pending)


def _up_to(position: Position, spans: Sequence[Span]) -> Span:
    for span in spans:
        if span.partition == position.partition:
            if span.begin <= position.offset < span.end:
                return replace(span, end=position.offset + 1)
            left = f"offsets {span.begin} to {span.end - 1}" if span.begin < span.end else "no records"
            raise CliError(f"there is nothing at {position}: the partition has {left}")
    raise CliError(f"there is no partition {position.topic}/{position.partition}")


def _chosen(arguments: argparse.Namespace) -> Position | Topic:
    """One dead letter, or all of a topic. Raises UsageError."""
    whole = arguments.topic is not None and arguments.all
    if whole != (arguments.position is None) or (not whole and (arguments.topic or arguments.all)):
        raise UsageError("name one dead letter by its POSITION, or all of a topic by --topic TOPIC --all")
    return topic_named(arguments.topic) if whole else position_of(arguments.position)


def _confirm(arguments: argparse.Namespace, question: str) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: say --yes, or nothing is done")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was changed")


def _say_replayed(arguments: argparse.Namespace, at: Position, to: Position) -> None:
    fields = {"replayed": str(at), "to": str(to)}
    print(json_line(fields) if arguments.json else replayed_line(at, to), flush=True)
