"""Limits concurrent exchanges per host, so that a slow host delays only its own exchanges (pure).

Many owners may use one host (object storage, an automation service) that is slow for one of them only. So each of them
may have an equal share of a host's exchanges, and the backlog of one delays no other.
"""

from dataclasses import dataclass, field

MIN_DELAY_S = 0.5
MAX_DELAY_S = 300.0
"""Bounds of the delay of an exchange whose host is at its limit."""
SMOOTHING = 0.2
"""Weight of the newest exchange in the moving average of an owner's exchange time with a host."""


@dataclass
class _Exchanges:
    """Those of one owner with one host."""

    active: int = 0
    mean_seconds: float = 1.0
    reserved_until: float = 0.0

    def is_over(self, now: float) -> bool:
        return not self.active and self.reserved_until <= now


@dataclass
class HostLimiter:
    """At most `per_host` exchanges with one host at a time; an owner may also exceed that up to its share of them,
    which is equal for all owners that have any. Times are seconds of one monotonic clock.

    An exchange over the limit is delayed until a slot should be free: each delayed one reserves a share of the mean
    exchange time after those of the same owner before it. So an item in the backlog of an unreachable host is claimed
    about once.
    """

    per_host: int
    _hosts: dict[str, dict[str, _Exchanges]] = field(default_factory=dict)
    """By host and owner."""

    def acquire(self, owner: str, host: str, now: float) -> float | None:
        """None: begin now, and call `release` afterwards. A number: at the limit, retry after so many seconds."""
        return None if self.try_acquire(owner, host) else self.reserve(owner, host, now)

    def try_acquire(self, owner: str, host: str) -> bool:
        """Whether an exchange may begin now; call `release` afterwards. Reserves nothing if not."""
        if self.is_full(owner, host):
            return False
        self._hosts.setdefault(host, {}).setdefault(owner, _Exchanges()).active += 1
        return True

    def is_full(self, owner: str, host: str) -> bool:
        """Whether an exchange of the owner would have to wait."""
        owners = self._hosts.get(host, {})
        active = owners[owner].active if owner in owners else 0
        others = [each.active for name, each in owners.items() if name != owner and each.active]
        return active >= self._share(len(others)) and active + sum(others) >= self.per_host

    def reserve(self, owner: str, host: str, now: float) -> float:
        """At the limit: the seconds after which a slot should be free, which others of the owner do not get."""
        owners = self._hosts.setdefault(host, {})
        own = owners.setdefault(owner, _Exchanges())
        others = sum(1 for each in owners.values() if each is not own and each.active)
        own.reserved_until = max(own.reserved_until, now) + own.mean_seconds / self._share(others)
        return min(max(own.reserved_until - now, MIN_DELAY_S), MAX_DELAY_S)

    def _share(self, others: int) -> int:
        return max(1, self.per_host // (others + 1))

    def release(self, owner: str, host: str, now: float, seconds: float) -> None:
        """An exchange of the owner with the host, which took `seconds`, has ended."""
        owners = self._hosts[host]
        own = owners[owner]
        own.active -= 1
        own.mean_seconds += SMOOTHING * (seconds - own.mean_seconds)
        for each in [each for each, exchanges in owners.items() if exchanges.is_over(now)]:
            del owners[each]
        if not owners:
            del self._hosts[host]

    def __len__(self) -> int:
        """The number of hosts with state."""
        return len(self._hosts)
