"""Lookups of names, shared out fairly among projects, and remembered for some seconds.

A project whose name servers keep silent uses up its own share of lookups and no other's. What waits for its turn waits
for us: that time is charged to nobody's deadline.
"""

import asyncio
import errno
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from time import monotonic

from chassis.core.fair_slots import FairSlots

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes host and port, returns the addresses as text; raises OSError if there are none."""
Queued = Callable[[], AbstractContextManager[None]]

_Key = tuple[str, str]
"""Project and host: one project does not learn from the time of a lookup what another one looks up."""


class NameNotFound(OSError):
    """There is no such name, or it has no address, or its name servers refuse to tell."""


class NameServersUnavailable(OSError):
    """Our own name servers answer nothing at all: an outage, for which no name is to blame."""

    def __init__(self) -> None:
        super().__init__(errno.ENETUNREACH, "no name server of ours answers")


@dataclass(frozen=True)
class LookupLimits:
    """How many lookups run at a time, for one project and in all; how long each may take, and is remembered."""

    per_project: int = 8
    total: int = 64
    timeout_s: float = 10.0
    found_ttl_s: float = 10.0
    failed_ttl_s: float = 5.0
    remembered: int = 4096


@dataclass
class _Share:
    slots: asyncio.Semaphore
    users: int = 0


@dataclass(frozen=True)
class _Result:
    until: float
    addresses: Sequence[str] = ()
    error: type[OSError] | None = None


@dataclass
class Lookups:
    """Looks names up for projects."""

    resolve: Resolve
    limits: LookupLimits = field(default_factory=LookupLimits)
    clock: Callable[[], float] = monotonic

    def __post_init__(self) -> None:
        self._slots = FairSlots(self.limits.total)
        self._shares: dict[str, _Share] = {}
        self._results: OrderedDict[_Key, _Result] = OrderedDict()

    async def addresses(self, host: str, port: int, *, project: str, queued: Queued = nullcontext) -> Sequence[str]:
        """The addresses of a host. Raises NameNotFound, TimeoutError if no name server of the host answers in time, or
        NameServersUnavailable.

        `queued()` is entered while the lookup waits for its turn.
        """
        key = project, host
        result = self._remembered(key)
        if result is None:
            async with self._turn(project, queued):
                # Another request may have looked the name up meanwhile.
                result = self._remembered(key) or await self._look_up(key, port)
        if result.error is not None:
            raise result.error
        return result.addresses

    async def _look_up(self, key: _Key, port: int) -> _Result:
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                addresses = await self.resolve(key[1], port)
        except NameServersUnavailable:
            raise
        except OSError as error:
            kind = TimeoutError if isinstance(error, TimeoutError) else NameNotFound
            result = _Result(self.clock() + self.limits.failed_ttl_s, error=kind)
        else:
            result = _Result(self.clock() + self.limits.found_ttl_s, addresses, None if addresses else NameNotFound)
        self._results[key] = result
        self._results.move_to_end(key)
        while len(self._results) > self.limits.remembered:
            self._results.popitem(last=False)
        return result

    def _remembered(self, key: _Key) -> _Result | None:
        result = self._results.get(key)
        return result if result is not None and self.clock() < result.until else None

    @asynccontextmanager
    async def _turn(self, project: str, queued: Queued) -> AsyncIterator[None]:
        share = self._shares.setdefault(project, _Share(asyncio.Semaphore(self.limits.per_project)))
        share.users += 1
        try:
            with queued():
                await share.slots.acquire()
            try:
                with queued():
                    await self._slots.acquire(project)
                try:
                    yield
                finally:
                    self._slots.release(project)
            finally:
                share.slots.release()
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[project]
