"""Limits concurrent exchanges per host, so that a slow host delays only its own exchanges (pure)."""

from dataclasses import dataclass, field

MIN_DELAY_S = 0.5
MAX_DELAY_S = 300.0
"""Bounds of the delay of an exchange whose host is at its limit."""
SMOOTHING = 0.2
"""Weight of the newest exchange in the moving average of a host's exchange time."""


@dataclass
class _Host:
    active: int = 0
    mean_seconds: float = 1.0
    reserved_until: float = 0.0


@dataclass
class HostLimiter:
    """At most `per_host` exchanges with one host at a time. Times are seconds of one monotonic clock.

    An exchange over the limit is delayed until a slot should be free: each delayed one reserves a share of the mean
    exchange time after those before it. So an item in the backlog of an unreachable host is claimed about once.
    """

    per_host: int
    _hosts: dict[str, _Host] = field(default_factory=dict)

    def acquire(self, host: str, now: float) -> float | None:
        """None: begin now, and call `release` afterwards. A number: at the limit, retry after so many seconds."""
        state = self._hosts.setdefault(host, _Host())
        if state.active < self.per_host:
            state.active += 1
            return None
        state.reserved_until = max(state.reserved_until, now) + state.mean_seconds / self.per_host
        return min(max(state.reserved_until - now, MIN_DELAY_S), MAX_DELAY_S)

    def release(self, host: str, now: float, seconds: float) -> None:
        """An exchange with the host, which took `seconds`, has ended."""
        state = self._hosts[host]
        state.active -= 1
        state.mean_seconds += SMOOTHING * (seconds - state.mean_seconds)
        if state.active == 0 and state.reserved_until <= now:
            del self._hosts[host]

    def __len__(self) -> int:
        """The number of hosts with state."""
        return len(self._hosts)
