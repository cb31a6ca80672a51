"""The words of the queue: an item, and how an attempt at it can end."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from chassis.adapters.postgres.pool import Connection
from schemas.events import Event

FinalState = Literal["done", "failed", "cancelled"]
Heartbeat = Literal["held", "lost", "cancelled"]


@dataclass(frozen=True)
class QueueItem:
    """A claimed item. `attempt` counts from 1; (worker, attempt) is the fence that every write has to pass."""

    id: str
    project: str
    kind: str
    payload: dict[str, Any]
    attempt: int
    worker: str
    cancelled: bool


@dataclass(frozen=True)
class Complete:
    """The end of an item: its state, the events that say so, and what else has to be true in the same transaction."""

    state: FinalState
    events: Sequence[Event] = ()
    also: Callable[[Connection], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Retry:
    """Not now, for a reason outside (a network, a full disk): tried again after `delay`. It counts as an attempt."""

    delay: timedelta
    reason: str


Outcome = Complete | Retry


@dataclass(frozen=True)
class Counts:
    """How much there is to do: items, and the seconds of work that the queued ones are estimated at."""

    queued: int
    running: int
    queued_seconds: float


class LeaseLost(Exception):
    """Another worker has the item, or it is finished: nothing was written."""

    def __init__(self, item: QueueItem) -> None:
        super().__init__(f"{item.id}: attempt {item.attempt} of {item.worker} no longer holds the lease")
        self.item = item
