"""A proxy that breaks responses off, and does something else meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.s3_servers import S3Server

OnBreak = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    pass


@asynccontextmanager
async def breaking_proxy(
    server: S3Server, after: int, *, times: int = 1, on_break: OnBreak = _nothing
) -> AsyncIterator[tuple[str, list[int]]]:
    """Breaks its first connections after `after` bytes of response, `times` of them; yields its address and what each
    connection has passed. `on_break` runs before a connection is broken."""
    host, _, port = server.endpoint.removeprefix("http://").partition(":")
    passed: list[int] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(passed)
        passed.append(0)
        budget = after if number < times else 1 << 40
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))

        async def upwards() -> None:
            while data := await reader.read(65536):
                upstream_writer.write(data)
            upstream_writer.close()

        sending = asyncio.create_task(upwards())
        try:
            while passed[number] < budget and (data := await upstream_reader.read(min(65536, budget - passed[number]))):
                passed[number] += len(data)
                writer.write(data)
                await writer.drain()
            if number < times:
                await on_break()
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            upstream_writer.close()
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", passed
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await listening.wait_closed()
