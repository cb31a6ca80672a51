"""A program for the tests: both servers on a folder, until SIGTERM. Prints one line once they are ready."""

import asyncio
import signal
import sys
from pathlib import Path

from embedded import KafkaServer, PostgresServer, hold_folder, reap_orphans


def ignore_progress(_: str) -> None:
    """The tests do not look at progress."""


async def main(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    postgres, kafka = PostgresServer(folder), KafkaServer(folder)
    async with postgres.running(ignore_progress) as dsn, kafka.running(ignore_progress) as bootstrap:
        print(dsn, bootstrap, postgres.pid, kafka.pid, flush=True)
        await stop.wait()


if __name__ == "__main__":
    data = Path(sys.argv[1])
    with hold_folder(data):
        reap_orphans(data)
        asyncio.run(main(data))
