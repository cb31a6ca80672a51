"""A program for the tests: a Postgres on a folder, asked for its user's capabilities. Prints them as one JSON line.

Before it starts, root gives up the capability to read everything, which containers usually do not have.
"""

import asyncio
import ctypes
import json
import os
import sys
from pathlib import Path

import asyncpg

from embedded import PostgresServer
from tests.embedded.both_servers import ignore_progress

_PR_CAPBSET_DROP = 24
_CAP_DAC_READ_SEARCH = 2


async def main(folder: Path) -> None:
    async with PostgresServer(folder, durable=False).running(ignore_progress) as dsn:
        connection = await asyncpg.connect(dsn)
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        # Before the connection is closed: its server process ends with it.
        text = Path(f"/proc/{pid}/status").read_text()
        await connection.close()
        status = dict(line.split(":\t", 1) for line in text.splitlines())
    print(json.dumps({"uid": int(status["Uid"].split()[0]), "effective": int(status["CapEff"], 16)}))


if __name__ == "__main__":
    if os.geteuid() == 0 and "--dropped" not in sys.argv:
        if ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_READ_SEARCH, 0, 0, 0) != 0:
            sys.exit("the capability cannot be given up")
        os.execv(sys.executable, [sys.executable, "-m", "tests.embedded.private_postgres", sys.argv[1], "--dropped"])
    asyncio.run(main(Path(sys.argv[1])))
