"""A process is killed at the commit that it is to be killed at: the clients' own bytes, on a real Postgres."""

import asyncio
from collections.abc import Collection, Mapping

from chassis.adapters.postgres import migrate, open_pool
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.events import CancelRequested
from tests.chaos.network import IsEndCommit, NetworkProxy, Trap, is_postgres_commit
from tests.support.proxy import Proxy

MIGRATIONS = ["chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations"]
EVENT = CancelRequested(job_id="job_1", project="prj_a", at=0)


async def all_ours(ports: Collection[int]) -> Mapping[int, str]:
    return dict.fromkeys(ports, "worker-0")


async def test_the_commit_of_an_end_is_told_from_those_before_it_and_is_executed(fresh_dsn: str) -> None:
    await migrate(fresh_dsn, "worker", MIGRATIONS)
    killed_at: list[str] = []
    any_commit = Trap("worker-0", is_postgres_commit, lambda: killed_at.append("any"))
    end_commit = Trap("worker-0", IsEndCommit(), lambda: killed_at.append("end"))
    async with (
        Proxy(fresh_dsn) as server,
        NetworkProxy(lambda: asyncio.open_connection("127.0.0.1", server.port), all_ours) as network,
        await open_pool(fresh_dsn, "worker") as direct,
        await open_pool(server.dsn.replace(f":{server.port}", f":{network.port}"), "worker") as pool,
    ):
        queue = JobQueue(pool, Outbox(pool, "worker"))
        async with pool.acquire() as conn, conn.transaction():
            await queue.add(conn, id="job_1", project="prj_a", kind="video", payload={})
        item = await queue.claim("w1")
        assert item is not None
        await network.arm(end_commit)
        await queue.emit(item, EVENT)
        assert killed_at == []
        ending = asyncio.create_task(queue.finish(item, "done", EVENT))
        await asyncio.wait_for(end_commit.sprung.wait(), 60)
        assert killed_at == ["end"]
        assert await direct.fetchval("SELECT state FROM job_queue") == "done"
        await asyncio.gather(ending, return_exceptions=True)
        await network.arm(any_commit)
        async with pool.acquire() as conn:
            beginning = asyncio.create_task(conn.execute("BEGIN; SELECT 1; COMMIT;"))
            await asyncio.wait_for(any_commit.sprung.wait(), 60)
            await asyncio.gather(beginning, return_exceptions=True)
    assert killed_at == ["end", "any"]
