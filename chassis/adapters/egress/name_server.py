"""Asks one name server, and never parses an answer that takes long to parse: it is pure Python, in the event loop.

What a server sends is chosen by whoever has the zone, or who guesses the port of a query; it may be 64 KiB.
"""

import asyncio
import socket
from typing import Any

import dns.asyncbackend
import dns.asyncquery
import dns.inet
import dns.message
import dns.nameserver

DATAGRAM_BYTES = 1232
"""Of an answer by UDP: fits one packet everywhere (DNS flag day 2020)."""
MAX_ANSWER_BYTES = 4096
"""About 250 addresses."""
_MAX_DATAGRAMS = 16
"""For one query. Each costs milliseconds to parse, and whoever guesses the port may send them."""


class _Datagrams(dns.asyncbackend.DatagramSocket):  # type: ignore[name-defined, misc]
    """The socket of one query, which gives only what is quick to parse."""

    def __init__(self, opened: Any) -> None:
        super().__init__(opened.family, opened.type)
        self._opened = opened
        self._left = _MAX_DATAGRAMS

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        return int(await self._opened.sendto(what, destination, timeout))

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        if not self._left:
            raise OSError("too many datagrams that do not answer the query")
        self._left -= 1
        data, sender = await self._opened.recvfrom(size, timeout)
        return (data if len(data) <= DATAGRAM_BYTES else _without_records(data)), sender


def _without_records(message: bytes) -> bytes:
    """The header and the question of an answer, as if it had been cut to fit (RFC 1035, 4.1.1: TC, the counts)."""
    header = bytearray(message[:12])
    header[2] |= 0x02
    header[6:12] = bytes(6)
    return bytes(header) + message[12:DATAGRAM_BYTES]


class NameServer(dns.nameserver.Do53Nameserver):
    """A name server whose answers are small: parsing 64 KiB stops the event loop for up to 0.7 s."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,  # noqa: ARG002
        source_port: int,  # noqa: ARG002
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        if not max_size:
            family = dns.inet.af_for_address(self.address)
            async with await backend.make_socket(family, socket.SOCK_DGRAM, 0, None, None) as opened:
                return await dns.asyncquery.udp(
                    request,
                    self.address,
                    timeout,
                    self.port,
                    ignore_unexpected=True,
                    one_rr_per_rrset=one_rr_per_rrset,
                    ignore_trailing=ignore_trailing,
                    raise_on_truncation=True,
                    sock=_Datagrams(opened),
                    ignore_errors=True,
                )
        # Over TCP, because the answer did not fit a datagram.
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(self.address, self.port)
            try:
                question = request.to_wire()
                writer.write(len(question).to_bytes(2) + question)
                size = int.from_bytes(await reader.readexactly(2))
                if size > MAX_ANSWER_BYTES:
                    raise OSError("the answer is too large")
                answer = dns.message.from_wire(await reader.readexactly(size))
            finally:
                writer.transport.abort()
        if not request.is_response(answer):
            raise OSError("the answer is to another question")
        return answer
