"""An open TCP connection: gives received bytes when they are asked for, and says whether any came unasked."""

import asyncio
from typing import cast

BUFFER_BYTES = 256 * 1024
"""Of received bytes; the kernel is not asked for more once twice as many wait."""


class SocketStream(asyncio.Protocol):
    """The bytes of one connection, for one reader. `read` raises OSError."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._reading: asyncio.Future[None] | None = None
        self._paused = False
        self._ended = False
        self._error: Exception | None = None

    @property
    def peer(self) -> str | None:
        """The address of the peer, None where it has left already."""
        name = self._transport.get_extra_info("peername")
        return None if name is None else str(name[0])

    def is_silent(self) -> bool:
        """Whether the connection is open and nothing has been received that was not read."""
        return not self._received and not self._ended and not self._transport.is_closing()

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes as soon as there are any; none at the end."""
        while not self._received and not self._ended:
            self._reading = asyncio.get_running_loop().create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        if self._error is not None and not self._received:
            raise self._error
        data = bytes(memoryview(self._received)[:size])
        del self._received[:size]
        if self._paused and len(self._received) <= BUFFER_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Sends the bytes without waiting for the peer to read."""
        self._transport.write(data)

    def close(self) -> None:
        """Closes the connection at once, whatever the peer still sends."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, as are the next ones."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._paused and len(self._received) > 2 * BUFFER_BYTES:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # a server may end its side before it has read the request

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
