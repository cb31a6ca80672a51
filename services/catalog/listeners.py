"""Who listens to events in this process: how many may, and when a listener has to end."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from chassis.core.metrics import counter, gauge

End = Literal["stopping", "revoked"]

_open = gauge("bitmill_event_listeners", "Open streams of events of the process.", ())
_refused = counter("bitmill_event_listeners_refused", "Streams of events beyond a bound.", ("bound",))


class TooManyListeners(Exception):
    """The project, or the process, has as many listeners as it may have."""

    def __init__(self, bound: Literal["project", "process"], limit: int) -> None:
        super().__init__(f"{bound}: {limit}")
        self.bound = bound
        self.limit = limit


class Listener:
    """One open stream. `wake` is set when there may be something new for it, `ended` when it has to end."""

    __slots__ = ("ended", "key_id", "project", "wake")

    def __init__(self, project: str, key_id: str) -> None:
        self.project = project
        self.key_id = key_id
        self.wake = asyncio.Event()
        self.ended: End | None = None

    def end(self, why: End) -> None:
        self.ended = self.ended or why
        self.wake.set()


class Listeners:
    """The open streams: at most `total`, of one project at most `per_project`."""

    def __init__(self, total: int, per_project: int) -> None:
        self._total = total
        self._per_project = per_project
        self._open: set[Listener] = set()
        self._projects: Counter[str] = Counter()
        self._stopping = False

    @contextmanager
    def admit(self, project: str, key_id: str) -> Iterator[Listener]:
        """A listener as long as the block lasts. Raises TooManyListeners."""
        self._check(project)
        listener = Listener(project, key_id)
        if self._stopping:
            listener.end("stopping")
        self._open.add(listener)
        self._projects[project] += 1
        _open.set(len(self._open))
        try:
            yield listener
        finally:
            self._open.discard(listener)
            self._projects[project] -= 1
            if not self._projects[project]:
                del self._projects[project]
            _open.set(len(self._open))

    def revoke(self, key_ids: Iterable[str]) -> None:
        """Ends the streams that were opened with these keys."""
        revoked = set(key_ids)
        for listener in self._open:
            if listener.key_id in revoked:
                listener.end("revoked")

    def stop(self) -> None:
        """Ends all streams: the process stops."""
        self._stopping = True
        for listener in self._open:
            listener.end("stopping")

    def _check(self, project: str) -> None:
        if len(self._open) >= self._total:
            _refused.labels("process").inc()
            raise TooManyListeners("process", self._total)
        if self._projects[project] >= self._per_project:
            _refused.labels("project").inc()
            raise TooManyListeners("project", self._per_project)
