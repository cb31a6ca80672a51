"""The bounds of fetching in one process: downloads from one host at a time, and disk space for inputs.

How many inputs of one project are fetched at a time is bounded where jobs are claimed: `Runner(slots_per_project=…)`.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from chassis.core.host_limiter import HostLimiter
from chassis.runtime.job_queue import Retry
from worker.input import retry_while_full
from worker.input_space import HeldSpace, InputSpace, OnSize

T = TypeVar("T")


class HostAtLimit(Exception):
    """As many inputs as allowed are being fetched from the host: try again after `delay`."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__("as many inputs as allowed are being fetched from this host")
        self.delay = delay

    def retry(self) -> Retry:
        """The outcome of the attempt. Nobody's fault: it does not count."""
        return Retry(self.delay, str(self), counts=False)


class FetchBounds:
    """`per_host` is the most downloads from one host at a time; for the share of a project see `HostLimiter`."""

    def __init__(self, space: InputSpace, per_host: int) -> None:
        self._space = space
        self._hosts = HostLimiter(per_host)

    @contextmanager
    def input(self, project: str, url: str | None) -> Iterator["InputPlace"]:
        """The place of one input, with its disk space until the end of the block. `url` None: an object of our storage.

        Raises HostAtLimit.
        """
        host = None if url is None else (urlsplit(url).hostname or "").rstrip(".")
        if host is not None and (delay := self._hosts.acquire(project, host, time.monotonic())) is not None:
            raise HostAtLimit(timedelta(seconds=delay))
        with self._space.hold(project) as held:
            place = InputPlace(self._hosts, project, host, held)
            try:
                yield place
            finally:
                place.leave_host()


class InputPlace:
    """The place of one input."""

    def __init__(self, hosts: HostLimiter, project: str, host: str | None, held: HeldSpace) -> None:
        self._hosts = hosts
        self._project = project
        self._host = host
        self._held = held
        self._since = time.monotonic()

    async def fetch(self, fetch: Callable[[OnSize], Awaitable[T]]) -> T:
        """The result of `fetch`, which is repeated while the disk is full, the storage is away or the input does not
        fit; then the host is free for another download."""
        try:
            return await retry_while_full(lambda: self._held.fetch(fetch))
        finally:
            self.leave_host()

    def leave_host(self) -> None:
        """Nothing is fetched from the host any more."""
        host, self._host = self._host, None
        if host is not None:
            now = time.monotonic()
            self._hosts.release(self._project, host, now, now - self._since)
