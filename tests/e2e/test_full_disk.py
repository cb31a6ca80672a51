"""`bitmill up` on a disk that is full for a while: it goes on, tells its customers when to come again, loses nothing.

It needs a file system of its own. Where none can be mounted, `tests/embedded/test_restarts.py` (restarts with a stub),
`tests/chassis/adapters/http/test_server.py` (responses) and `tests/media/test_pure.py` (children) hold the same rules.
"""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from embedded.process import FULL_BYTES
from tests.e2e.switches import small_disk
from tests.support.file_server import file_server
from tests.support.footage import Material
from tests.support.system import BitmillUp, bitmill_up
from tests.support.waiting import until

DISK_BYTES = 700 * 1024 * 1024
FULL_SECONDS = [8, pytest.param(60, marks=pytest.mark.slow)]
"""The long one: longer than a server that is not started again for other causes would take to end five times. That
such restarts are not counted, `tests/embedded/test_restarts.py` holds in the normal run as well."""
DEADLINE_SECONDS = 180


async def post(up: BitmillUp, body: dict[str, Any]) -> str | None:
    """The id of an accepted job; None where the customer is to come again, which the response says."""
    async with up.api.session.post(f"{up.api.address}/jobs", json=body) as response:
        answer = await response.json()
        if response.status == 201:
            return str(answer["id"])
        assert response.status in (503, 507), answer
        assert int(response.headers["Retry-After"]) >= 1
        return None


def servers(up: BitmillUp) -> dict[str, psutil.Process]:
    """The embedded servers that run, by the names of their programs."""
    found = {}
    for child in up.children():
        try:
            if child.name() in ("java", "postgres") and child.parent() == psutil.Process(up.process.pid):
                found[child.name()] = child
        except psutil.NoSuchProcess:
            continue
    return found


async def failures(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        queries = (f"SELECT coalesce(sum(failures), 0) FROM {name}.job_queue" for name in ("transcoder", "thumbnailer"))
        return sum([int(await connection.fetchval(query)) for query in queries])
    finally:
        await connection.close()


@pytest.mark.parametrize("seconds", FULL_SECONDS)
async def test_a_full_disk_ends_nothing_and_costs_no_attempt(seconds: int, material: Material, tmp_path: Path) -> None:
    # The log of `up` is beside its data folder, and so on another disk.
    with small_disk(tmp_path / "data", DISK_BYTES) as disk:
        if not disk.mounted:
            pytest.skip("this user may not mount a small disk")
        async with file_server() as uploads, bitmill_up(disk.folder) as up:
            clip = {"input": uploads.add(material.flat()), "kind": "video", "options": {"width": 64}}
            photo = {"input": clip["input"], "kind": "image"}
            accepted = [await post(up, clip), await post(up, photo)]
            disk.fill()
            # Kafka ends by itself only when it has to write; so that the test does not depend on when that is:
            servers(up)["java"].send_signal(signal.SIGKILL)
            noticed, begun = False, time.monotonic()
            while not noticed or time.monotonic() - begun < seconds:
                accepted += [await post(up, clip), await post(up, photo)]
                await asyncio.sleep(1)
                assert up.process.returncode is None, up.log[-4000:]
                noticed = '"embedded_server_disk_full"' in up.log
                assert time.monotonic() - begun < seconds + DEADLINE_SECONDS, "the full disk was not noticed"
            assert psutil.disk_usage(str(disk.folder)).free < FULL_BYTES
            disk.free_space()
            ids = [id for id in accepted if id is not None]
            await until(lambda: set(servers(up)) == {"java", "postgres"}, within=DEADLINE_SECONDS)
            for id in ids:
                job = await up.api.finished(id)
                assert job["status"] == "succeeded", job
            # What had to be refused is taken now.
            assert await until(lambda: post(up, clip), within=DEADLINE_SECONDS, poll=1)
            assert await failures(up.env["DATABASE_URL"]) == 0
