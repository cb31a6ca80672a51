"""A name server over UDP that sends what a good one does not."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from tests.support.dns_server import HOST

_LONG_NAME = b"\x01a" * 120 + b"\0"
"""Of 120 labels."""


def answer_of_60_kb(query: bytes) -> bytes:
    """An answer with thousands of addresses, each of a name that is a pointer to one of 120 labels."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    first = _LONG_NAME + _address(0)
    pointer = struct.pack(">H", 0xC000 | end)
    rest = b"".join(pointer + _address(number) for number in range(1, 3700))
    header = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 3700, 0, 0)
    return header + question + first + rest


def _address(number: int) -> bytes:
    return struct.pack(">HHIHI", 1, 1, 60, 4, number)


@asynccontextmanager
async def datagrams(port: int, answer: Callable[[bytes], bytes], *, times: int = 1) -> AsyncIterator[None]:
    """Sends `answer(query)` so many times to whoever sends a query."""

    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            made = answer(data)
            for _ in range(times):
                self.transport.sendto(made, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, (HOST, port))
    try:
        yield
    finally:
        transport.close()
