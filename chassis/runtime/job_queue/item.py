"""The values of the queue: items, how an attempt at one ends, and why an item gets no further attempt."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from chassis.adapters.postgres.pool import Connection
from schemas.events import Event
from schemas.faults import Fault

FinalState = Literal["done", "failed", "cancelled"]
Renewal = Literal["held", "lost", "cancelled", "locked"]
"""What has become of a claim; `locked`: a transaction has the row, so that nobody can claim it now."""

POISONED_AFTER = 3
"""Crashes of workers that ran nothing but the item."""
SUSPECT_AFTER_WAITING = 5
"""Crashes of workers in which the item only waited: from then on it may be what crashes them."""

Write: TypeAlias = Callable[[Connection], Awaitable[None]]
"""Writes more in the transaction that ends an attempt."""
JointWriter: TypeAlias = Callable[[Connection, Sequence[Any]], Awaitable[None]]
"""As `Write`, with a value of each attempt that ends."""


@dataclass(frozen=True)
class JointWrite:
    """A `Write` that can be made together with those of other items: `write(conn, values)`, with a value of each.

    An end without events that writes nothing else shares its transaction with others of the same moment.
    """

    write: JointWriter
    value: Any

    async def __call__(self, conn: Connection) -> None:
        await self.write(conn, [self.value])


@dataclass(frozen=True)
class NewItem:
    """An item to be queued. `estimate_s` are the seconds of work it will probably be; due at once by default.

    `run` is 1, and one more each time that an item which has ended is queued again.

    `traceparent` is the trace that it belongs to: by default that of the event about `id`, or of the running code.
    """

    id: str
    project: str
    kind: str
    payload: Mapping[str, Any]
    priority: int = 0
    estimate_s: float = 1.0
    not_before_ms: int | None = None
    traceparent: str | None = None
    run: int = 1


@dataclass
class QueueItem:
    """A claimed item.

    `attempt` numbers its claims from 1: (worker, attempt) is the fence that every write has to pass. `failures` counts
    the earlier attempts that failed and counted towards the limit, `postponements` those in a row that did not count,
    `deferrals` those that somebody else's server failed, with the sum of the pauses after them in `deferred_s` and the
    codes of what it did in `deferral_reasons`,
    `crashed` the claims whose worker disappeared while it worked on the item, `crashed_alone` those of them in which it
    worked on nothing else, `crashed_waiting` the claims whose worker disappeared while the item waited. `step` is what
    `JobQueue.set_step` recorded last, in this attempt or an earlier one. `started_at_ms` is the time of the first claim
    in Unix milliseconds, None for an item that was cancelled before it. `traceparent` is the trace that all
    attempts at it belong to; `waited_s` is how long it had been due when it was claimed.
    """

    id: str
    project: str
    kind: str
    payload: dict[str, Any]
    attempt: int
    worker: str
    cancelled: bool
    failures: int = 0
    postponements: int = 0
    deferrals: int = 0
    deferred_s: float = 0.0
    deferral_reasons: list[str] = field(default_factory=list)
    crashed: int = 0
    crashed_alone: int = 0
    crashed_waiting: int = 0
    step: str | None = None
    started_at_ms: int | None = None
    traceparent: str | None = None
    waited_s: float = field(default=0.0, compare=False)

    @property
    def suspect(self) -> bool:
        """Whether it may have crashed a worker: it is then worked on alone."""
        return self.crashed > 0

    @property
    def suspect_waiting(self) -> bool:
        """Whether it may have crashed a worker while it waited: it then waits alone as well."""
        return self.crashed_waiting >= SUSPECT_AFTER_WAITING

    @property
    def poisoned(self) -> bool:
        """Whether it crashed its worker each time that it ran alone: it must not run again."""
        return self.crashed_alone >= POISONED_AFTER


class ClaimOptions(TypedDict, total=False):
    """What a claim may take: see `Runner`. By default any item that is due, of any number of each project.

    `expired`: also items whose lease ran out, but not `held`. `worker` gets no item of a project of which it has
    `per_project` already, or that is one of `full_projects`, of each of which it must have an item. Nothing is claimed
    if Postgres executes the query after `valid_until` (by its clock).
    """

    valid_until: datetime
    expired: bool
    per_project: int
    full_projects: Sequence[str]
    held: Sequence[str]


class ClaimedItems(NamedTuple):
    """What `JobQueue.claim_many` found: items, or how long until the next one is due (None: nothing is queued).

    Where another worker runs an item, its lease may end before.

    `limited`: some project has as many items in this worker as it may, and gets no further one until one of them ends.
    """

    items: Sequence[QueueItem]
    next_due: timedelta | None
    limited: bool = False


@dataclass(frozen=True)
class Complete:
    """The end of an item: its state, the events that say so, and what else is written in the same transaction.

    `after_commit` is called once that transaction is committed; `discard` where it is certain that it never will be,
    because the claim is over: it removes what the attempt has made outside of Postgres, and must not raise.
    """

    state: FinalState
    events: Sequence[Event] = ()
    also: Write | None = None
    after_commit: Callable[[], None] | None = None
    discard: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Retry:
    """The item is tried again after `delay`, because of `reason` (one line, for the row and the log).

    Where the attempt counts and was the last one, the item ends instead, and `exhausted` gets `fault`: what the
    customer is to see. `also` and `events` are written in the same transaction as the retry, and not where the item
    ends instead. `deferred` is a code for how somebody else's server failed the attempt: it does not count, and
    `deferrals`, `deferred_s` and `deferral_reasons` of the item tell how often, how long and how that has been so.
    """

    delay: timedelta
    reason: str
    fault: Fault | None = None
    counts: bool = True
    also: Write | None = None
    events: Sequence[Event] = ()
    deferred: str | None = None

    @classmethod
    def defer(
        cls, delay: timedelta, code: str, reason: str, events: Sequence[Event] = (), also: Write | None = None
    ) -> "Retry":
        """An attempt that somebody else's server failed, in the way that `code` names."""
        return cls(delay, reason, counts=False, also=also, events=events, deferred=code)


Outcome: TypeAlias = Complete | Retry


@dataclass(frozen=True)
class Poisoned:
    """The worker crashed each time that the item ran alone."""


@dataclass(frozen=True)
class LastAttempt:
    """The last attempt failed, or was refused. `fault` is what the customer is to see; None for a fault of ours."""

    reason: str
    fault: Fault | None = None


Cause: TypeAlias = Poisoned | LastAttempt
"""Why an item gets no further attempt."""


class LeaseLost(Exception):
    """Another worker has claimed the item, or it has ended: nothing was written."""

    def __init__(self, item: QueueItem) -> None:
        super().__init__(f"{item.id}: the claim of {item.worker}, attempt {item.attempt}, is over")
        self.item = item
