"""The places of queued jobs, as the workers report them on `queue.order`."""

import time
from collections.abc import Callable

from schemas.events import Event, QueueOrdered
from services.catalog.broadcasts import BroadcastReader

TRUSTED_SECONDS = 10.0
"""Without a newer report of the service: its workers report about once a second while jobs wait."""
MAX_SERVICES = 16


class QueuePositions:
    """The last report of each service. `clock` gives monotonic seconds: those of workers may be wrong."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, trusted_s: float = TRUSTED_SECONDS) -> None:
        self._clock = clock
        self._trusted_s = trusted_s
        self._reports: dict[str, tuple[float, dict[str, int]]] = {}

    @property
    def reader(self) -> BroadcastReader:
        """Begins with what comes from now on: an older report may be wrong by now."""
        return BroadcastReader(self.keep)

    def keep(self, event: Event) -> None:
        """Takes a report in the place of the one before it."""
        if isinstance(event, QueueOrdered) and (event.service in self._reports or len(self._reports) < MAX_SERVICES):
            self._reports[event.service] = (self._clock(), {id: place for place, id in enumerate(event.job_ids)})

    def find(self, job_id: str) -> int | None:
        """How many jobs are to begin before this one; None where that is not known."""
        now = self._clock()
        for reported_at, places in self._reports.values():
            if job_id in places and now - reported_at <= self._trusted_s:
                return places[job_id]
        return None
