"""The load of the rate benchmark, a process of its own: `python -m tests.bench.load URL KEY REQUESTS CONNECTIONS`."""

import asyncio
import sys
import time

import aiohttp
import orjson
import uvloop

BODY = orjson.dumps(
    {
        "input": "https://example.com/uploads/clip.mov",
        "kind": "video",
        "options": {"width": 1280, "format": "mp4"},
        "metadata": {"user_id": "usr_abc123", "campaign": "summer-launch"},
    }
)


async def fire(url: str, key: str, requests: int, connections: int) -> float:
    """Requests a second over that many connections; every answer must be 201."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    left = iter(range(requests))
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def client() -> None:
            for _ in left:
                async with session.post(url, data=BODY) as response:
                    await response.read()
                    if response.status != 201:
                        raise SystemExit(f"{url} answered {response.status}: {await response.text()}")

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(connections)))
        return requests / (time.perf_counter() - began)


if __name__ == "__main__":
    print(uvloop.run(fire(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
