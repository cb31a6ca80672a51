"""Looks names up with sockets of its own, so that a lookup that nobody answers costs no thread and can be cancelled.

The machine's resolver (`getaddrinfo`) holds a thread of a small pool for as long as a name server keeps silent. Here
dnspython sends the queries and parses the answers (it is pure Python); /etc/resolv.conf with its search domains and
/etc/hosts count as they do for the machine, also after they have changed.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.resolver

from chassis.adapters.egress.lookups import NameNotFound, NameServersUnavailable
from chassis.adapters.egress.name_server import DATAGRAM_BYTES, NameServer
from chassis.core import logs

RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")
_LOCAL_NAME_SERVER = "127.0.0.1"
"""What the machine's resolver asks without /etc/resolv.conf."""
OTHER_FAMILY_S = 0.5
"""How long the addresses of one family wait for those of the other."""
LOOKUP_S = 5.0
PROBE_S = 2.0
"""How long our name servers have to show that they work."""
_LOOPBACK = ("127.0.0.1", "::1")
_Stamp = tuple[int, int, int] | None

log = logs.get_logger(__name__)


class _NoServerLeft(NameNotFound):
    """Each of our name servers failed: for this name (SERVFAIL, an answer that is too large), or for all."""


class DnsClient:
    """Looks up the addresses of names; a lookup ends after `timeout_s`, or `probe_s` later if it got no answer.

    `name_servers` (address and port) replace those of `resolv_conf`, whose search domains and options still count.

    A name without an answer, or with the answer SERVFAIL, is either the fault of its own name servers or an outage of
    ours. Ours are then asked for the name servers of the root. They work if one of them answers, be it that it refuses
    to tell. It is an outage if none answers, or only with SERVFAIL, as a forwarder does whose own servers are away;
    unless any other query has been answered since the lookup began. What a name server has in its cache looks like an
    answer: one that knows the root's servers and cannot reach any other is taken to work.
    """

    def __init__(
        self,
        *,
        name_servers: Sequence[tuple[str, int]] = (),
        resolv_conf: Path = RESOLV_CONF,
        hosts: Path = HOSTS,
        timeout_s: float = LOOKUP_S,
        probe_s: float = PROBE_S,
    ) -> None:
        self._name_servers = name_servers
        self._resolv_conf = resolv_conf
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._probe_s = probe_s
        self._answered_at = float("-inf")
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._hosts_read: dict[str, list[str]] = {}
        self._stamps: tuple[_Stamp, _Stamp] | None = None

    async def __call__(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002
        """The addresses, of IPv4 first. Raises NameNotFound, TimeoutError if the host's name servers do not answer in
        time, or NameServersUnavailable if ours do not.
        """
        resolver = self._configured()
        name = host.lower()
        if name in self._hosts_read:
            return self._hosts_read[name]
        if name == "localhost" or name.endswith(".localhost"):
            return _LOOPBACK
        began = monotonic()
        queries = [asyncio.create_task(self._query(resolver, name, family)) for family in ("A", "AAAA")]
        try:
            return await _first_found(queries)
        except (TimeoutError, _NoServerLeft):
            if not await self._servers_work(resolver, began):
                raise NameServersUnavailable from None
            raise
        finally:
            for query in queries:
                query.cancel()
            await asyncio.gather(*queries, return_exceptions=True)

    async def _query(self, resolver: dns.asyncresolver.Resolver, name: str, family: str) -> list[str]:
        try:
            answer = await resolver.resolve(
                name,
                family,
                search=True,
                lifetime=self._timeout_s,
                raise_on_no_answer=False,
                backend=dns.asyncbackend.get_backend("asyncio"),
            )
        except dns.exception.Timeout:
            raise TimeoutError from None
        except dns.resolver.NoNameservers:
            raise _NoServerLeft from None
        except dns.resolver.NXDOMAIN:
            self._answered_at = monotonic()
            raise NameNotFound("NXDOMAIN") from None
        except (dns.exception.DNSException, UnicodeError) as error:
            raise NameNotFound(type(error).__name__) from None
        self._answered_at = monotonic()
        return [record.address for record in answer.rrset or ()]

    async def _servers_work(self, resolver: dns.asyncresolver.Resolver, began: float) -> bool:
        """Whether our name servers work, so that the failure of a lookup which began at `began` is the host's."""
        replies = await asyncio.gather(*(self._probe(server) for server in resolver.nameservers))
        return "answer" in replies or ("failure" in replies and self._answered_at >= began)

    async def _probe(self, server: Any) -> Literal["answer", "failure", "silence"]:
        request, backend = dns.message.make_query(".", "NS"), dns.asyncbackend.get_backend("asyncio")
        try:
            response = await server.async_query(request, self._probe_s, None, 0, False, backend)
        except dns.message.Truncated:
            return "answer"
        except (dns.exception.DNSException, OSError):
            return "silence"
        return "failure" if response.rcode() == dns.rcode.SERVFAIL else "answer"

    def _configured(self) -> dns.asyncresolver.Resolver:
        """The resolver by the files as they are now; they are read again only after a change."""
        stamps = _stamp(self._resolv_conf), _stamp(self._hosts)
        if self._resolver is None or stamps != self._stamps:
            self._hosts_read = _read_hosts(self._hosts)
            self._resolver, self._stamps = self._read_resolv_conf(), stamps
        return self._resolver

    def _read_resolv_conf(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        servers = self._name_servers
        try:
            resolver.read_resolv_conf(str(self._resolv_conf))
            servers = servers or [(str(address), 53) for address in resolver.nameservers]
        except (dns.exception.DNSException, ValueError, OSError) as error:
            if not servers:
                log.warning("name_servers_unknown", error=f"{type(error).__name__}: {error}", used=_LOCAL_NAME_SERVER)
                servers = [(_LOCAL_NAME_SERVER, 53)]
        resolver.nameservers = [NameServer(address, port) for address, port in servers]
        resolver.use_edns(0, 0, DATAGRAM_BYTES)
        return resolver


async def _first_found(queries: Sequence["asyncio.Task[list[str]]"]) -> list[str]:
    """The addresses of all queries; once one has some, the others have only a little time left."""
    pending = set(queries)
    left_s: float | None = None
    while pending:
        done, pending = await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        if any(query.exception() is None and query.result() for query in done):
            left_s = OTHER_FAMILY_S
    ended = [query for query in queries if query.done()]
    found = [address for query in ended if query.exception() is None for address in query.result()]
    if found:
        return found
    errors = [error for query in ended if (error := query.exception()) is not None]
    raise next((error for error in errors if isinstance(error, TimeoutError | _NoServerLeft)), None) or NameNotFound()


def _read_hosts(path: Path) -> dict[str, list[str]]:
    """The names of a hosts file with their addresses, in its order."""
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return found
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return found


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
