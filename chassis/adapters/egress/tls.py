"""TLS over an open connection, decrypted a slice at a time.

The event loop's own TLS decrypts all that has arrived in one go, also a million records of one byte each. Here that
happens when somebody reads, 16 KiB at a time, and a peer whose records are mostly framing is given up.
"""

import ssl

from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.stream import SocketStream

SLICE_BYTES = 16 * 1024
"""Encrypted bytes given to OpenSSL at once."""
MAX_HANDSHAKE_BYTES = 256 * 1024
"""Certificates are the largest part; OpenSSL itself takes at most 100 KiB of them."""
MAX_OVERHEAD_BYTES = 64 * 1024
"""Encrypted beyond decrypted bytes, beyond a quarter of these. A record adds 22 bytes and holds up to 16 KiB."""


class TlsStream:
    """A connection after `handshake`. `read` raises OSError like a reader without TLS."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._encrypted = 0
        self._decrypted = 0
        self._ended = False

    async def handshake(self, context: ssl.SSLContext, host: str) -> None:
        """Verifies that the peer is `host`. Raises RequestError."""
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            while not self._step():
                if self._ended or self._encrypted > MAX_HANDSHAKE_BYTES:
                    raise RequestError("tls_failed")
                await self._receive()
        except (ssl.SSLError, ValueError):
            raise RequestError("tls_failed") from None
        except OSError:
            raise RequestError("connect_failed") from None
        self._encrypted = self._incoming.pending

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        while True:
            data = self._decrypt(size)
            if data or self._ended:
                return data
            await self._receive()

    def write(self, data: bytes) -> None:
        """Sends the bytes without waiting for the peer to read."""
        self._tls.write(data)
        self._send()

    def is_silent(self) -> bool:
        """Whether the connection is open and nothing has been received that was not read."""
        waiting = self._incoming.pending or self._tls.pending()
        return not waiting and not self._ended and self._stream.is_silent()

    def _step(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._send()
        return True

    def _decrypt(self, size: int) -> bytes:
        data = bytearray()
        try:
            # Each time one record at most; nothing after the peer has ended the TLS session.
            while len(data) < size and (part := self._tls.read(size - len(data))):
                data += part
            self._ended = self._ended or len(data) < size
        except ssl.SSLWantReadError:
            pass
        self._send()
        self._decrypted += len(data)
        if self._encrypted - self._decrypted > MAX_OVERHEAD_BYTES + self._decrypted // 4:
            raise RequestError("tiny_chunks", received=self._decrypted, limit=MAX_OVERHEAD_BYTES)
        return bytes(data)

    async def _receive(self) -> None:
        data = await self._stream.read(SLICE_BYTES)
        # Servers often close without saying so in TLS; the framing of HTTP tells whether something is missing.
        self._ended = not data
        self._encrypted += len(data)
        self._incoming.write(data)

    def _send(self) -> None:
        if self._outgoing.pending:
            self._stream.write(self._outgoing.read())
