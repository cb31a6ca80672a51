"""TCP and TLS connections to addresses that the egress policy allows.

No check is sufficient alone: the resolver is not called for literal addresses, the URL does not tell what a name
resolves to, and only the peer address shows what was really connected. So all of them are made.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import monotonic
from typing import Any, Protocol

from aiohappyeyeballs import start_connection
from yarl import URL

from chassis.adapters.egress.addresses import Address
from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.lookups import NameServersUnavailable
from chassis.adapters.egress.stream import SocketStream
from chassis.adapters.egress.tls import TlsStream

HAPPY_EYEBALLS_S = 0.25
"""The next address of a host is tried after so many seconds (RFC 8305)."""
LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of our own machine: no host is to blame."""

Pausing = Callable[[], AbstractContextManager[None]]
"""A context in which the caller's deadline stands still."""


class AddressPolicy(Protocol):
    """The part of `EgressPolicy` that a connection needs.

    The checks raise AddressForbidden, the lookup OSError: TimeoutError, or another one if there are no addresses that
    may be contacted.
    """

    def check_url(self, url: str) -> None: ...

    def check_address(self, address: Address | str) -> None: ...

    async def addresses(self, host: str, port: int, *, project: str, queued: Pausing) -> list[str]: ...

    def tls_context(self) -> ssl.SSLContext: ...


class ByteStream(Protocol):
    """An open connection: `read` gives no bytes at the end and raises OSError, `write` does not wait for the peer."""

    async def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def is_silent(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class Connection:
    """A connection to `address`, which the egress policy has checked."""

    stream: ByteStream
    address: str
    socket: SocketStream
    opened_at: float = field(default_factory=monotonic)

    def close(self) -> None:
        """Closes it at once, whatever the peer still sends."""
        self.socket.close()


async def connect(url: URL, policy: AddressPolicy, *, project: str, queued: Pausing, timeout_s: float) -> Connection:
    """A new connection to the URL's host.

    `timeout_s` is for TCP and TLS. Raises RequestError, AddressForbidden, and for an outage of ours OSError:
    NameServersUnavailable, or one that says what this machine lacks.
    """
    host, port = (url.raw_host or "").rstrip("."), url.port or 0
    addresses = await _addresses(host, port, policy, project, queued)
    try:
        async with asyncio.timeout(timeout_s):
            stream = await _connect(addresses, port, policy)
            try:
                address = _checked_peer(stream, policy)
                if url.scheme != "https":
                    return Connection(stream, address, stream)
                tls = TlsStream(stream)
                await tls.handshake(policy.tls_context(), host)
                return Connection(tls, address, stream)
            except BaseException:
                stream.close()
                raise
    except TimeoutError:
        raise RequestError("response_timeout", limit=timeout_s) from None


async def _addresses(host: str, port: int, policy: AddressPolicy, project: str, queued: Pausing) -> list[str]:
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        policy.check_address(host)
        return [host]
    try:
        return await policy.addresses(host, port, project=project, queued=queued)
    except TimeoutError:
        raise RequestError("name_server_timeout") from None
    except NameServersUnavailable:
        raise
    except OSError:
        raise RequestError("host_not_found") from None


async def _connect(addresses: list[str], port: int, policy: AddressPolicy) -> SocketStream:
    def make_socket(info: Any) -> socket.socket:
        family, kind, protocol, _, target = info
        policy.check_address(str(target[0]))
        return socket.socket(family=family, type=kind, proto=protocol)

    try:
        sock = await start_connection(
            [_addr_info(address, port) for address in addresses],
            happy_eyeballs_delay=HAPPY_EYEBALLS_S,
            socket_factory=make_socket,
        )
        try:
            _, stream = await asyncio.get_running_loop().create_connection(SocketStream, sock=sock)
            return stream
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        if error.errno in LACKING:
            raise
        raise RequestError("connect_failed") from None


def _checked_peer(stream: SocketStream, policy: AddressPolicy) -> str:
    peer = stream.peer
    if peer is None:
        raise RequestError("connect_failed")
    policy.check_address(peer)
    return peer


def _addr_info(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
