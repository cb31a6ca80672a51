"""How long a claim is held, and when the lease of another worker counts as expired."""

from datetime import UTC, datetime, timedelta

LEASE = timedelta(seconds=15)
"""How long the item of a killed worker waits for another. Shorter means more heartbeats."""
HEARTBEAT_EVERY = 1 / 3
"""Of a lease; as are the next two."""
HEARTBEAT_TIMEOUT = 1 / 5
HEARTBEAT_LONGEST_PAUSE = 1 / 15
"""After a failed heartbeat. Timeout and pause together are shorter than the grace of `Contact`."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_SHORTEST_GAP = timedelta(seconds=2.5)


class Contact:
    """When Postgres answered this process last, and since when without a gap, by Postgres' clock.

    A lease can run out while its worker lives: Postgres or the network was away, or the process stood still. Everybody
    notices a gap then. After it those that live renew their leases first, within a heartbeat's timeout and pause, and
    until then nobody takes a lease for expired. Neither does a claim that was sent before the gap and is carried out
    after it: it is valid for as long as a gap may be. A shorter outage than that cannot make a lease run out.
    """

    def __init__(self, lease: timedelta) -> None:
        # A worker without a free slot is in contact by heartbeats alone, a third of a lease apart.
        self._longest_gap = max(0.4 * lease, _SHORTEST_GAP)
        self._grace = lease / 3
        self._since: datetime | None = None
        self._last: datetime | None = None

    def answered(self, at: datetime) -> None:
        """Postgres answered, and its clock showed `at`."""
        if self._last is None or at - self._last > self._longest_gap:
            self._since = at
        self._last = at

    def is_steady(self) -> bool:
        """Whether leases that ran out have expired."""
        return self._last is not None and self._since is not None and self._last - self._since >= self._grace

    def valid_until(self) -> datetime:
        """When a claim that is sent now becomes invalid."""
        return NEVER if self._last is None else self._last + self._longest_gap
