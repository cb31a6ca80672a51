"""A program for the tests: both servers on a folder, until it is killed. Prints one line when they are up."""

import asyncio
import sys
from pathlib import Path

from embedded import KafkaServer, PostgresServer, hold_folder, reap_orphans


def _say(_: str) -> None:
    """The tests do not look at progress."""


async def main(folder: Path) -> None:
    postgres, kafka = PostgresServer(folder), KafkaServer(folder)
    async with postgres.running(_say) as dsn, kafka.running(_say) as bootstrap:
        print(dsn, bootstrap, postgres.pid, kafka.pid, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    data = Path(sys.argv[1])
    with hold_folder(data):
        reap_orphans(data)
        asyncio.run(main(data))
