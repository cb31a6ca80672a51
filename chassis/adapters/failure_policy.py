"""The one failure policy: what kind of failure an exception is, and what follows from it.

Used by Kafka handlers, the job queue, the outbox relay, imports, webhooks and HTTP alike:

| kind         | what it is                                                     | what follows                        |
|--------------|----------------------------------------------------------------|-------------------------------------|
| `outage`     | Postgres, Kafka, storage or the network is away, the disk full | retry with backoff, without limit   |
| `rejected`   | refused by a rule of ours, unreadable, or cannot be stored     | give up at once, with the reason    |
| `unexpected` | anything else                                                  | a few attempts, then give up        |

Kinds are recognised by exception type, SQLSTATE and errno, never by the text of a message.
"""

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import asyncpg
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import ValidationError

from chassis.adapters.storage import StorageFull, StorageUnavailable
from chassis.core.retry import backoff_seconds
from schemas.storable import storable_text

MAX_DESCRIPTION_CHARS = 2000
"""An error may quote what it is about: a whole record, or what a foreign server sent."""
FailureKind: TypeAlias = Literal["outage", "rejected", "unexpected"]

_OUTAGE_SQLSTATE_CLASSES = (
    "08",  # connection exception
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57",  # operator intervention: shutdown, crash recovery, statement cancelled by a timeout
    "58",  # system error: an I/O error of the server
    "40",  # transaction rollback: serialization failure, deadlock
)
_OUTAGE_SQLSTATES = frozenset(
    {
        "25006",  # read-only transaction: a primary that has become a replica
        "25P03",  # idle-in-transaction timeout
        "55P03",  # lock not available
    }
)
_UNSTORABLE_SQLSTATE_CLASSES = (
    "22",  # data exception: a number out of range, U+0000 in text, a time that does not exist
    "54",  # program limit exceeded: an index entry that is too long, JSON that is nested too deeply
)
_OUTAGE_ERRNOS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO),
        *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT, errno.ECONNREFUSED),
    }
)


class Rejected(Exception):
    """Refused by a rule of ours: no retry will succeed.

    `reason` is a sentence for the sender of the input, `code` a stable word for the sender's program.
    """

    def __init__(self, reason: str, code: str = "rejected") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class RetryAfter:
    """Try again after `delay_s` seconds. `counts` says whether the failure counts towards the limit of attempts."""

    delay_s: float
    counts: bool


@dataclass(frozen=True)
class GiveUp:
    """No further attempt; `reason` says why, for people, and `code` for programs."""

    kind: FailureKind
    reason: str
    code: str


@dataclass(frozen=True)
class FailurePolicy:
    """The bounds of `decide`. Delays double from the first to the longest, less up to 30 % of jitter."""

    attempts: int = 5
    """Attempts at something that fails unexpectedly."""
    first_delay_s: float = 0.2
    longest_delay_s: float = 10.0
    jitter: Callable[[], float] = random.random
    """Gives numbers from 0 to 1."""

    def decide(self, error: BaseException, failures: int) -> RetryAfter | GiveUp:
        """What follows from `error`, which is failure number `failures` in a row (from 1) of the same work."""
        kind = classify(error)
        if kind == "rejected":
            return GiveUp(kind, describe(error), error.code if isinstance(error, Rejected) else "unstorable")
        if kind == "unexpected" and failures >= self.attempts:
            return GiveUp(kind, f"failed {failures} times: {describe(error)}", "unexpected")
        return RetryAfter(self.delay_s(failures), counts=kind == "unexpected")

    def delay_s(self, failures: int) -> float:
        """The pause after failure number `failures` in a row, in seconds."""
        delay = backoff_seconds(failures, first_s=self.first_delay_s, longest_s=self.longest_delay_s)
        return delay * (1.0 - 0.3 * self.jitter())


def classify(error: BaseException) -> FailureKind:
    """The kind of a failure."""
    if isinstance(error, Rejected | ValidationError) or is_unstorable(error):
        return "rejected"
    return "outage" if is_outage(error) else "unexpected"


def is_outage(error: BaseException) -> bool:
    """Whether the same work may succeed later without a change of code or input."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith(_OUTAGE_SQLSTATE_CLASSES) or state in _OUTAGE_SQLSTATES
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, KafkaConnectionError)
    if isinstance(error, StorageFull | StorageUnavailable | ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in _OUTAGE_ERRNOS


def is_unstorable(error: BaseException) -> bool:
    """Whether Postgres, or its client, says that no column can hold a value: no retry of the same work will succeed."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith(_UNSTORABLE_SQLSTATE_CLASSES)


def describe(error: BaseException) -> str:
    """For logs, dead letters and rows: the type and the message, or the reason of a rejection."""
    text = error.reason if isinstance(error, Rejected) else f"{type(error).__name__}: {error}"
    return storable_text(text, MAX_DESCRIPTION_CHARS)
