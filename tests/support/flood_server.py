"""A server in a thread, which sends as fast as the connection takes bytes and costs the event loop nothing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class FloodServer:
    """Responds to every connection with `head` and then with `piece` over and over, up to `max_bytes`, then closes."""

    def __init__(self, head: bytes, piece: bytes, *, max_bytes: int, pause_s: float, host: str) -> None:
        self._head = head
        # Large writes: one system call for each small piece would be a slow server.
        self._piece = piece if pause_s else piece * max(1, 262_144 // max(1, len(piece)))
        self._max_bytes = max_bytes
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._listener = socket.create_server((host, 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.sent = 0
        self.url = f"http://{host}:{self._listener.getsockname()[1]}/"

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(60)
            try:
                connection.recv(65536)
                connection.sendall(self._head)
                sent = 0
                while sent < self._max_bytes and not self._stop.is_set():
                    connection.sendall(self._piece)
                    sent += len(self._piece)
                    self.sent += len(self._piece)
                    self._stop.wait(self._pause_s)
            except OSError:
                return


@contextmanager
def flood_server(
    head: bytes = b"",
    piece: bytes = b"",
    *,
    max_bytes: int = 8_000_000,
    pause_s: float = 0,
    host: str = "127.0.0.1",
) -> Iterator[FloodServer]:
    """A listening server; closed, with all its connections, after the block."""
    server = FloodServer(head, piece, max_bytes=max_bytes, pause_s=pause_s, host=host)
    server.start()
    try:
        yield server
    finally:
        server.stop()
