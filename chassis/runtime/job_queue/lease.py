"""How long a claim is held, and when the lease of another worker counts as expired."""

from datetime import UTC, datetime, timedelta

LEASE = timedelta(seconds=15)
"""How long the item of a killed worker waits for another. Shorter means more heartbeats."""
SUSPECT_PAUSE = timedelta(seconds=15)
"""How much longer it waits after a second crash; twice that after a third, four times after further ones."""
HEARTBEAT_EVERY = 1 / 3
"""Of a lease; as are the next two."""
HEARTBEAT_TIMEOUT = 1 / 5
HEARTBEAT_LONGEST_PAUSE = 1 / 15
"""After a failed heartbeat. Timeout and pause together are shorter than the grace period of `PostgresContact`."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_SHORTEST_GAP = timedelta(seconds=2.5)


class PostgresContact:
    """When Postgres last responded to this process, and since when without a gap, by Postgres' clock.

    A lease can expire while its worker runs: Postgres or the network was away, or the process was suspended. Every
    process sees a gap then. For a grace period after the gap no process claims items with expired leases, so that the
    running workers can renew theirs, which takes at most a heartbeat's timeout and pause. A claim that was sent before
    the gap and executed after it claims nothing: it is valid for as long as a gap may be (`valid_until`). An outage
    that is shorter than a gap cannot make a lease expire.
    """

    def __init__(self, lease: timedelta) -> None:
        # A worker without a free slot sends only heartbeats, a third of a lease apart.
        self._longest_gap = max(0.4 * lease, _SHORTEST_GAP)
        self._grace = lease / 3
        self._heartbeat_timeout = lease * HEARTBEAT_TIMEOUT
        self._since: datetime | None = None
        self._last: datetime | None = None

    def responded(self, at: datetime, took: timedelta = timedelta(0)) -> None:
        """Postgres responded after `took`, and its clock showed `at`.

        A clock that was set back counts as a gap as well. So does a response that took longer than a heartbeat may:
        leases run out then although their workers live.
        """
        gap = self._last is None or at < self._last or at - self._last > self._longest_gap
        if gap or took >= self._heartbeat_timeout:
            self._since = at
        self._last = at

    def is_established(self) -> bool:
        """Whether the grace period is over: items with expired leases can be claimed."""
        return self._last is not None and self._since is not None and self._last - self._since >= self._grace

    def valid_until(self) -> datetime:
        """When a claim that is sent now becomes invalid."""
        return NEVER if self._last is None else self._last + self._longest_gap
