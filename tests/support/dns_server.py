"""A name server on loopback, over UDP and TCP, that answers some zones and keeps silent about others.

    async with dns_server({"media.example": ["127.0.0.1"]}, silent=["dead.example"]) as dns:
        client = DnsClient(name_servers=[dns.address])
        dns.asked                             # the names that were asked for, each once for every query
        dns.outage = "silence"                # from now on it answers nothing, or with "failure" SERVFAIL to everything

`failing` zones are answered with SERVFAIL. What it does not know does not exist (NXDOMAIN). Addresses of IPv6 answer
queries for AAAA.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

DATAGRAM_BYTES = 512
HOST = "127.0.0.1"


class DnsServer:
    """See the module."""

    def __init__(
        self, records: Mapping[str, Sequence[str]], silent: Iterable[str], failing: Iterable[str] = ()
    ) -> None:
        self._records = {name: list(addresses) for name, addresses in records.items()}
        self._silent = tuple(silent)
        self._failing = tuple(failing)
        self.outage: Literal["silence", "failure"] | None = None
        self.asked: list[str] = []
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def answer(self, query: bytes) -> bytes | None:
        """The answer to a query; None for silence."""
        question = dns.message.from_wire(query)
        name = question.question[0].name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if self.outage == "silence" or _within(name, self._silent):
            return None
        answer = dns.message.make_response(question)
        if self.outage == "failure" or _within(name, self._failing):
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer.to_wire()
        if name not in self._records:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer.to_wire()
        family = question.question[0].rdtype.name
        found = [each for each in self._records[name] if (":" in each) == (family == "AAAA")]
        if found:
            answer.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", family, found))
        return answer.to_wire(max_size=65535)

    async def serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One query over TCP."""
        size = int.from_bytes(await reader.readexactly(2))
        answer = self.answer(await reader.readexactly(size))
        if answer is not None:
            writer.write(len(answer).to_bytes(2) + answer)
            await writer.drain()
        writer.close()


def _within(name: str, zones: Iterable[str]) -> bool:
    """Whether a zone has the name. The zone `` has only the root, whose name is empty."""
    return any(name == zone or name.endswith(f".{zone}") for zone in zones)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data)
        if answer is None or self._transport is None:
            return
        if len(answer) > DATAGRAM_BYTES:
            truncated = dns.message.make_response(dns.message.from_wire(data))
            truncated.flags |= dns.flags.TC
            answer = truncated.to_wire()
        self._transport.sendto(answer, addr)


@asynccontextmanager
async def dns_server(
    records: Mapping[str, Sequence[str]] | None = None,
    *,
    silent: Iterable[str] = (),
    failing: Iterable[str] = (),
    tcp_only: bool = False,
) -> AsyncIterator[DnsServer]:
    """Listens on a free port of loopback until the end of the block. `tcp_only` leaves datagrams to somebody else."""
    server = DnsServer(records or {}, silent, failing)
    streams = await asyncio.start_server(server.serve_stream, HOST, 0)
    server.port = streams.sockets[0].getsockname()[1]
    datagrams = None
    if not tcp_only:
        datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(server), (HOST, server.port)
        )
    try:
        yield server
    finally:
        if datagrams is not None:
            datagrams.close()
        streams.close()
        await streams.wait_closed()
