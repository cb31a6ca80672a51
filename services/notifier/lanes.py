"""How many deliveries one host gets at a time, so that a slow receiver holds up itself alone (pure)."""

from dataclasses import dataclass, field

MIN_PAUSE = 0.5
MAX_PAUSE = 300.0
"""Seconds for which a delivery is put back when its host's lane is full."""
SMOOTHING = 0.2
"""Weight of the newest exchange in the mean duration of a lane."""


@dataclass
class _Lane:
    under_way: int = 0
    mean_seconds: float = 1.0
    booked_until: float = 0.0


@dataclass
class Lanes:
    """One lane a host, each `width` deliveries wide. Times are seconds of any one monotonic clock.

    A delivery that finds its lane full is put back until its turn should come: each one put back books the lane for
    a share of the mean exchange. A backlog of a dead host is thus claimed about once, instead of over and over.
    """

    width: int
    _lanes: dict[str, _Lane] = field(default_factory=dict)

    def enter(self, host: str, now: float) -> float | None:
        """None: go ahead (and `leave` later). A number: the lane is full, come back after so many seconds."""
        lane = self._lanes.setdefault(host, _Lane())
        if lane.under_way < self.width:
            lane.under_way += 1
            return None
        lane.booked_until = max(lane.booked_until, now) + lane.mean_seconds / self.width
        return min(max(lane.booked_until - now, MIN_PAUSE), MAX_PAUSE)

    def leave(self, host: str, now: float, seconds: float) -> None:
        """An exchange that took `seconds` is over."""
        lane = self._lanes[host]
        lane.under_way -= 1
        lane.mean_seconds += SMOOTHING * (seconds - lane.mean_seconds)
        if lane.under_way == 0 and lane.booked_until <= now:
            del self._lanes[host]
