"""The peer of the webhook benchmark: `python -m tests.bench.post_loop URL BYTES REQUESTS CONCURRENT`.

A bare loop of aiohttp: POSTs of the same size, a new connection for each, so many at a time. Nothing is signed,
checked, recorded or retried.
"""

import asyncio
import sys

import aiohttp
import uvloop


async def post(url: str, body: bytes, requests: int, concurrent: int) -> None:
    left = iter(range(requests))
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=concurrent, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def client() -> None:
            for _ in left:
                async with session.post(url, data=body) as response:
                    await response.read()
                    response.raise_for_status()

        await asyncio.gather(*(client() for _ in range(concurrent)))


if __name__ == "__main__":
    uvloop.run(post(sys.argv[1], b"x" * int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
