"""Connections that stay open after a response, for the next request of the same project to the same receiver.

A receiver of many requests then has one TCP and TLS handshake for many of them. A connection goes on to the address
that the egress policy checked when it was made, so the name is not looked up for each request; after `MAX_AGE_S` it is
made anew, wherever the name leads by then. Anything unusual closes it: bytes that nobody asked for, a response that
was not read to its end, an end by the server.
"""

import asyncio
from time import monotonic
from typing import NamedTuple

from chassis.adapters.egress.connection import Connection

IDLE_S = 4.0
"""Servers commonly close an idle connection after 5 s or more; ours is closed first."""
MAX_AGE_S = 60.0
MAX_IDLE = 64
"""Of all receivers; the one that has been idle the longest is closed for the next."""


class Receiver(NamedTuple):
    """Whose requests share connections: those of one project to one server, never of two projects."""

    project: str
    scheme: str
    host: str
    port: int


class KeptConnections:
    """Idle connections, in one event loop. `close` closes them and those that come later."""

    def __init__(self, *, idle_s: float = IDLE_S, max_age_s: float = MAX_AGE_S, max_idle: int = MAX_IDLE) -> None:
        self._idle_s = idle_s
        self._max_age_s = max_age_s
        self._max_idle = max_idle
        self._idle: dict[Connection, tuple[Receiver, float]] = {}
        """With the time since which they are idle, the oldest first."""
        self._of: dict[Receiver, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    def take(self, receiver: Receiver) -> Connection | None:
        """A connection to the receiver that is still open and silent, for one request; None without one."""
        while connections := self._of.get(receiver):
            connection = connections[-1]
            self._remove(connection)
            if connection.stream.is_silent():
                return connection
            connection.close()
        return None

    def keep(self, receiver: Receiver, connection: Connection) -> None:
        """Keeps a connection for the next request, or closes it if it is too old."""
        now = monotonic()
        if now - connection.opened_at > self._max_age_s:
            connection.close()
            return
        self._idle[connection] = receiver, now
        self._of.setdefault(receiver, []).append(connection)
        if len(self._idle) > self._max_idle:
            self._close_first()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._close_idle)

    def close(self) -> None:
        """Closes all idle connections."""
        self._max_idle = 0
        while self._idle:
            self._close_first()

    def _close_idle(self) -> None:
        self._timer = None
        now = monotonic()
        while self._idle:
            _, since = next(iter(self._idle.values()))
            left_s = since + self._idle_s - now
            if left_s > 0:
                self._timer = asyncio.get_running_loop().call_later(left_s, self._close_idle)
                return
            self._close_first()

    def _close_first(self) -> None:
        connection = next(iter(self._idle))
        self._remove(connection)
        connection.close()

    def _remove(self, connection: Connection) -> None:
        receiver, _ = self._idle.pop(connection)
        self._of[receiver].remove(connection)
        if not self._of[receiver]:
            del self._of[receiver]
