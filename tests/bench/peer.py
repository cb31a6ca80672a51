"""The peer of the benchmarks of requests, `python -m tests.bench.peer`: the same framework, one plain query for each.

A POST is one insert; a GET reads the text of one job from the catalog's table.
"""

import asyncio
import sys

import asyncpg
import orjson
import uvloop
from aiohttp import web


async def serve(dsn: str) -> None:
    """Listen on a free port, print it, and insert every body into one table until killed."""
    async with asyncpg.create_pool(dsn, min_size=10, max_size=10) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS inserts (id bigserial PRIMARY KEY, body text NOT NULL)")

        async def post(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            text = orjson.dumps(body).decode()
            row = await pool.fetchval("INSERT INTO inserts (body) VALUES ($1) RETURNING id", text)
            return web.Response(body=orjson.dumps({"id": row}), status=201, content_type="application/json")

        async def get(request: web.Request) -> web.Response:
            text = await pool.fetchval("SELECT job::text FROM catalog.jobs WHERE id = $1", request.match_info["id"])
            return web.Response(body=text.encode(), content_type="application/json")

        app = web.Application()
        app.router.add_post("/jobs", post)
        app.router.add_get("/jobs/{id}", get)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
