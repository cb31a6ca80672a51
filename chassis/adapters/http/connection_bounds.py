"""How many connections are open, in all and of one client; and which one is closed for a new one beyond that.

An unused connection costs its client nothing, and one in the middle of a request little. So a client beyond its bound
loses its own oldest unused connection; if all of them are in use, the new one is refused. Beyond the bound of all it is
the client with the most connections that loses one.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from time import monotonic
from typing import Generic, Literal, Protocol, TypeVar

from chassis.adapters.http.client_address import Network, client, is_proxy
from chassis.core import logs
from chassis.core.metrics import counter

REPORT_SECONDS = 60.0
"""Refused connections are logged at most so often."""

log = logs.get_logger(__name__)
_evicted = counter(
    "bitmill_http_connections_evicted", "Connections without a request that were closed for new ones.", ()
)
_refused = counter(
    "bitmill_http_connections_refused",
    "New connections that were refused: beyond the bound of one client, or of all (total).",
    ("bound",),
)


class Connection(Hashable, Protocol):
    """The part of a connection that is needed here."""

    @property
    def waits_for_head(self) -> bool:
        """Whether it is open and no request is in progress."""
        ...


C = TypeVar("C", bound=Connection)


class ConnectionBounds(Generic[C]):
    """The open connections: at most `total`, and of a client that is not one of `proxies` at most `per_client`."""

    def __init__(
        self, total: int, per_client: int, proxies: Sequence[Network] = (), *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._total = total
        self._per_client = per_client
        self._proxies = proxies
        self._clock = clock
        self._clients: dict[C, str] = {}
        self._open: dict[str, dict[C, None]] = {}
        """By client, in the order in which they were opened."""
        self._unreported = 0
        self._reported_at = float("-inf")

    def add(self, new: C, peer: str | None) -> C | None:
        """Counts a new connection from an address. Returns the one that is to be closed for it, if any: maybe `new`.

        It counts until `remove`.
        """
        name = client(peer, (), ())
        own = self._open.setdefault(name, {})
        own[new] = None
        self._clients[new] = name
        if len(own) > self._per_client and not is_proxy(peer, self._proxies):
            return self._closed_for(new, own) or self._refuse(new, "client")
        if len(self._clients) <= self._total:
            return None
        most = max(self._open.values(), key=len)
        closed = self._closed_for(new, most)
        if closed is None and most is not own:
            closed = self._closed_for(new, self._clients)
        return closed or self._refuse(new, "total")

    def remove(self, connection: C) -> None:
        """The connection has been closed."""
        name = self._clients.pop(connection, None)
        if name is None:
            return
        own = self._open[name]
        del own[connection]
        if not own:
            del self._open[name]

    def _closed_for(self, new: C, connections: Iterable[C]) -> C | None:
        """The oldest of the connections that is not in use."""
        oldest = next((each for each in connections if each is not new and each.waits_for_head), None)
        if oldest is not None:
            _evicted.inc()
        return oldest

    def _refuse(self, new: C, bound: Literal["client", "total"]) -> C:
        _refused.labels(bound).inc()
        self._unreported += 1
        now = self._clock()
        if now - self._reported_at >= REPORT_SECONDS:
            log.warning("http_connections_refused", client=self._clients[new], bound=bound, refused=self._unreported)
            self._unreported, self._reported_at = 0, now
        return new
