"""A webhook receiver on loopback that records every request and answers as a test says, byte by byte if need be.

    async with webhook_receiver() as hooks:                      # answers 204
    async with webhook_receiver(status(503), status(200)) as hooks:   # one answer per request, the last one for ever
    async with webhook_receiver(secret="whsec_…") as hooks:      # 401 unless Ittybit-Signature fits the body

        hooks.url()                        # the address to post to; hooks.url("/other") works as well
        hooks.on("/held", held(event))     # other answers at a path of its own; returns the address
        await hooks.webhook(job_id)        # the body of the job's first webhook, once it has arrived
        hooks.of(job_id)                   # every request about a job: `Received` with path, headers, body, json
        hooks.received                     # all requests, in order; `hooks.arrived` is set by the first one
        hooks.connections                  # counts also connections that never sent a request
        hooks.rejected                     # how many signatures were wrong

Answers: `status`, `raw`, `stall`, `endless`, `reset`, `held`, or a coroutine function that writes to a `StreamWriter`.
The connection is closed after each answer.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
_DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    """A complete answer; `headers` are whole lines without their end."""
    length = [] if code == 204 else [f"Content-Length: {len(body)}"]
    return raw("\r\n".join([f"HTTP/1.1 {code} X", *length, "Connection: close", *headers, "", ""]).encode() + body)


def raw(data: bytes) -> Answer:
    """These bytes and nothing else."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def stall(data: bytes = b"") -> Answer:
    """These bytes, then nothing until the sender closes the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await writer.wait_closed()

    return answer


def endless(head: bytes, chunk: bytes, pause: float = 0.0) -> Answer:
    """A body that never ends."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def reset() -> Answer:
    """A closed connection after the whole request was read: the sender cannot know whether it was processed."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return answer


def held(release: asyncio.Event, code: int = 204) -> Answer:
    """An answer that waits for the event."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await status(code)(writer)

    return answer


class WebhookReceiver:
    """See the module. `address` has no slash at its end; `secret` may be set later."""

    def __init__(self, answers: list[Answer], secret: str | None) -> None:
        self.address = ""
        self.secret = secret
        self.connections = 0
        self.rejected = 0
        self.received: list[Received] = []
        self.arrived = asyncio.Event()
        self._answers = {"": answers}
        self._changed = asyncio.Condition()

    def url(self, path: str = "/hook") -> str:
        return f"{self.address}{path}"

    def on(self, path: str, *answers: Answer) -> str:
        """Answer requests to this path with answers of its own; returns the address."""
        self._answers[path] = list(answers)
        return self.url(path)

    def of(self, job_id: str) -> list[Received]:
        """Every accepted request whose body is about this job."""
        return [request for request in self.received if request.json["id"] == job_id]

    async def webhook(self, job_id: str) -> dict[str, Any]:
        """The body of the first webhook about this job, once it has arrived; `TimeoutError` if it does not."""
        async with asyncio.timeout(_DEADLINE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.of(job_id))
        body: dict[str, Any] = self.of(job_id)[0].json
        return body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await _read(reader)
                if not self._signed(request):
                    self.rejected += 1
                    await status(401)(writer)
                    return
                self.received.append(request)
                self.arrived.set()
                async with self._changed:
                    self._changed.notify_all()
                await self._answer(request.path)(writer)
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        key = path if path in self._answers else ""
        count = sum(1 for request in self.received if (request.path if request.path in self._answers else "") == key)
        answers = self._answers[key]
        return answers[min(count, len(answers)) - 1]

    def _signed(self, request: Received) -> bool:
        if self.secret is None:
            return True
        expected = hmac.new(self.secret.encode(), request.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(request.headers.get("ittybit-signature", ""), expected)


@asynccontextmanager
async def webhook_receiver(
    *answers: Answer, secret: str | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[WebhookReceiver]:
    """Listen on a free port of an address of loopback."""
    receiver = WebhookReceiver(list(answers) or [status(204)], secret)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, host, 0, limit=2**20)
    receiver.address = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(first.split()[1], headers, body)
