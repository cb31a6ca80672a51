"""The slots of a host, and a short wait for one.

A delivery whose host is at its limit goes back to the queue, because waiting here would hold one of the process' slots
while others could send. But most hosts respond within milliseconds: then a short wait costs less than two transactions.
"""

from collections import OrderedDict
from datetime import timedelta
from time import monotonic

from chassis.core.concurrency import WakeSignal
from chassis.core.host_limiter import HostLimiter

LONGEST_WAIT_S = 0.1
"""For a slot, where the last exchange with the host took no longer. Then the delivery goes back to the queue."""
REMEMBERED_HOSTS = 4096


class HostSlots:
    """Slots of hosts by the rules of `limiter`. `wait_s` is the longest wait for one."""

    def __init__(self, limiter: HostLimiter, *, wait_s: float = LONGEST_WAIT_S) -> None:
        self._limiter = limiter
        self._wait_s = wait_s
        self._released = WakeSignal()
        self._last_seconds: OrderedDict[tuple[str, str], float] = OrderedDict()
        """How long the last exchange took, by owner and host: one owner's may be slow on a host that is quick."""

    def delay_of_slow(self, owner: str, host: str) -> float | None:
        """The seconds after which to retry, where the host is at its limit and too slow to wait for; otherwise None."""
        if self._limiter.is_full(owner, host) and self._is_slow(owner, host):
            return self._limiter.reserve(owner, host, monotonic())
        return None

    async def acquire(self, owner: str, host: str) -> float | None:
        """None: begin now, and call `release` afterwards. A number: at the limit, retry after so many seconds."""
        until = monotonic() + self._wait_s
        while True:
            released = self._released.subscribe()
            if self._limiter.try_acquire(owner, host):
                return None
            now = monotonic()
            if now >= until or self._is_slow(owner, host):
                return self._limiter.reserve(owner, host, now)
            await released.wait(timedelta(seconds=until - now))

    def release(self, owner: str, host: str, seconds: float) -> None:
        """An exchange of the owner with the host, which took `seconds`, has ended."""
        self._last_seconds[owner, host] = seconds
        self._last_seconds.move_to_end((owner, host))
        while len(self._last_seconds) > REMEMBERED_HOSTS:
            self._last_seconds.popitem(last=False)
        self._limiter.release(owner, host, monotonic(), seconds)
        self._released.notify()

    def _is_slow(self, owner: str, host: str) -> bool:
        return self._last_seconds.get((owner, host), 0.0) > self._wait_s
